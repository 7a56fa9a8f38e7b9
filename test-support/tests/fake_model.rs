//! The fake as a client sees it.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod http;

use std::time::Duration;

use http::{ask, connect, receive, request, send};
use serde_json::{Value, json};
use test_support::{Block, FakeModel, Gate, ModelTurn, Scenario, SseError};

fn body(stream: bool, text: &str) -> Value {
    let messages = json!([{"role": "user", "content": text}]);
    json!({"model": "m-1", "stream": stream, "messages": messages, "tools": [{"name": "Bash"}]})
}

async fn fake(turn: ModelTurn) -> FakeModel {
    FakeModel::start(Scenario::new().turn(turn)).await
}

#[tokio::test]
async fn a_stream_is_whole_and_logged() {
    let tool = Block::tool_use("Bash", json!({"command": "ls"}));
    let turn = ModelTurn::empty().block(Block::thinking("hm")).block(Block::text("I look.")).block(tool);
    let fake = fake(turn).await;
    let reply = ask(fake.base_url(), &body(true, "hello")).await;
    assert!(reply.complete);
    assert!(reply.head.contains("content-type: text/event-stream"), "{}", reply.head);
    let events = reply.events();
    let kinds = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((kinds("message_start"), kinds("content_block_stop"), kinds("message_stop")), (1, 3, 1));
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "tool_use");
    let logged = &fake.requests()[0];
    assert_eq!((&logged["path"], &logged["turn"]), (&json!("/v1/messages"), &json!(0)));
    assert_eq!((&logged["headers"]["x-probe"], &logged["outcome"]), (&json!("yes"), &json!("sent")));
    assert_eq!(logged["body"]["messages"][0]["content"], "hello");
}

#[tokio::test]
async fn every_api_gives_the_same_answer() {
    let turn = ModelTurn::text("Hi.").repeat().with(|turn| turn.chunk = Some(9));
    let fake = FakeModel::start(Scenario::new().turn(turn)).await;
    let chat =
        request(fake.base_url(), "POST", "/v1/chat/completions", r#"{"model":"m","stream":true}"#).await;
    assert!(chat.body.ends_with("data: [DONE]\n\n") && chat.body.contains("\"Hi.\""), "{}", chat.body);
    let responses = request(fake.base_url(), "POST", "/v1/responses", r#"{"model":"m","stream":true}"#).await;
    assert_eq!(responses.events().last().unwrap()["response"]["output"][0]["content"][0]["text"], "Hi.");
    let gemini = "/v1beta/models/m:generateContent";
    let gemini = request(fake.base_url(), "POST", gemini, "{}").await.json();
    assert_eq!(gemini["candidates"][0]["content"]["parts"][0]["text"], "Hi.");
    assert_eq!(gemini["modelVersion"], "m");
    assert_eq!(fake.model_requests().len(), 3);
}

#[tokio::test]
async fn one_message_without_a_stream_then_the_default() {
    let scenario = Scenario::new().turn(ModelTurn::text("Hi.")).default_turn(ModelTurn::text("Else."));
    let fake = FakeModel::start(scenario).await;
    let first = ask(fake.base_url(), &body(false, "hello")).await.json();
    assert_eq!((&first["content"][0]["text"], &first["model"]), (&json!("Hi."), &json!("m-1")));
    let second = ask(fake.base_url(), &body(false, "hello")).await.json();
    assert_eq!(second["content"][0]["text"], "Else.");
    fake.set(Scenario::new());
    assert!(fake.requests().is_empty());
    let third = ask(fake.base_url(), &body(false, "hello")).await.json();
    assert_eq!(third["content"][0]["text"], "(default reply)");
}

#[tokio::test]
async fn side_calls_leave_the_turns_alone() {
    let fake = fake(ModelTurn::text("Hi.")).await;
    let side = ask(fake.base_url(), &json!({"model": "m"})).await.json();
    assert_eq!(side["content"][0]["text"], r#"{"title":"side call"}"#);
    ask(fake.base_url(), &body(false, "hello")).await;
    assert_eq!((fake.requests().len(), fake.model_requests().len()), (2, 1));
}

#[tokio::test]
async fn errors_have_status_headers_and_text() {
    let turn = ModelTurn::error(429, "rate_limit_error", "slow down").with(|turn| {
        turn.headers.insert("retry-after".to_owned(), "3".to_owned());
    });
    let fake = fake(turn).await;
    let reply = ask(fake.base_url(), &body(true, "hello")).await;
    assert_eq!(reply.status(), Some(429));
    assert!(reply.head.contains("retry-after: 3"), "{}", reply.head);
    assert_eq!(reply.json()["error"], json!({"type": "rate_limit_error", "message": "slow down"}));
}

#[tokio::test]
async fn a_dropped_request_gets_no_byte() {
    let fake = fake(ModelTurn::empty().with(|turn| turn.drop = true)).await;
    let reply = ask(fake.base_url(), &body(true, "hello")).await;
    assert!(reply.head.is_empty() && !reply.complete);
    let again = ask(fake.base_url(), &body(true, "hello")).await;
    assert!(again.complete);
}

#[tokio::test]
async fn a_truncated_stream_keeps_what_was_sent() {
    for clean in [false, true] {
        let turn = ModelTurn::text("one two three").with(|turn| {
            turn.truncate_after = Some(4);
            turn.clean_end = clean;
        });
        let fake = fake(turn).await;
        let reply = ask(fake.base_url(), &body(true, "hello")).await;
        assert_eq!((reply.events().len(), reply.complete), (4, clean));
        assert_eq!(fake.requests()[0]["outcome"], "cut");
    }
}

#[tokio::test]
async fn an_error_event_ends_the_stream() {
    let error = SseError::new("overloaded_error", "busy");
    let fake = fake(ModelTurn::text("x").with(|turn| turn.sse_error = Some(error))).await;
    let reply = ask(fake.base_url(), &body(true, "hello")).await;
    let events = reply.events();
    assert_eq!((events.len(), reply.complete), (2, false));
    assert_eq!(events[1]["error"], json!({"type": "overloaded_error", "message": "busy"}));
}

#[tokio::test]
async fn a_gate_holds_the_answer() {
    let gate = Gate::new();
    let fake = fake(ModelTurn::text("Hi.").gate(&gate)).await;
    let mut stream = connect(fake.base_url()).await;
    send(&mut stream, "POST", "/v1/messages", &body(true, "hello").to_string()).await;
    gate.arrived().await;
    fake.wait_for_model_requests(1).await;
    assert_eq!(fake.requests()[0]["outcome"], "open");
    gate.release();
    assert!(receive(stream).await.complete);
}

#[tokio::test]
async fn an_open_gate_holds_nothing() {
    let gate = Gate::new();
    gate.open();
    let fake = fake(ModelTurn::text("Hi.").gate(&gate).repeat()).await;
    for _ in 0..2 {
        assert!(ask(fake.base_url(), &body(true, "hello")).await.complete);
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_seen() {
    let gate = Gate::new();
    let in_stream = ModelTurn::text("one").block(Block::text("two")).gate(&gate);
    let in_stream = in_stream.with(|turn| turn.gate_at_block = Some(1));
    for turn in [ModelTurn::text("x").gate(&gate), in_stream, ModelTurn::empty().hang()] {
        let held = turn.gate.is_some();
        let fake = fake(turn).await;
        let mut stream = connect(fake.base_url()).await;
        send(&mut stream, "POST", "/v1/messages", &body(true, "hello").to_string()).await;
        fake.wait_for_model_requests(1).await;
        if held {
            gate.arrived().await;
        }
        drop(stream);
        fake.wait_until(|all| all[0]["outcome"] == "aborted").await;
    }
}

#[tokio::test]
async fn delays_are_kept() {
    let turn = ModelTurn::text("x").block(Block::text("y")).with(|turn| {
        turn.delay_ms = 40;
        turn.block_delay_ms = 30;
    });
    let fake = fake(turn).await;
    let start = std::time::Instant::now();
    ask(fake.base_url(), &body(true, "hello")).await;
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn the_other_paths() {
    let fake = FakeModel::start(Scenario::new()).await;
    let url = fake.base_url();
    let counted = request(url, "POST", "/v1/messages/count_tokens", "12345678").await;
    assert_eq!(counted.json()["input_tokens"], 2);
    assert_eq!(request(url, "GET", "/v1/models?limit=1", "").await.json()["data"], json!([]));
    assert_eq!(request(url, "HEAD", "/", "").await.status(), Some(200));
    assert_eq!(request(url, "POST", "/v1/other", "{}").await.status(), Some(404));
    assert_eq!(fake.requests().len(), 4);
}

#[tokio::test]
async fn a_large_request_is_taken() {
    let fake = fake(ModelTurn::text("Hi.")).await;
    let reply = ask(fake.base_url(), &body(true, &"x".repeat(5_000_000))).await;
    assert!(reply.complete);
}

#[tokio::test]
async fn dropping_the_fake_cuts_its_connections() {
    let gate = Gate::new();
    let fake = fake(ModelTurn::text("x").gate(&gate)).await;
    let mut stream = connect(fake.base_url()).await;
    send(&mut stream, "POST", "/v1/messages", &body(true, "hello").to_string()).await;
    gate.arrived().await;
    drop(fake);
    assert!(!receive(stream).await.complete);
}
