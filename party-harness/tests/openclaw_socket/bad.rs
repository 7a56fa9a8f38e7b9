//! Frames that nobody should send.

use crate::{
    gateway::{FakeGateway, Peer},
    host::{harness, one_turn, open, read, request, within},
};
use futures::future::BoxFuture;
use party_harness::{ErrorKind, core::Outcome, openclaw::OpenClaw};
use serde_json::json;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::Message;

/// A gateway that, in the middle of a run, does this.
async fn doing(what: fn(&mut Peer) -> BoxFuture<'_, ()>) -> FakeGateway {
    FakeGateway::start(move |mut peer| async move {
        peer.greet().await;
        if peer.accept().await.is_some() {
            peer.writes("Half").await;
            what(&mut peer).await;
        }
        peer.idle().await;
    })
    .await
}

#[tokio::test]
async fn binary_and_oversized_frames_end_the_turn_by_a_typed_end() {
    let binary = doing(|peer| Box::pin(peer.message(Message::binary(vec![1, 2, 3])))).await;
    let (_, end) = one_turn(&binary).await;
    assert_eq!(end.outcome, Outcome::Lost);
    assert!(end.reason.unwrap().contains("no text"));
    let large = doing(|peer| Box::pin(peer.message(Message::text("x".repeat(70_000))))).await;
    let harness = harness(&large).frame_limit(64 << 10);
    let session = open(&harness, &Arc::default()).await;
    let (_, end) = read(within(session.turn(request(1))).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Lost);
    assert!(end.reason.unwrap().contains("larger than 65536"));
}

#[tokio::test]
async fn an_end_that_holds_nothing_is_an_end() {
    for payload in [
        json!({"status": "ok"}),
        json!({"status": "ok", "result": 7}),
        json!({"status": "ok", "result": {"payloads": [7, {"text": 8}, {}]}}),
        json!({"status": "error"}),
        json!({"status": 9}),
    ] {
        let sent = payload.clone();
        let gateway = FakeGateway::start(move |mut peer| {
            let payload = sent.clone();
            async move {
                peer.greet().await;
                if peer.accept().await.is_some() {
                    peer.concludes(payload).await;
                }
                peer.idle().await;
            }
        })
        .await;
        let (_, end) = one_turn(&gateway).await;
        assert!(matches!(end.outcome, Outcome::Empty | Outcome::Failed), "{payload}: {end:?}");
        assert!(end.reason.is_some(), "{payload}: {end:?}");
    }
}

#[tokio::test]
async fn a_list_of_tools_that_a_gateway_does_not_keep_is_no_turn() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        while let Some(request) = peer.raw_request().await {
            peer.answer(&request, json!({"messages": [], "entry": {"sessionId": "x"}})).await;
        }
    })
    .await;
    let harness = harness(&gateway);
    let session = open(&harness, &Arc::default()).await;
    let error = within(session.turn(request(1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(gateway.known.requests("agent").len(), 0, "nothing was spent");
}

#[test]
fn a_gateway_elsewhere_is_refused_before_anything_is_sent() {
    for url in [
        "ws://10.0.0.1:18789",
        "wss://gateway.example",
        "ws://127.0.0.1.evil.example:1",
        "http://127.0.0.1:1",
    ] {
        let error = OpenClaw::attach(url, "tok-secret").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{url}");
        assert!(!format!("{error:?}").contains("tok-secret"));
    }
    let harness = OpenClaw::attach("ws://127.0.0.1:1", "tok-secret").unwrap();
    assert!(!format!("{harness:?}").contains("tok-secret"));
}
