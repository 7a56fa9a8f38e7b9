//! The host's tools, without a port.

use crate::{
    claude::{end_of, events_of},
    host::{Tools, begin, host, pid, tool},
    stage::offered,
};
use party_core::{Cost, Outcome, Usd};
use party_harness::{TurnEvent, TurnRequest};
use serde_json::json;
use std::sync::Arc;
use test_support::{Block, ClaudeVersion, ModelTurn, Scenario};

test_support::on_each_claude!(
    a168_a_call_reaches_the_host_with_its_turn_and_the_runtimes_id,
    calls_of_one_message_run_beside_each_other,
    a_tool_that_panics_or_refuses_is_an_error_to_the_model,
    a_tool_that_hangs_ends_with_its_turn,
    a165_tools_that_the_runtime_does_not_take_fail_the_turn_before_the_model_is_asked,
);

fn calling(names: &[&str]) -> ModelTurn {
    let call = |name: &&str| Block::tool_use(format!("mcp__party__{name}"), json!({"text": "mine"}));
    names.iter().map(call).fold(ModelTurn::empty(), ModelTurn::block)
}

fn with(mut request: TurnRequest, names: &[&str]) -> TurnRequest {
    request.tools = names.iter().map(|name| tool(name)).collect();
    request
}

async fn a168_a_call_reaches_the_host_with_its_turn_and_the_runtimes_id(version: ClaudeVersion) {
    let scenario = Scenario::new()
        .turn(calling(&["share"]).when("begin"))
        .turn(ModelTurn::text("Done.").when("shared as 7"))
        .turn(calling(&["share"]).when("again"))
        .turn(ModelTurn::text("Twice."));
    let (bench, fake) = host(version, scenario).await;
    let tools = Tools::new();
    let session = bench.open_with(Arc::clone(&tools) as _, None).await;
    let mut ids = Vec::new();
    for (turn, text, expected) in [(1, "begin", "Done."), (2, "again", "Twice.")] {
        let events =
            events_of(begin(&session, with(bench.request(turn, 1, text, text), &["share"])).await).await;
        let TurnEvent::Ended(end) = events.last().unwrap() else { panic!() };
        assert_eq!((end.text.as_deref(), end.usage.steps), (Some(expected), 2), "{end:?}");
        ids.extend(events.iter().find_map(|event| match event {
            TurnEvent::ToolUse { id, name, .. } if name == "share" => Some(id.clone()),
            _ => None,
        }));
        let answered = |e: &TurnEvent| matches!(e, TurnEvent::ToolResult { text, is_error: false, .. } if &**text == "shared as 7");
        assert!(events.iter().any(answered), "{events:?}");
    }
    assert_eq!(
        offered(&fake.model_requests()[0]),
        ["mcp__party__share"],
        "a167: in the first request, alone"
    );
    let calls = tools.calls();
    let seen: Vec<_> = calls.iter().map(|call| (call.key, call.id.clone())).collect();
    assert_eq!(seen, [(bench.key(1, 1), ids[0].clone()), (bench.key(2, 1), ids[1].clone())]);
    assert_eq!((calls[0].name.as_str(), &calls[0].arguments), ("share", &json!({"text": "mine"})));
    pid(&bench);
}

async fn calls_of_one_message_run_beside_each_other(version: ClaudeVersion) {
    let names = ["share", "share", "share"];
    let scenario = Scenario::new().turn(calling(&names).when("begin")).turn(ModelTurn::text("Done."));
    let (bench, _fake) = host(version, scenario).await;
    let tools = Tools::new();
    let session = bench.open_with(Arc::clone(&tools) as _, None).await;
    let end = end_of(begin(&session, with(bench.request(1, 1, "", "begin"), &["share"])).await).await;
    assert_eq!(end.text.as_deref(), Some("Done."), "{end:?}");
    let mut ids: Vec<_> = tools.calls().into_iter().map(|call| call.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

async fn a_tool_that_panics_or_refuses_is_an_error_to_the_model(version: ClaudeVersion) {
    let scenario = Scenario::new()
        .turn(calling(&["panic", "refuse"]).when("begin"))
        .turn(ModelTurn::text("I see.").when("the tool failed").when("slots full: 3 of 3"))
        .default_turn(ModelTurn::text("Fine."));
    let (bench, _fake) = host(version, scenario).await;
    let session = bench.open_with(Tools::new(), None).await;
    let names = ["panic", "refuse"];
    let events = events_of(begin(&session, with(bench.request(1, 1, "", "begin"), &names)).await).await;
    let failed = |e: &&TurnEvent| matches!(e, TurnEvent::ToolResult { is_error: true, .. });
    assert_eq!(events.iter().filter(failed).count(), 2, "{events:?}");
    let process = pid(&bench);
    let end = end_of(begin(&session, with(bench.request(2, 1, "more", ""), &names)).await).await;
    assert_eq!((end.text.as_deref(), pid(&bench)), (Some("Fine."), process), "{end:?}");
}

async fn a_tool_that_hangs_ends_with_its_turn(version: ClaudeVersion) {
    let scenario =
        Scenario::new().turn(calling(&["hang"]).when("begin")).default_turn(ModelTurn::text("Fine."));
    let (bench, _fake) = host(version, scenario).await;
    let tools = Tools::new();
    let session = bench.open_with(Arc::clone(&tools) as _, None).await;
    let turn = begin(&session, with(bench.request(1, 1, "", "begin"), &["hang"])).await;
    bench.until("the tool is called", || tools.calls().len() == 1).await;
    turn.control.interrupt().await.unwrap();
    let end = end_of(turn).await;
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    assert!(end.cost.amount().is_some(), "{end:?}");
    let process = pid(&bench);
    let end = end_of(begin(&session, with(bench.request(2, 1, "more", ""), &["hang"])).await).await;
    assert_eq!((end.text.as_deref(), pid(&bench)), (Some("Fine."), process), "{end:?}");
}

async fn a165_tools_that_the_runtime_does_not_take_fail_the_turn_before_the_model_is_asked(
    version: ClaudeVersion,
) {
    let (bench, fake) = host(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let session = bench.open_with(Tools::new(), None).await;
    let mut request = with(bench.request(1, 1, "", "begin"), &["share"]);
    request.tools[0].input_schema = json!({"type": "nonsense"});
    let end = end_of(begin(&session, request).await).await;
    assert_eq!((end.outcome, end.token), (Outcome::Failed, None));
    assert_eq!(
        end.reason.as_deref(),
        Some("the mcp server `party` does not offer the tool `mcp__party__share`")
    );
    assert_eq!((end.text, end.cost), (None, Cost::Reported(Usd::ZERO)));
    assert_eq!((fake.model_requests().len(), bench.alive()), (0, 0));
    let end = end_of(begin(&session, with(bench.request(2, 1, "", "begin"), &["share"])).await).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
}
