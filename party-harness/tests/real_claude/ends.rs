//! Turns that do not go as they should.

use crate::{
    claude::{end_of, events_of},
    server::{mcp, with_share},
    stage::{last, said_to, stage},
};
use party_core::{Outcome, Sent, Usd};
use party_harness::{ErrorKind, TurnEvent};
use serde_json::json;
use test_support::{Block, ClaudeVersion, Gate, ModelTurn, Scenario};

test_support::on_each_claude!(
    an_interrupted_turn_is_cancelled_and_can_be_resumed,
    a_killed_process_goes_on_by_a_continuation_once_it_had_the_message,
    a_message_that_was_lost_with_its_process_is_sent_again,
    a164_an_error_of_the_provider_fails_the_turn_with_its_cost,
    an_answer_without_a_word_is_empty,
);

async fn an_interrupted_turn_is_cancelled_and_can_be_resumed(version: ClaudeVersion) {
    let slow = ModelTurn::text("word ".repeat(2000)).with(|turn| {
        (turn.chunk, turn.chunk_delay_ms) = (Some(20), 50);
    });
    let scenario = Scenario::new().turn(slow.when("begin")).default_turn(ModelTurn::text("Back."));
    let (bench, fake) = stage(version, scenario).await;
    let session = bench.open(None).await;
    let turn = session.turn(bench.request(1, 1, "begin", "begin")).await.unwrap();
    fake.wait_for_model_requests(1).await;
    let busy = session.turn(bench.request(2, 1, "x", "x")).await.unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    turn.control.interrupt().await.unwrap();
    turn.control.interrupt().await.unwrap();
    let end = end_of(turn).await;
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    assert_eq!(bench.alive(), 0, "a171");
    let end = end_of(session.turn(bench.request(2, 1, "again", "again, whole")).await.unwrap()).await;
    assert_eq!(end.text.as_deref(), Some("Back."), "{end:?}");
}

async fn a_killed_process_goes_on_by_a_continuation_once_it_had_the_message(version: ClaudeVersion) {
    let call = ModelTurn::empty().block(Block::tool_use("mcp__party__share", json!({})));
    let gate = Gate::new();
    let scenario = Scenario::new()
        .turn(call.when("begin"))
        .turn(ModelTurn::text("never said").gate(&gate).when("shared as 7").unless("GO ON"))
        .turn(ModelTurn::text("Finished.").when("GO ON"));
    let (bench, fake) = stage(version, scenario).await;
    let (endpoint, _) = mcp().await;
    let mut request = with_share(bench.request(1, 1, "begin", "begin"), &endpoint);
    let session = bench.open(None).await;
    let turn = session.turn(request.clone()).await.unwrap();
    gate.arrived().await;
    // The CLI writes its transcript a moment late; before, the message is lost with the process.
    bench
        .until("the tool's answer is in the transcript", || bench.transcripts().contains("shared as 7"))
        .await;
    bench.kill();
    let end = end_of(turn).await;
    assert_eq!(end.outcome, Outcome::Failed);
    assert!(end.reason.as_deref().unwrap().contains("signal 9"), "{end:?}");
    assert!(end.token.is_some() && end.cost == party_core::Cost::Unknown);
    // A token that was lost with the host is found again by its derivation.
    for token in [None, end.token] {
        let session = bench.open(token).await;
        request.key.attempt += 1;
        request.continuation = Some("GO ON".into());
        fake.set(Scenario::new().turn(ModelTurn::text("Finished.").when("GO ON")).count_side());
        let end = end_of(session.turn(request.clone()).await.unwrap()).await;
        assert_eq!(
            (end.outcome, end.text.as_deref(), end.sent),
            (Outcome::Completed, Some("Finished."), Sent::Delta)
        );
        let said = said_to(&last(&fake));
        assert_eq!(said.matches("begin").count(), 1, "{said}");
    }
}

async fn a_message_that_was_lost_with_its_process_is_sent_again(version: ClaudeVersion) {
    let scenario = Scenario::new().default_turn(ModelTurn::text("One."));
    let (bench, fake) = stage(version, scenario).await;
    let session = bench.open(None).await;
    let end = end_of(session.turn(bench.request(1, 1, "first", "first")).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Completed);
    let mut request = bench.request(2, 1, "second", "all of it");
    let turn = session.turn(request.clone()).await.unwrap();
    // Long before it reads its message; while a program is becoming another, it shows no variables.
    bench.until("the process shows", || bench.alive() > 0).await;
    bench.kill();
    assert_eq!(end_of(turn).await.outcome, Outcome::Failed);
    (request.key.attempt, request.continuation) = (2, Some("GO ON".into()));
    let end = end_of(session.turn(request).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    let said = said_to(&last(&fake));
    assert!(said.contains("first") && said.contains("second") && !said.contains("GO ON"), "{said}");
}

async fn a164_an_error_of_the_provider_fails_the_turn_with_its_cost(version: ClaudeVersion) {
    let error = ModelTurn::error(500, "api_error", "fake trouble").repeat();
    let (bench, _fake) = stage(version, Scenario::new().turn(error)).await;
    let events = events_of(bench.open(None).await.turn(bench.request(1, 1, "x", "x")).await.unwrap()).await;
    let TurnEvent::Ended(end) = events.last().unwrap() else { panic!() };
    assert_eq!((end.outcome, end.cost.amount()), (Outcome::Failed, Some(Usd::ZERO)), "{end:?}");
    assert!(end.reason.as_deref().unwrap().contains("500") && end.token.is_some(), "{end:?}");
    assert_eq!(end.text, None, "what the CLI wrote itself is not the agent's");
    assert!(events.iter().any(|event| matches!(event, TurnEvent::Waiting { .. })), "{events:?}");
}

/// The CLI asks once more by itself, and then calls it a success.
async fn an_answer_without_a_word_is_empty(version: ClaudeVersion) {
    let (bench, _fake) = stage(version, Scenario::new().default_turn(ModelTurn::empty())).await;
    let end = end_of(bench.open(None).await.turn(bench.request(1, 1, "x", "x")).await.unwrap()).await;
    assert_eq!((end.outcome, end.text, end.token), (Outcome::Empty, None, None));
    assert!(end.cost.amount().unwrap() > Usd::ZERO);
}
