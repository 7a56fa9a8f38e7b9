//! Leave to use the CLI's own tools.

use crate::{
    claude::{Bench, end_of, events_of},
    host::{Tools, begin, host, pid, tool, until},
};
use party_core::Outcome;
use party_harness::{Answer, RequestId, Turn, TurnEvent, TurnRequest};
use serde_json::json;
use test_support::{ClaudeVersion, ModelTurn, Scenario};

test_support::on_each_claude!(
    a_tool_of_its_own_is_used_only_with_leave,
    a_question_that_is_not_answered_is_withdrawn,
    a_turn_that_is_not_to_be_asked_uses_its_tools_freely,
);

fn asking(bench: &Bench, turn: u64) -> TurnRequest {
    let mut request = bench.request(turn, 1, "begin", "begin");
    (request.own_tools, request.ask, request.tools) = (vec!["Bash".into()], true, vec![tool("share")]);
    request
}

/// The next question, and what it is about.
async fn asked(turn: &mut Turn) -> (RequestId, String) {
    let events = until(turn, |event| matches!(event, TurnEvent::PermissionAsked { .. })).await;
    match events.last() {
        Some(TurnEvent::PermissionAsked { request, tool, input }) if tool == "Bash" => {
            (request.clone(), input.value()["command"].as_str().unwrap().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

async fn a_tool_of_its_own_is_used_only_with_leave(version: ClaudeVersion) {
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("mcp__party__share", json!({})))
        .turn(ModelTurn::tool_use("Bash", json!({"command": "touch allowed", "timeout": 5000})))
        .turn(ModelTurn::tool_use("Bash", json!({"command": "touch denied"})))
        .turn(ModelTurn::text("Not again.").when("not in this house"));
    let (bench, _fake) = host(version, scenario).await;
    let tools = Tools::new();
    let session = bench.open_with(tools.clone(), None).await;
    let mut turn = begin(&session, asking(&bench, 1)).await;
    let (request, command) = asked(&mut turn).await;
    assert_eq!((command.as_str(), tools.calls().len()), ("touch allowed", 1), "the host's tools never ask");
    assert!(!bench.spec(None).cwd.join("allowed").exists());
    turn.control.answer(RequestId("unknown".into()), Answer::Allow).await.unwrap();
    turn.control.answer(request.clone(), Answer::Allow).await.unwrap();
    turn.control.answer(request, Answer::Deny { why: "too late".into() }).await.unwrap();
    let (request, command) = asked(&mut turn).await;
    assert_eq!(command, "touch denied");
    turn.control.answer(request, Answer::Deny { why: "not in this house".into() }).await.unwrap();
    let end = end_of(turn).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Not again.")), "{end:?}");
    let exists = |name: &str| bench.spec(None).cwd.join(name).exists();
    assert!(exists("allowed") && !exists("denied"));
}

async fn a_question_that_is_not_answered_is_withdrawn(version: ClaudeVersion) {
    // Even what the CLI takes for harmless is asked for.
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("Bash", json!({"command": "ls"})))
        .default_turn(ModelTurn::text("Fine."));
    let (bench, _fake) = host(version, scenario).await;
    let session = bench.open_with(Tools::new(), None).await;
    let mut turn = begin(&session, asking(&bench, 1)).await;
    let (asked, command) = asked(&mut turn).await;
    assert_eq!(command, "ls");
    turn.control.interrupt().await.unwrap();
    let events = events_of(turn).await;
    assert!(events.contains(&TurnEvent::PermissionWithdrawn { request: asked }), "{events:?}");
    let Some(TurnEvent::Ended(end)) = events.last() else { panic!() };
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    let process = pid(&bench);
    let end = end_of(begin(&session, asking(&bench, 2)).await).await;
    assert_eq!((end.text.as_deref(), pid(&bench)), (Some("Fine."), process), "{end:?}");
}

async fn a_turn_that_is_not_to_be_asked_uses_its_tools_freely(version: ClaudeVersion) {
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("Bash", json!({"command": "touch free"})))
        .default_turn(ModelTurn::text("Fine."));
    let (bench, _fake) = host(version, scenario).await;
    let session = bench.open(None).await;
    let mut request = asking(&bench, 1);
    (request.ask, request.tools) = (false, Vec::new());
    let events = events_of(begin(&session, request).await).await;
    assert!(!events.iter().any(|event| matches!(event, TurnEvent::PermissionAsked { .. })), "{events:?}");
    assert!(bench.spec(None).cwd.join("free").exists());
}
