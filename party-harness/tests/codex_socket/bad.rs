//! Servers that say what they should not, or go where they should not.

use crate::{
    codex::{Bench, Tools, begin, end_of, request, within},
    peer::{Fake, THREAD},
};
use futures::SinkExt as _;
use party_core::{Failure, Outcome};
use party_harness::{Environment, ErrorKind, Harness, claude_code::ClaudeCode, codex::Codex};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

/// What a turn comes to that cannot begin.
async fn refusal(codex: &Codex) -> party_harness::Error {
    let (bench, tools) = (Bench::new(), Tools::new());
    let session = bench.open(codex, &tools).await;
    within(session.turn(request(1, "Go.", &[]))).await.expect_err("it cannot begin")
}

/// As the scripts are that start many a runtime: they look for their interpreter in `PATH`.
#[tokio::test]
async fn a_probe_has_the_path_of_the_host_and_its_home_and_nothing_else() {
    let bench = Bench::new();
    let names = r#"$(env | sed -n 's/^\(PATH\|HOME\|CARGO_[A-Z_]*\)=.*/\1/p' | sort | tr '\n' ',')"#;
    let program = |name: &str, version: String| {
        crate::codex::program(&bench.folder("bin"), name, &format!("#!/usr/bin/env sh\necho \"{version}\"\n"))
    };
    let codex = Codex::new(program("codex", format!("codex-cli {names}")));
    let claude = ClaudeCode::new(program("claude", format!("{names} (Claude Code)")));
    for harness in [&codex as &dyn Harness, &claude] {
        assert_eq!(within(harness.probe()).await.unwrap().version, "HOME,PATH,");
    }
    let env = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into_iter().collect::<Environment>();
    let codex = Codex::new(program("set", format!("codex-cli {names}"))).env(env);
    assert_eq!(within(codex.probe()).await.unwrap().version, "PATH,", "what is set is all");
}

/// Answers the upgrade by this.
async fn answers(fake: &Fake, answer: &str) {
    let (mut stream, _) = within(fake.listener.accept()).await.unwrap();
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await.unwrap();
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a173_a_wrong_token_is_a_typed_error_that_does_not_show_it() {
    let fake = Fake::start().await;
    let codex = Codex::attach(&fake.url, Some("sk-wrong")).unwrap();
    let body = "invalid websocket bearer token";
    let answer = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (error, ()) = futures::join!(refusal(&codex), answers(&fake, &answer));
    assert_eq!(error.kind(), ErrorKind::Launch);
    assert_eq!(error.to_string(), "the server refuses the token (401): invalid websocket bearer token");
    assert!(!format!("{error:?} {codex:?}").contains("sk-wrong"));
}

#[tokio::test]
async fn a173_what_is_no_websocket_is_a_typed_error() {
    for (answer, kind) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", ErrorKind::Launch),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n", ErrorKind::Protocol),
    ] {
        let fake = Fake::start().await;
        let (error, ()) = futures::join!(async { refusal(&fake.codex()).await }, answers(&fake, answer));
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn a173_a_websocket_that_is_no_codex_is_a_typed_error() {
    let fake = Fake::start().await;
    let serve = async {
        let mut peer = fake.accept().await;
        peer.refuse("initialize", -32601, "method not found").await;
        let mut peer = fake.accept().await;
        peer.answer("initialize", json!({"protocolVersion": 3})).await;
        fake.accept().await.answer("initialize", json!("hello")).await;
    };
    let codex = fake.codex();
    let probe = async {
        for _ in 0..3 {
            let error = within(codex.probe()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            assert!(error.to_string().starts_with("it is no app-server of codex"), "{error}");
        }
    };
    futures::join!(probe, serve);
}

#[tokio::test]
async fn a_probe_of_an_attached_server_tells_its_version() {
    let fake = Fake::start().await;
    let codex = fake.codex();
    let (probe, _peer) = futures::join!(within(codex.probe()), fake.greeted());
    assert_eq!(probe.unwrap().version, "0.169.0");
}

/// Before its first word, in each state of the handshake, and in each of a turn's beginning until a model
/// may have been asked.
#[tokio::test]
async fn a173_a_server_that_closes_in_any_state_before_a_turn_is_a_typed_error() {
    for state in 0..5 {
        let fake = Fake::start().await;
        let codex = fake.codex().reconnect_patience(Duration::from_millis(300));
        let serve = async {
            if state == 0 {
                return drop(within(fake.listener.accept()).await.unwrap());
            }
            let mut peer = fake.accept().await;
            if state == 2 {
                peer.next().await;
            }
            if state > 2 {
                peer.greet().await;
            }
            if state == 4 {
                peer.next().await;
            }
            let _ = peer.0.close(None).await;
        };
        let (error, ()) = futures::join!(async { refusal(&codex).await }, serve);
        let is_typed = matches!(error.kind(), ErrorKind::Io | ErrorKind::Protocol);
        assert!(is_typed && !error.to_string().is_empty(), "closed in state {state}: {error:?}");
    }
}

#[tokio::test]
async fn a173_a_server_that_accepts_and_never_answers_is_a_typed_error() {
    let patience = Duration::from_millis(200);
    for state in 0..2 {
        let fake = Fake::start().await;
        let codex = fake.codex().request_patience(patience);
        let serve = async {
            let mut peer = fake.accept().await;
            if state > 0 {
                peer.greet().await;
            }
            peer
        };
        let (error, _peer) = futures::join!(refusal(&codex), serve);
        assert_eq!(error.kind(), ErrorKind::Protocol, "silent in state {state}: {error}");
        assert!(error.to_string().ends_with("within 200 ms"), "{error}");
    }
}

#[tokio::test]
async fn a173_frames_that_are_no_messages_change_nothing() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        peer.0.send(Message::binary(vec![0xff, 0, 1])).await.unwrap();
        peer.0.send(Message::Ping("x".into())).await.unwrap();
        for text in [
            "",
            "{",
            "[]",
            "null",
            "7",
            "{} {}",
            "{\"method\":",
            "\u{0}",
            "{}",
            r#"{"id":null}"#,
            r#"{"id":1.5,"result":{}}"#,
            r#"{"id":"x","result":{}}"#,
            r#"{"id":18446744073709551616,"result":{}}"#,
            r#"{"method":7,"params":[]}"#,
            r#"{"method":"item/completed","params":{"threadId":7,"turnId":{}}}"#,
            r#"[{"method":"turn/completed"},{"id":1}]"#,
        ] {
            peer.raw(text).await;
        }
        peer.raw("[".repeat(1 << 20)).await;
        peer.tell("item/completed", json!({"item": "agentMessage"})).await;
        peer.tell("turn/completed", json!(null)).await;
        peer
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (end, _peer) = futures::join!(play, serve);
    // An end without a word of how is one, and says so.
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Other)), "{end:?}");
    assert_eq!(end.reason.as_deref(), Some("codex does not say why"));
}

#[tokio::test]
async fn a173_a_frame_over_the_limit_is_a_typed_error_and_the_next_turn_works() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().frame_limit(100_000);
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        // The client may go while it is sent.
        let _ = peer.0.send(Message::text("x".repeat(100_001))).await;
        let mut peer = fake.greeted().await;
        peer.answer("turn/interrupt", json!({})).await;
        peer.resume("idle").await;
        peer.begin().await;
        peer.complete("completed", Some("Next.")).await;
        peer
    };
    let play = async {
        let end = end_of(begin(&session, request(1, "Go.", &[])).await).await;
        (end, end_of(begin(&session, request(2, "And?", &[])).await).await)
    };
    let ((end, next), _peer) = futures::join!(play, serve);
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Other)), "{end:?}");
    assert_eq!(end.reason.as_deref(), Some("a message of the server is larger than 100000 bytes"));
    assert_eq!(next.text.as_deref(), Some("Next."));
}

#[tokio::test]
async fn a173_a_question_that_is_not_known_is_answered_by_an_error_exactly_once() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        peer.ask(40, "telepathy/read", json!({})).await;
        peer.ask(41, "item/tool/requestUserInput", json!({"questions": []})).await;
        peer.ask(42, "item/tool/call", json!({"tool": 7})).await;
        // Of a thread that nobody here has, and of none at all; ids may be texts.
        peer.send(&json!({"method": "item/tool/call", "id": "a\"b", "params": {"threadId": "child"}})).await;
        peer.send(&json!({"method": "attestation/generate", "id": -1, "params": null})).await;
        let mut answers = Vec::new();
        for _ in 0..5 {
            answers.push(peer.next().await);
        }
        peer.complete("completed", Some("Done.")).await;
        (answers, peer)
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (end, (mut answers, mut peer)) = futures::join!(play, serve);
    assert_eq!(end.text.as_deref(), Some("Done."));
    answers.sort_by_key(|answer| answer["id"].to_string());
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [json!("a\"b"), json!(-1), json!(40), json!(41), json!(42)]);
    assert!(answers.iter().all(|answer| answer["error"]["code"].is_i64()), "{answers:?}");
    // Nothing more comes but the next turn.
    let play = async { end_of(begin(&session, request(2, "And?", &[])).await).await };
    let serve = async {
        peer.begin().await;
        peer.complete("completed", Some("Next.")).await;
    };
    assert_eq!(futures::join!(play, serve).0.text.as_deref(), Some("Next."));
}

#[tokio::test]
async fn a_tool_that_the_turn_does_not_have_or_that_falls_over_is_an_error_to_the_model() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        let mut answers = Vec::new();
        for (id, tool) in [(1, "secret"), (2, "panic"), (3, "refuse")] {
            peer.call(id, tool).await;
            answers.push(peer.next().await["result"].clone());
        }
        peer.complete("completed", Some("Done.")).await;
        (answers, peer)
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &["panic", "refuse"])).await).await };
    let (end, (answers, _peer)) = futures::join!(play, serve);
    assert_eq!(end.text.as_deref(), Some("Done."));
    let told: Vec<_> = answers.iter().map(|answer| answer["contentItems"][0]["text"].as_str()).collect();
    let expected =
        ["this turn does not have the tool", "the tool failed", "slots full: 3 of 3"].map(Some).to_vec();
    assert_eq!(told, expected);
    assert!(answers.iter().all(|answer| answer["success"] == false));
    assert_eq!(tools.names(), ["panic", "refuse"]);
}

/// Answers are kept for a server that asks again, as it does after a reconnect; not without end.
#[tokio::test]
async fn a_call_is_run_once_also_when_its_answer_is_not_kept_any_more() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        let mut told = Vec::new();
        for (id, call) in (0..10).chain([9, 0]).enumerate() {
            let params = json!({"callId": format!("call-{call}"), "namespace": "party", "tool": "tell", "arguments": {}});
            peer.ask(id as u64, "item/tool/call", params).await;
            let answer = peer.next().await["result"].take();
            told.push((answer["contentItems"][0]["text"].as_str().unwrap().len(), answer["success"] == true));
        }
        peer.complete("completed", Some("Done.")).await;
        (told, peer)
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &["tell"])).await).await };
    let (end, (told, _peer)) = futures::join!(play, serve);
    assert_eq!(end.text.as_deref(), Some("Done."));
    let gone = "this call was answered before; its answer is not kept";
    let mut expected = vec![(1 << 20, true); 11];
    expected.push((gone.len(), false));
    assert_eq!(told, expected);
    assert_eq!(tools.calls().len(), 10);
}

#[tokio::test]
async fn a_server_that_has_too_much_to_do_is_asked_again() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.greeted().await;
        peer.configured().await;
        peer.refuse("thread/start", -32001, "Server overloaded; retry later.").await;
        peer.refuse("thread/start", -32001, "Server overloaded; retry later.").await;
        peer.answer("thread/start", json!({"thread": {"id": THREAD}})).await;
        peer.begin().await;
        peer.complete("completed", Some("At last.")).await;
        peer
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    assert_eq!(futures::join!(play, serve).0.text.as_deref(), Some("At last."));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_before_a_model_is_asked() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.greeted().await;
        peer.open().await;
        peer.refuse("turn/start", -32602, "Input exceeds the maximum length").await;
        peer
    };
    let play = within(session.turn(request(1, "Go.", &[])));
    let (error, _peer) = futures::join!(play, serve);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
}
