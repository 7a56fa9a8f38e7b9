//! Processes that die, and sessions that live on.

use crate::{
    claude::end_of,
    host::{Tools, begin, host, pid, tool},
    stage::{last, said_by_user, said_to},
};
use party_core::{Cost, Outcome, Sent};
use serde_json::json;
use test_support::{ClaudeVersion, Gate, ModelTurn, Scenario};

test_support::on_each_claude!(
    a_process_that_is_killed_between_two_turns_is_replaced_unseen,
    a_process_that_is_killed_in_a_turn_fails_it_and_the_next_one_resumes,
    a_later_attempt_goes_on_where_the_killed_one_stopped,
    a_session_that_is_gone_begins_anew_with_the_whole_view,
);

async fn a_process_that_is_killed_between_two_turns_is_replaced_unseen(version: ClaudeVersion) {
    let (bench, fake) = host(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let session = bench.open(None).await;
    end_of(begin(&session, bench.request(1, 1, "", "one")).await).await;
    let process = pid(&bench);
    bench.until("the answer is in the transcript", || bench.transcripts().contains("Fine.")).await;
    bench.kill();
    // At once: the host may not have seen the death.
    let end = end_of(begin(&session, bench.request(2, 1, "two", "never")).await).await;
    assert_eq!((end.outcome, end.sent), (Outcome::Completed, Sent::Delta), "{end:?}");
    assert_ne!(pid(&bench), process);
    assert_eq!(said_by_user(&last(&fake)), [["one"], ["two"]]);
}

async fn a_process_that_is_killed_in_a_turn_fails_it_and_the_next_one_resumes(version: ClaudeVersion) {
    let gate = Gate::new();
    let scenario = Scenario::new()
        .turn(ModelTurn::text("One.").when("one"))
        .turn(ModelTurn::text("never said").gate(&gate).when("two").unless("three"))
        .default_turn(ModelTurn::text("Three."));
    let (bench, fake) = host(version, scenario).await;
    let session = bench.open(None).await;
    end_of(begin(&session, bench.request(1, 1, "", "one")).await).await;
    bench.until("the answer is in the transcript", || bench.transcripts().contains("One.")).await;
    let turn = begin(&session, bench.request(2, 1, "two", "never")).await;
    gate.arrived().await;
    bench.kill();
    let end = end_of(turn).await;
    assert_eq!((end.outcome, end.cost), (Outcome::Failed, Cost::Unknown), "{end:?}");
    assert!(end.reason.as_deref().unwrap().contains("signal 9") && end.token.is_some(), "{end:?}");
    let end = end_of(begin(&session, bench.request(3, 1, "three", "never")).await).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Three."), Sent::Delta), "{end:?}");
    assert!(said_to(&last(&fake)).contains("one"));
}

async fn a_later_attempt_goes_on_where_the_killed_one_stopped(version: ClaudeVersion) {
    let gate = Gate::new();
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("mcp__party__share", json!({})).when("begin"))
        .turn(ModelTurn::text("never said").gate(&gate).when("shared as 7").unless("GO ON"))
        .turn(ModelTurn::text("Finished.").when("GO ON"));
    let (bench, fake) = host(version, scenario).await;
    let tools = Tools::new();
    let session = bench.open_with(tools.clone(), None).await;
    let mut request = bench.request(1, 1, "begin", "begin");
    (request.tools, request.continuation) = (vec![tool("share")], Some("GO ON".into()));
    let turn = begin(&session, request.clone()).await;
    gate.arrived().await;
    bench
        .until("the tool's answer is in the transcript", || bench.transcripts().contains("shared as 7"))
        .await;
    bench.kill();
    assert_eq!(end_of(turn).await.outcome, Outcome::Failed);
    request.key.attempt = 2;
    let end = end_of(begin(&session, request).await).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Finished."), Sent::Delta), "{end:?}");
    let said = said_to(&last(&fake));
    assert_eq!(said.matches("begin").count(), 1, "{said}");
    assert_eq!(tools.calls().len(), 1);
}

async fn a_session_that_is_gone_begins_anew_with_the_whole_view(version: ClaudeVersion) {
    let (bench, fake) = host(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let session = bench.open(None).await;
    let first = end_of(begin(&session, bench.request(1, 1, "", "one")).await).await;
    drop(session);
    bench.until("the process is gone", || bench.alive() == 0).await;
    std::fs::remove_dir_all(bench.home().join(".claude")).unwrap();
    let session = bench.open(first.token.clone()).await;
    let end = end_of(begin(&session, bench.request(2, 1, "two", "all of it")).await).await;
    assert_eq!((end.outcome, end.sent), (Outcome::Completed, Sent::Full), "{end:?}");
    assert_ne!(end.token, first.token);
    assert_eq!(said_by_user(&last(&fake)), [["all of it"]]);
}
