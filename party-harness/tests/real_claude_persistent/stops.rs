//! Turns that are stopped, and what comes after them.

use crate::{
    claude::end_of,
    host::{begin, host, pid, until},
};
use party_core::Outcome;
use party_harness::{ErrorKind, Health, TurnEvent};
use serde_json::json;
use std::time::Duration;
use test_support::{ClaudeVersion, ModelTurn, Scenario};

test_support::on_each_claude!(
    a171_an_interrupt_in_a_text_leaves_the_process_to_the_next_turn,
    a171_an_interrupt_in_a_shell_ends_the_shell_and_not_the_process,
    an_interrupt_before_the_model_is_asked_cancels_the_turn,
    a_dropped_turn_is_interrupted_and_the_session_goes_on,
);

fn slow() -> ModelTurn {
    ModelTurn::text("word ".repeat(2000)).with(|turn| (turn.chunk, turn.chunk_delay_ms) = (Some(20), 50))
}

async fn a171_an_interrupt_in_a_text_leaves_the_process_to_the_next_turn(version: ClaudeVersion) {
    let scenario = Scenario::new().turn(slow().when("begin")).default_turn(ModelTurn::text("Back."));
    let (bench, fake) = host(version, scenario).await;
    let session = bench.open(None).await;
    let turn = begin(&session, bench.request(1, 1, "", "begin")).await;
    fake.wait_for_model_requests(1).await;
    let busy = session.turn(bench.request(2, 1, "x", "x")).await.unwrap_err();
    assert_eq!((busy.kind(), session.state().health), (ErrorKind::Busy, Health::Running));
    let process = pid(&bench);
    turn.control.interrupt().await.unwrap();
    turn.control.interrupt().await.unwrap();
    let end = end_of(turn).await;
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    assert!(end.cost.amount().is_some() && end.token.is_some(), "{end:?}");
    let end = end_of(begin(&session, bench.request(2, 1, "again", "never")).await).await;
    assert_eq!((end.text.as_deref(), pid(&bench)), (Some("Back."), process), "{end:?}");
}

async fn a171_an_interrupt_in_a_shell_ends_the_shell_and_not_the_process(version: ClaudeVersion) {
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("Bash", json!({"command": "sleep 1000"})))
        .default_turn(ModelTurn::text("Back."));
    let (bench, _fake) = host(version, scenario).await;
    let session = bench.open(None).await;
    let request = |turn| {
        let mut request = bench.request(turn, 1, "begin", "begin");
        request.own_tools = vec!["Bash".into()];
        request
    };
    let mut turn = begin(&session, request(1)).await;
    until(&mut turn, |event| matches!(event, TurnEvent::ToolUse { .. })).await;
    bench.until("the shell runs", || bench.alive() >= 2).await;
    turn.control.interrupt().await.unwrap();
    let end = end_of(turn).await;
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    bench.until("the shell is gone", || bench.alive() == 1).await;
    let process = pid(&bench);
    let end = end_of(begin(&session, request(2)).await).await;
    assert_eq!((end.text.as_deref(), pid(&bench)), (Some("Back."), process), "{end:?}");
}

async fn an_interrupt_before_the_model_is_asked_cancels_the_turn(version: ClaudeVersion) {
    let (bench, fake) = host(version, Scenario::new().default_turn(ModelTurn::text("Back."))).await;
    let session = bench.open(None).await;
    let turn = begin(&session, bench.request(1, 1, "", "begin")).await;
    turn.control.interrupt().await.unwrap();
    let end = end_of(turn).await;
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    let asked = fake.model_requests().len();
    let end = end_of(begin(&session, bench.request(2, 1, "delta", "the whole")).await).await;
    assert_eq!((end.text.as_deref(), fake.model_requests().len()), (Some("Back."), asked + 1), "{end:?}");
}

async fn a_dropped_turn_is_interrupted_and_the_session_goes_on(version: ClaudeVersion) {
    let scenario = Scenario::new().turn(slow().when("begin")).default_turn(ModelTurn::text("Back."));
    let (bench, fake) = host(version, scenario).await;
    let session = bench.open(None).await;
    let turn = begin(&session, bench.request(1, 1, "", "begin")).await;
    fake.wait_for_model_requests(1).await;
    let process = pid(&bench);
    drop(turn);
    let usable = async {
        loop {
            match session.turn(bench.request(2, 1, "again", "never")).await {
                Ok(turn) => return turn,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Busy),
            }
            tokio::task::yield_now().await;
        }
    };
    let turn = tokio::time::timeout(Duration::from_secs(10), usable).await.unwrap();
    let end = end_of(turn).await;
    assert_eq!((end.text.as_deref(), pid(&bench)), (Some("Back."), process), "{end:?}");
}
