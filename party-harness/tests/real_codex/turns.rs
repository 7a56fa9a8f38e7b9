//! Turns, and what is told of them.

use crate::{
    codex::{begin, end_of, events_of, request, run},
    stage::{Stage, said, system},
};
use party_core::{Cost, Failure, Outcome, Sent};
use party_harness::{Harness as _, Steered, TurnEvent};
use test_support::{Block, Gate, ModelTurn, Scenario};

#[tokio::test]
async fn the_model_is_told_the_system_prompt_and_the_message_and_nothing_else() {
    let stage = Stage::new(Scenario::new().turn(ModelTurn::text("Ship it."))).await;
    let codex = stage.codex();
    let end = run(&stage.open(&codex).await, request(1, "Should we?", &[])).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Ship it.")));
    let asked = &stage.fake.model_requests()[0];
    assert_eq!((system(asked).trim(), said(asked)), ("You are seat 1.", vec!["Should we?".to_owned()]));
    codex.shutdown().await.unwrap();
}

/// All steps of a turn, without those of the turns before.
#[tokio::test]
async fn a_turn_tells_the_tokens_of_its_own_model_calls() {
    let scenario = Scenario::new()
        .turn(ModelTurn::text("One."))
        .turn(ModelTurn::tool_use("party.share", serde_json::json!({"text": "hi"})))
        .turn(ModelTurn::text("Two."));
    let stage = Stage::new(scenario).await;
    let codex = stage.codex();
    let session = stage.open(&codex).await;
    let first = run(&session, request(1, "One?", &["share"])).await;
    let second = run(&session, request(2, "Two?", &["share"])).await;
    let mut twice = first.usage;
    twice.add(&first.usage);
    assert!(first.usage.input_tokens > 0 && first.usage.output_tokens > 0 && first.usage.steps == 1);
    assert_eq!((second.usage, second.cost), (twice, Cost::Unknown));
    codex.shutdown().await.unwrap();
}

/// Steering cuts off what the model is saying: it is no part of the answer.
#[tokio::test]
async fn a_message_in_mid_turn_is_answered_within_it() {
    let gate = Gate::new();
    let mut waits = ModelTurn::text("Let me think about that for a while.").unless("And hurry.");
    (waits.gate, waits.gate_at_block) = (Some(gate.clone()), Some(0));
    let stage = Stage::new(Scenario::new().turn(waits).turn(ModelTurn::text("As you say."))).await;
    let codex = stage.codex();
    let session = stage.open(&codex).await;
    let turn = begin(&session, request(1, "Think.", &[])).await;
    gate.arrived().await;
    let control = std::sync::Arc::clone(&turn.control);
    assert_eq!(control.steer("And hurry.".to_owned()).await.unwrap(), Steered::Taken);
    let end = end_of(turn).await;
    assert_eq!(end.text.as_deref(), Some("As you say."));
    assert_eq!(said(&stage.fake.model_requests()[1]), ["Think.", "And hurry."]);
    gate.open();
    codex.shutdown().await.unwrap();
}

#[tokio::test]
async fn a173_errors_of_the_provider_are_typed_and_the_next_turn_works() {
    let error =
        |status, kind: &str| ModelTurn::error(status, kind, "no").when(format!("cue-{status}")).repeat();
    let scenario = Scenario::new()
        .turn(ModelTurn::text("Better.").when("cue-200"))
        .turn(error(500, "server_error"))
        .turn(error(429, "rate_limit_exceeded"))
        .turn(error(401, "invalid_api_key"))
        .turn(error(400, "invalid_request_error"));
    let stage = Stage::new(scenario).await;
    let codex = stage.codex();
    let session = stage.open(&codex).await;
    let cases = [
        (400, Failure::Rejected),
        (401, Failure::Unauthenticated),
        (429, Failure::RateLimited),
        (500, Failure::Overloaded),
    ];
    for (n, (status, failure)) in (1..).zip(cases) {
        let events = events_of(begin(&session, request(n, &format!("cue-{status}"), &[])).await).await;
        let end = crate::codex::end_in(&events);
        assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(failure)), "{status}: {end:?}");
        let is_waiting = |event: &TurnEvent| {
            matches!(event, TurnEvent::Waiting { .. } | TurnEvent::RateLimit { rejected: true, .. })
        };
        assert_eq!(events.iter().any(is_waiting), status != 400, "{status}: {events:?}");
    }
    let end = run(&session, request(9, "cue-200", &[])).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Better."), Sent::Delta));
    codex.shutdown().await.unwrap();
}

#[tokio::test]
async fn a173_a_provider_that_cannot_be_reached_is_a_typed_error_in_seconds() {
    let stage = Stage::new(Scenario::new()).await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", closed.local_addr().unwrap());
    drop(closed);
    let codex = stage.codex().config("model_providers.fake.base_url", url);
    let session = stage.open(&codex).await;
    let began = std::time::Instant::now();
    let end = run(&session, request(1, "Hello?", &[])).await;
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Overloaded)), "{end:?}");
    assert!(began.elapsed().as_secs() < 50, "{:?}", began.elapsed());
    codex.shutdown().await.unwrap();
}

/// With what Codex does by itself, it asks without end.
#[tokio::test]
async fn a173_a_provider_that_never_answers_is_a_typed_error_within_the_patience() {
    let stage = Stage::new(Scenario::new().turn(ModelTurn::empty().hang().repeat())).await;
    let patience = std::time::Duration::from_secs(2);
    let codex = stage.codex().idle_patience(patience);
    let end = run(&stage.open(&codex).await, request(1, "Hello?", &[])).await;
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Idle)), "{end:?}");
    codex.shutdown().await.unwrap();
}

#[tokio::test]
async fn thinking_is_told_and_is_no_answer() {
    let model = ModelTurn::empty().block(Block::thinking("Hm.")).block(Block::text("Yes."));
    let stage = Stage::new(Scenario::new().turn(model)).await;
    let codex = stage.codex();
    let events = events_of(begin(&stage.open(&codex).await, request(1, "So?", &[])).await).await;
    let thoughts: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TurnEvent::Thinking { text } => Some(&**text),
            _ => None,
        })
        .collect();
    assert_eq!((thoughts, crate::codex::texts(&events)), (vec!["Hm."], vec!["Yes."]));
    codex.shutdown().await.unwrap();
}
