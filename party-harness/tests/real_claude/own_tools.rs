//! Tools of the CLI's own, which a turn is given by name.

use crate::{
    claude::{end_of, events_of},
    server::{mcp, with_share},
    stage::{last, offered, said_to, stage},
};
use party_core::Outcome;
use party_harness::TurnEvent;
use serde_json::json;
use std::{fs, sync::Arc};
use test_support::{ClaudeVersion, ModelTurn, Scenario};

test_support::on_each_claude!(
    a167_only_the_named_tools_are_offered_and_they_are_used_freely,
    a167_a_side_channel_is_offered_where_it_is_named_only,
    a171_a_cancelled_shell_leaves_no_process_and_the_session_goes_on,
    a_command_is_never_left_in_the_background,
);

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn results(events: &[TurnEvent]) -> Vec<(String, bool)> {
    let result = |event: &TurnEvent| match event {
        TurnEvent::ToolResult { text, is_error, .. } => Some((text.to_string(), *is_error)),
        _ => None,
    };
    events.iter().filter_map(result).collect()
}

async fn a167_only_the_named_tools_are_offered_and_they_are_used_freely(version: ClaudeVersion) {
    let (bench, fake) = stage(version, Scenario::new()).await;
    let outside = bench.path().join("outside.txt");
    let write = json!({"file_path": outside, "content": "written"});
    let shell = json!({"command": format!("cat {} && echo seen-$((40 + 2))", outside.display())});
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("Write", write))
        .turn(ModelTurn::tool_use("Bash", shell))
        .default_turn(ModelTurn::text("Done."));
    fake.set(scenario.count_side());
    let (endpoint, _) = mcp().await;
    let mut request = with_share(bench.request(1, 1, "begin", "begin"), &endpoint);
    request.own_tools = named(&["Bash", "Write"]);
    let events = events_of(bench.open(None).await.turn(request).await.unwrap()).await;
    let results = results(&events);
    assert_eq!(results.len(), 2, "{events:?}");
    assert_eq!(results[1], ("writtenseen-42".to_owned(), false), "{results:?}");
    assert_eq!(fs::read_to_string(outside).unwrap(), "written");
    assert_eq!(offered(&fake.model_requests()[0]), ["Bash", "Write", "mcp__party__share"]);
}

async fn a167_a_side_channel_is_offered_where_it_is_named_only(version: ClaudeVersion) {
    let (bench, fake) = stage(version, Scenario::new().default_turn(ModelTurn::text("Done."))).await;
    let session = bench.open(None).await;
    let mut request = bench.request(1, 1, "begin", "begin");
    request.own_tools = named(&["Read"]);
    end_of(session.turn(request.clone()).await.unwrap()).await;
    assert_eq!(offered(&last(&fake)), ["Read"]);
    (request.key.turn, request.own_tools) = (crate::claude::turn(2), named(&["Read", "SendMessage"]));
    end_of(session.turn(request.clone()).await.unwrap()).await;
    assert_eq!(offered(&last(&fake)), ["Read", "SendMessage"]);
    (request.key.turn, request.own_tools) = (crate::claude::turn(3), Vec::new());
    end_of(session.turn(request.clone()).await.unwrap()).await;
    assert_eq!(offered(&last(&fake)), Vec::<String>::new());
}

async fn a171_a_cancelled_shell_leaves_no_process_and_the_session_goes_on(version: ClaudeVersion) {
    // The grandchild leaves the shell's group and session; the shell has those of its own anyway.
    let command = json!({"command": "(setsid sleep 1000 &) ; echo $$ >started; sleep 1000"});
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("Bash", command).when("begin"))
        .turn(ModelTurn::text("Back.").when("go on"));
    let (bench, fake) = stage(version, scenario).await;
    let session = bench.open(None).await;
    let mut request = bench.request(1, 1, "begin", "begin");
    request.own_tools = named(&["Bash"]);
    let turn = session.turn(request.clone()).await.unwrap();
    let started = bench.spec(None).cwd.join("started");
    let control = Arc::clone(&turn.control);
    let reading = tokio::spawn(events_of(turn));
    bench.until("the shell runs", || started.exists() && bench.alive() >= 3).await;
    control.interrupt().await.unwrap();
    let events = reading.await.unwrap();
    let Some(TurnEvent::Ended(end)) = events.last() else { panic!("{events:?}") };
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    assert_eq!(bench.alive(), 0);
    request = bench.request(2, 1, "go on", "go on, whole");
    request.own_tools = named(&["Bash"]);
    let end = end_of(session.turn(request).await.unwrap()).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Back.")), "{end:?}");
    let said = said_to(&last(&fake));
    assert!(said.contains("begin") && said.contains("go on") && !said.contains("whole"), "{said}");
}

/// One result per process.
async fn a_command_is_never_left_in_the_background(version: ClaudeVersion) {
    let command = json!({"command": "sleep 1000", "run_in_background": true});
    let scenario =
        Scenario::new().turn(ModelTurn::tool_use("Bash", command)).default_turn(ModelTurn::text("Then not."));
    let (bench, _fake) = stage(version, scenario).await;
    let mut request = bench.request(1, 1, "begin", "begin");
    request.own_tools = named(&["Bash"]);
    let events = events_of(bench.open(None).await.turn(request).await.unwrap()).await;
    let Some(TurnEvent::Ended(end)) = events.last() else { panic!("{events:?}") };
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Then not.")), "{end:?}");
    assert!(matches!(&results(&events)[..], [(_, true)]), "{events:?}");
    assert_eq!(bench.alive(), 0);
}
