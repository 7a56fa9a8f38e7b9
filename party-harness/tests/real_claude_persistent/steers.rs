//! Further messages to a running turn.

use crate::{
    claude::{end_of, events_of},
    host::{Tools, begin, host, pid, tool, until},
    stage::said_to,
};
use party_core::Outcome;
use party_harness::{ErrorKind, Steered, TurnEvent};
use serde_json::json;
use test_support::{ClaudeVersion, Gate, ModelTurn, Scenario};

test_support::on_each_claude!(
    a_message_in_the_middle_of_a_text_is_answered_by_the_same_turn,
    a_message_in_the_middle_of_a_tool_is_taken_between_two_steps,
    several_messages_are_all_taken_and_none_is_read_as_a_command,
    an_interrupted_turn_takes_its_messages_with_it,
);

async fn a_message_in_the_middle_of_a_text_is_answered_by_the_same_turn(version: ClaudeVersion) {
    let gate = Gate::new();
    let scenario = Scenario::new()
        .turn(ModelTurn::text("I say A.").gate(&gate).when("begin"))
        .turn(ModelTurn::text("Then B.").when("take B"))
        .default_turn(ModelTurn::text("Fine."));
    let (bench, fake) = host(version, scenario).await;
    let session = bench.open(None).await;
    let turn = begin(&session, bench.request(1, 1, "", "begin")).await;
    gate.arrived().await;
    assert_eq!(turn.control.steer("take B".into()).await.unwrap(), Steered::Taken);
    assert_eq!(turn.control.steer("  ".into()).await.unwrap_err().kind(), ErrorKind::Invalid);
    gate.open();
    let control = turn.control.clone();
    let events = events_of(turn).await;
    let texts: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TurnEvent::Text { text } => Some(&**text),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["I say A.", "Then B."]);
    let Some(TurnEvent::Ended(end)) = events.last() else { panic!() };
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Then B.")), "{end:?}");
    let cost = end.cost.amount().unwrap();
    assert_eq!(control.steer("too late".into()).await.unwrap(), Steered::TooLate);
    let process = pid(&bench);
    let end = end_of(begin(&session, bench.request(2, 1, "next", "")).await).await;
    assert_eq!((end.text.as_deref(), pid(&bench)), (Some("Fine."), process), "{end:?}");
    let one = end.cost.amount().unwrap().as_micros();
    assert!(cost.as_micros().abs_diff(2 * one) <= 1, "both runs are the turn's: {cost:?}");
    let all = fake.model_requests().iter().map(said_to).collect::<String>();
    assert!(!all.contains("too late"));
}

async fn a_message_in_the_middle_of_a_tool_is_taken_between_two_steps(version: ClaudeVersion) {
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("mcp__party__wait", json!({})))
        .turn(ModelTurn::text("As you say.").when("waited").when("take B"))
        .default_turn(ModelTurn::text("Never asked."));
    let (bench, fake) = host(version, scenario).await;
    let tools = Tools::new();
    let session = bench.open_with(tools.clone(), None).await;
    let mut request = bench.request(1, 1, "", "begin");
    request.tools = vec![tool("wait")];
    let turn = begin(&session, request).await;
    bench.until("the tool is called", || tools.calls().len() == 1).await;
    // It is written before the tool's answer is.
    assert_eq!(turn.control.steer("take B".into()).await.unwrap(), Steered::Taken);
    tools.release();
    let end = end_of(turn).await;
    assert_eq!((end.text.as_deref(), end.usage.steps), (Some("As you say."), 2), "{end:?}");
    assert_eq!(fake.model_requests().len(), 2);
}

async fn several_messages_are_all_taken_and_none_is_read_as_a_command(version: ClaudeVersion) {
    let gate = Gate::new();
    let scenario = Scenario::new()
        .turn(ModelTurn::text("Well.").gate(&gate).when("begin"))
        .turn(ModelTurn::text("All of it.").when("/clear").when("@/etc/hostname").when("!ls").repeat())
        .default_turn(ModelTurn::text("More?"));
    let (bench, fake) = host(version, scenario).await;
    let session = bench.open_with(Tools::new(), None).await;
    let mut request = bench.request(1, 1, "", "begin");
    request.tools = vec![tool("share")];
    let turn = begin(&session, request).await;
    gate.arrived().await;
    for text in ["/clear", "@/etc/hostname", "!ls"] {
        assert_eq!(turn.control.steer(text.into()).await.unwrap(), Steered::Taken);
    }
    gate.open();
    let end = end_of(turn).await;
    assert_eq!(end.text.as_deref(), Some("All of it."), "{end:?}");
    let said = said_to(fake.model_requests().last().unwrap());
    let hostname = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    assert!(!said.contains("Called the Read tool"), "{said} {hostname}");
}

async fn an_interrupted_turn_takes_its_messages_with_it(version: ClaudeVersion) {
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("Bash", json!({"command": "sleep 1000"})).unless("SECOND"))
        .default_turn(ModelTurn::text("Fine."));
    let (bench, _fake) = host(version, scenario).await;
    let session = bench.open(None).await;
    let request = |turn, text: &str| {
        let mut request = bench.request(turn, 1, text, text);
        request.own_tools = vec!["Bash".into()];
        request
    };
    let mut turn = begin(&session, request(1, "first")).await;
    until(&mut turn, |event| matches!(event, TurnEvent::ToolUse { .. })).await;
    assert_eq!(turn.control.steer("take B".into()).await.unwrap(), Steered::Taken);
    turn.control.interrupt().await.unwrap();
    let end = end_of(turn).await;
    // An older CLI begins a run with the message all the same.
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    let end = end_of(begin(&session, request(2, "SECOND")).await).await;
    assert_eq!(end.text.as_deref(), Some("Fine."), "{end:?}");
}
