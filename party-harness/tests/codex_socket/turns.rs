//! Turns as they should be.

use crate::{
    codex::{Bench, Tools, begin, end_in, events_of, request, texts},
    peer::{Fake, THREAD, TURN},
};
use party_core::{Cost, Outcome, Sent};
use party_harness::{ErrorKind, TurnEvent, codex::Codex};
use serde_json::json;

#[tokio::test]
async fn a047_a_prompt_a_tool_call_its_result_and_the_answer() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.greeted().await;
        let started = peer.open().await;
        assert_eq!(started["baseInstructions"], "You are seat 1.");
        assert_eq!(started["dynamicTools"][0]["name"], "party");
        assert_eq!(started["dynamicTools"][0]["tools"][0]["name"], "share");
        assert_eq!(started["sandbox"], "read-only");
        let told = peer.begin().await;
        assert_eq!(told["input"], json!([{"type": "text", "text": "Should we?"}]));
        assert_eq!((&told["threadId"], &told["approvalPolicy"]), (&json!(THREAD), &json!("never")));
        let item = json!({"type": "dynamicToolCall", "id": "call-share", "namespace": "party", "tool": "share",
            "arguments": {"text": "hi"}, "status": "inProgress"});
        peer.tell("item/started", json!({ "item": item })).await;
        peer.call(0, "share").await;
        let answer = peer.next().await;
        let content = json!([{"type": "inputText", "text": "shared as 7"}]);
        assert_eq!(answer, json!({"id": 0, "result": {"contentItems": content, "success": true}}));
        let item = json!({"type": "dynamicToolCall", "id": "call-share", "namespace": "party", "tool": "share",
            "status": "completed", "success": true, "contentItems": content});
        peer.tell("item/completed", json!({ "item": item })).await;
        peer.say("m", "Ship it.").await;
        peer.complete("completed", Some("Ship it.")).await;
        peer
    };
    let play = async { events_of(begin(&session, request(1, "Should we?", &["share"])).await).await };
    let (events, _peer) = futures::join!(play, serve);
    let end = end_in(&events);
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Ship it.")));
    assert_eq!((end.cost, end.sent, end.token.is_some()), (Cost::Unknown, Sent::Full, true));
    assert_eq!(tools.names(), ["share"]);
    assert_eq!(tools.calls()[0].id, "call-share");
    let [
        TurnEvent::Started { .. },
        TurnEvent::ToolUse { id, name, .. },
        TurnEvent::ToolResult { text, .. },
        ..,
    ] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((id.as_str(), name.as_str(), &**text), ("call-share", "share", "shared as 7"));
    assert_eq!(texts(&events), ["Ship it."]);
}

/// What belongs to another turn, or to an agent of the server's own, is none of this one's.
#[tokio::test]
async fn what_others_say_on_the_same_connection_is_not_the_turns() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        let item = json!({"type": "agentMessage", "id": "x", "text": "not mine"});
        for (thread, turn) in [(THREAD, "another"), ("child", TURN)] {
            let params = json!({"threadId": thread, "turnId": turn, "item": item});
            peer.send(&json!({"method": "item/completed", "params": params})).await;
            let params = json!({"threadId": thread, "turn": {"id": turn, "status": "failed"}});
            peer.send(&json!({"method": "turn/completed", "params": params})).await;
        }
        peer.complete("completed", Some("Mine.")).await;
        peer
    };
    let play = async { events_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (events, _peer) = futures::join!(play, serve);
    assert_eq!((end_in(&events).text.as_deref(), texts(&events)), (Some("Mine."), vec![]));
}

/// Threads keep their tools: a turn with others is told everything in a new one.
#[tokio::test]
async fn a_turn_with_other_tools_runs_in_another_thread() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        peer.complete("completed", Some("One.")).await;
        peer.begin().await;
        peer.complete("completed", Some("Two.")).await;
        peer.open().await;
        peer.begin().await;
        peer.complete("completed", Some("Three.")).await;
        peer
    };
    let play = async {
        let mut sent = Vec::new();
        for (n, tools) in [(1, vec!["share"]), (2, vec!["share"]), (3, vec!["vote"])] {
            let events = events_of(begin(&session, request(n, "Go.", &tools)).await).await;
            sent.push(end_in(&events).sent);
        }
        sent
    };
    let (sent, _peer) = futures::join!(play, serve);
    assert_eq!(sent, [Sent::Full, Sent::Delta, Sent::Full]);
}

#[tokio::test]
async fn a_server_of_another_machine_is_not_attached_to() {
    for url in ["ws://10.0.0.1:4500", "wss://example.org", "http://127.0.0.1:1", "unix://relative"] {
        assert_eq!(Codex::attach(url, None).unwrap_err().kind(), ErrorKind::Invalid, "{url}");
    }
}

#[tokio::test]
async fn what_codex_does_not_have_is_refused_before_anything_is_sent() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    for own in ["Bash", "mcp__docs", "exec_command"] {
        let mut request = request(1, "Go.", &[]);
        request.own_tools = vec![own.to_owned()];
        let error = session.turn(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(own), "{error}");
    }
    let error = session.turn(request(1, "Go.", &["a.b", "a_b"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let error = session.turn(request(1, " \n", &[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[test]
fn settings_that_may_hold_secrets_are_never_shown() {
    let headers = json!({"url": "http://127.0.0.1:9", "http_headers": {"Authorization": "Bearer sk-server"}});
    let codex = Codex::attach("ws://127.0.0.1:1", Some("sk-token"))
        .unwrap()
        .mcp_server("docs", headers)
        .config("model_providers.own.key", "sk-config");
    let shown = format!("{codex:?}");
    assert!(shown.contains("docs") && !shown.contains("sk-"), "{shown}");
}
