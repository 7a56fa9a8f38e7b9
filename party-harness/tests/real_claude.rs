//! The adapter against the real Claude Code binary, a fake model, and a minimal MCP server.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod claude;

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use claude::{Bench, end_of, events_of};
use party_core::{Outcome, Sent, Usd};
use party_harness::{ErrorKind, McpEndpoint, ToolSpec, TurnEvent};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use test_support::{Block, FakeAnthropic, Gate, ModelTurn, Scenario, claude_binary, claude_env};

type Seen = Arc<Mutex<Vec<Value>>>;

async fn answer(State(seen): State<Seen>, Json(call): Json<Value>) -> axum::response::Response {
    seen.lock().unwrap().push(call.clone());
    let Some(id) = call.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let tool = json!({"name": "share", "description": "Shares.", "inputSchema": {"type": "object"}});
    let foreign =
        json!({"name": "other", "description": "Not for this turn.", "inputSchema": {"type": "object"}});
    let result = match call["method"].as_str() {
        Some("initialize") => json!({"protocolVersion": call["params"]["protocolVersion"],
            "capabilities": {"tools": {}}, "serverInfo": {"name": "party", "version": "1"}}),
        Some("tools/list") => json!({"tools": [tool, foreign]}),
        Some("tools/call") => json!({"content": [{"type": "text", "text": "shared as 7"}]}),
        _ => {
            return Json(json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no"}}))
                .into_response();
        }
    };
    Json(json!({"jsonrpc": "2.0", "id": id, "result": result})).into_response()
}

async fn mcp() -> (McpEndpoint, Seen) {
    let seen = Seen::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let app = Router::new().route("/mcp", post(answer)).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (McpEndpoint { name: "party".into(), url, secret: "s3cret".into() }, seen)
}

fn share() -> ToolSpec {
    ToolSpec { name: "share".into(), description: "Shares.".into(), input_schema: json!({"type": "object"}) }
}

async fn bench(scenario: Scenario) -> (Bench, FakeAnthropic) {
    // A request without tools is one of the CLI's own to the fake, and of a seat without tools here.
    let fake = FakeAnthropic::start(scenario.count_side()).await;
    let bench = Bench::new(claude_binary());
    let mut env = claude_env(&bench.home(), fake.base_url());
    env.push(("CLAUDE_CODE_MAX_RETRIES".into(), "1".into()));
    (bench.env(env), fake)
}

fn said_to(request: &Value) -> String {
    let messages = request["body"]["messages"].as_array().unwrap();
    let users = messages.iter().filter(|message| message["role"] == "user");
    let texts = users.flat_map(|message| match &message["content"] {
        Value::String(text) => vec![text.clone()],
        blocks => {
            blocks.as_array().unwrap().iter().filter_map(|b| b["text"].as_str().map(str::to_owned)).collect()
        }
    });
    texts.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a161_a_turn_then_a_resumed_one_that_is_sent_the_delta_only() {
    let scenario = Scenario::new()
        .turn(ModelTurn::text("I see no reason.").when("Should we?"))
        .turn(ModelTurn::text("Still none.").when("And now?"));
    let (bench, fake) = bench(scenario).await;
    let session = bench.open(None).await;
    let end = end_of(session.turn(bench.request(1, 1, "Should we?", "the whole")).await.unwrap()).await;
    assert_eq!((end.outcome, end.sent), (Outcome::Completed, Sent::Full), "{end:?}");
    let first = end.cost.amount().unwrap();
    drop(session);
    let session = bench.open(end.token).await;
    let events =
        events_of(session.turn(bench.request(2, 1, "And now?", "never loaded")).await.unwrap()).await;
    let TurnEvent::Ended(end) = events.last().unwrap() else { panic!("{events:?}") };
    assert_eq!(
        (end.outcome, end.sent, end.text.as_deref()),
        (Outcome::Completed, Sent::Delta, Some("Still none."))
    );
    assert_eq!(end.cost.amount().unwrap(), first, "a170: the cost of this turn, not of the session");
    assert!(end.usage.output_tokens > 0 && end.usage.steps == 1, "{:?}", end.usage);
    let last = said_to(fake.model_requests().last().unwrap());
    assert!(
        last.contains("the whole") && last.contains("And now?") && !last.contains("never loaded"),
        "{last}"
    );
}

#[tokio::test]
async fn a168_a_tool_is_in_the_first_request_and_its_call_reaches_the_host() {
    let call = ModelTurn::empty().block(Block::tool_use("mcp__party__share", json!({"text": "hi"})));
    let scenario =
        Scenario::new().turn(call.when("begin")).turn(ModelTurn::text("Done.").when("shared as 7"));
    let (bench, fake) = bench(scenario).await;
    let (endpoint, seen) = mcp().await;
    let mut request = bench.request(1, 1, "begin", "begin");
    (request.mcp, request.tools) = (Some(endpoint), vec![share()]);
    let events = events_of(bench.open(None).await.turn(request).await.unwrap()).await;
    let TurnEvent::Ended(end) = events.last().unwrap() else { panic!() };
    assert_eq!(end.text.as_deref(), Some("Done."), "{end:?}");
    let offered = &fake.model_requests()[0]["body"]["tools"];
    let names: Vec<_> =
        offered.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["mcp__party__share"], "a167: no built-in tool and no other one");
    let id = events.iter().find_map(|event| match event {
        TurnEvent::ToolUse { id, name, .. } if name == "share" => Some(id.clone()),
        _ => None,
    });
    let calls: Vec<Value> =
        seen.lock().unwrap().iter().filter(|c| c["method"] == "tools/call").cloned().collect();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["params"]["_meta"]["claudecode/toolUseId"].as_str(), id.as_deref());
    assert!(events.iter().any(
        |e| matches!(e, TurnEvent::ToolResult { text, is_error: false, .. } if &**text == "shared as 7")
    ));
}

#[tokio::test]
async fn no_tool_is_offered_to_a_turn_without_tools() {
    let (bench, fake) = bench(Scenario::new().turn(ModelTurn::text("Fine."))).await;
    let end = end_of(bench.open(None).await.turn(bench.request(1, 1, "x", "x")).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    let tools = fake.model_requests()[0]["body"]["tools"].as_array().cloned().unwrap_or_default();
    assert_eq!(tools, Vec::<Value>::new());
}

#[tokio::test]
async fn a166_hostile_texts_arrive_byte_for_byte() {
    let mut texts: Vec<String> =
        ["@/etc/hostname", "/clear", "!ls", "--help", "-x", "a\u{2028}b", "{\"type\":\"user\"}"]
            .map(String::from)
            .to_vec();
    texts.push("0123456789abcdef".repeat(300 * 64));
    for text in texts {
        let (bench, fake) = bench(Scenario::new().default_turn(ModelTurn::text("Seen."))).await;
        let end = end_of(bench.open(None).await.turn(bench.request(1, 1, "", &text)).await.unwrap()).await;
        assert_eq!(end.text.as_deref(), Some("Seen."), "{:?}: {end:?}", &text[..text.len().min(20)]);
        assert_eq!(said_to(&fake.model_requests()[0]), text);
    }
}

#[tokio::test]
async fn an_interrupted_turn_is_cancelled_and_can_be_resumed() {
    let slow = ModelTurn::text("word ".repeat(2000)).with(|turn| {
        (turn.chunk, turn.chunk_delay_ms) = (Some(20), 50);
    });
    let scenario = Scenario::new().turn(slow.when("begin")).default_turn(ModelTurn::text("Back."));
    let (bench, fake) = bench(scenario).await;
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

#[tokio::test]
async fn a_killed_process_goes_on_by_a_continuation_once_it_had_the_message() {
    let call = ModelTurn::empty().block(Block::tool_use("mcp__party__share", json!({})));
    let gate = Gate::new();
    let scenario = Scenario::new()
        .turn(call.when("begin"))
        .turn(ModelTurn::text("never said").gate(&gate).when("shared as 7").unless("GO ON"))
        .turn(ModelTurn::text("Finished.").when("GO ON"));
    let (bench, fake) = bench(scenario).await;
    let (endpoint, _) = mcp().await;
    let mut request = bench.request(1, 1, "begin", "begin");
    (request.mcp, request.tools) = (Some(endpoint), vec![share()]);
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
        let said = said_to(fake.model_requests().last().unwrap());
        assert_eq!(said.matches("begin").count(), 1, "{said}");
    }
}

#[tokio::test]
async fn a_message_that_was_lost_with_its_process_is_sent_again() {
    let scenario = Scenario::new().default_turn(ModelTurn::text("One."));
    let (bench, fake) = bench(scenario).await;
    let session = bench.open(None).await;
    let end = end_of(session.turn(bench.request(1, 1, "first", "first")).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Completed);
    let mut request = bench.request(2, 1, "second", "all of it");
    let turn = session.turn(request.clone()).await.unwrap();
    bench.kill();
    assert_eq!(end_of(turn).await.outcome, Outcome::Failed);
    (request.key.attempt, request.continuation) = (2, Some("GO ON".into()));
    let end = end_of(session.turn(request).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    let said = said_to(fake.model_requests().last().unwrap());
    assert!(said.contains("first") && said.contains("second") && !said.contains("GO ON"), "{said}");
}

#[tokio::test]
async fn a_session_that_is_gone_begins_anew_with_the_whole_view() {
    let scenario = Scenario::new().default_turn(ModelTurn::text("Fine."));
    let (bench, fake) = bench(scenario).await;
    let session = bench.open(None).await;
    let end = end_of(session.turn(bench.request(1, 1, "first", "first")).await.unwrap()).await;
    std::fs::remove_dir_all(bench.home().join(".claude")).unwrap();
    let events = events_of(session.turn(bench.request(2, 1, "second", "all of it")).await.unwrap()).await;
    let TurnEvent::Ended(second) = events.last().unwrap() else { panic!() };
    assert_eq!((second.outcome, second.sent), (Outcome::Completed, Sent::Full), "{second:?}");
    assert_ne!(second.token, end.token);
    assert_eq!(events.iter().filter(|event| matches!(event, TurnEvent::Started { .. })).count(), 1);
    assert_eq!(said_to(fake.model_requests().last().unwrap()), "all of it");
    // A host that lost all its own files finds both names in use.
    let session = bench.forget().open(None).await;
    let end = end_of(session.turn(bench.request(3, 1, "third", "once more")).await.unwrap()).await;
    assert_eq!((end.outcome, end.sent), (Outcome::Completed, Sent::Full), "{end:?}");
}

#[tokio::test]
async fn a165_a_dead_mcp_server_fails_the_turn_before_the_model_is_paid() {
    let (bench, fake) = bench(Scenario::new().default_turn(ModelTurn::text("Unheard."))).await;
    let mut request = bench.request(1, 1, "begin", "begin");
    let endpoint =
        McpEndpoint { name: "party".into(), url: "http://127.0.0.1:9/mcp".into(), secret: "x".into() };
    (request.mcp, request.tools) = (Some(endpoint), vec![share()]);
    let end = end_of(bench.open(None).await.turn(request).await.unwrap()).await;
    assert_eq!((end.outcome, end.token), (Outcome::Failed, None));
    assert_eq!(end.reason.as_deref(), Some("the mcp server `party` is failed"));
    assert_eq!(fake.model_requests(), Vec::<Value>::new());
    assert_eq!(bench.alive(), 0);
}

#[tokio::test]
async fn a164_an_error_of_the_provider_fails_the_turn_with_its_cost() {
    let error = ModelTurn::error(500, "api_error", "fake trouble").repeat();
    let (bench, _fake) = bench(Scenario::new().turn(error)).await;
    let events = events_of(bench.open(None).await.turn(bench.request(1, 1, "x", "x")).await.unwrap()).await;
    let TurnEvent::Ended(end) = events.last().unwrap() else { panic!() };
    assert_eq!((end.outcome, end.cost.amount()), (Outcome::Failed, Some(Usd::ZERO)), "{end:?}");
    assert!(end.reason.as_deref().unwrap().contains("500") && end.token.is_some(), "{end:?}");
    assert_eq!(end.text, None, "what the CLI wrote itself is not the agent's");
    assert!(events.iter().any(|event| matches!(event, TurnEvent::Waiting { .. })), "{events:?}");
}

#[tokio::test]
async fn the_limit_holds_for_one_turn_of_a_resumed_session() {
    let dear = || {
        ModelTurn::text("Dear.").with(|turn| {
            turn.usage.insert("output_tokens".into(), json!(50_000));
        })
    };
    let (bench, _fake) = bench(Scenario::new().default_turn(dear())).await;
    let session = bench.open(None).await;
    let mut request = bench.request(1, 1, "x", "x");
    request.limit = Some(Usd::from_micros(5_000_000));
    let first = end_of(session.turn(request.clone()).await.unwrap()).await;
    assert_eq!(first.outcome, Outcome::Completed, "{first:?}");
    let spent = first.cost.amount().unwrap();
    (request.key.turn, request.limit) = (claude::turn(2), Some(spent.saturating_add(Usd::from_micros(1000))));
    let second = end_of(session.turn(request.clone()).await.unwrap()).await;
    assert_eq!(second.outcome, Outcome::Completed, "{second:?}");
    (request.key.turn, request.limit) = (claude::turn(3), Some(Usd::from_micros(10)));
    let third = end_of(session.turn(request).await.unwrap()).await;
    assert_eq!((third.outcome, third.text.as_deref()), (Outcome::Failed, Some("Dear.")), "{third:?}");
    assert!(third.reason.as_deref().unwrap().starts_with("budget_exhausted"), "{third:?}");
}

#[tokio::test]
async fn a_probe_tells_the_version() {
    let (bench, _fake) = bench(Scenario::new()).await;
    assert_eq!(bench.harness_probe().await.unwrap().version, "2.1.329");
}
