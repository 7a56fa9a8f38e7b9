//! The first words: who asks for what, and what becomes of a refusal.

use crate::{
    gateway::{FakeGateway, Peer},
    host::{harness, within},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use party_harness::{ErrorKind, Harness as _};
use serde_json::{Value, json};
use std::time::Duration;

/// A gateway that answers the first request like this, whatever the connection.
async fn refusing(error: Value) -> FakeGateway {
    FakeGateway::start(move |mut peer| {
        let error = error.clone();
        async move {
            peer.challenge().await;
            let Some(request) = peer.raw_request().await else { return };
            peer.refuse(&request, error).await;
            peer.close(1008, "no").await;
        }
    })
    .await
}

#[tokio::test]
async fn a174_the_host_signs_the_challenge_and_says_what_it_needs() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        peer.idle().await;
    })
    .await;
    let probe = within(harness(&gateway).probe()).await.unwrap();
    assert_eq!(probe.version, "2026.9.6");
    let asked = &gateway.known.requests("connect")[0];
    assert_eq!((&asked["minProtocol"], &asked["maxProtocol"]), (&json!(4), &json!(4)));
    assert_eq!(asked["auth"], json!({"token": "tok-secret"}));
    assert_eq!(
        (&asked["client"]["id"], &asked["client"]["mode"]),
        (&json!("gateway-client"), &json!("backend"))
    );
    let device = &asked["device"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let scopes: Vec<String> = asked["scopes"].as_array().unwrap().iter().map(text).collect();
    let signed = format!(
        "v3|{}|gateway-client|backend|operator|{}|1795174173524|tok-secret|nonce-1|{}|",
        text(&device["id"]),
        scopes.join(","),
        std::env::consts::OS
    );
    let bytes = |value: &Value| URL_SAFE_NO_PAD.decode(text(value)).unwrap();
    let key = VerifyingKey::from_bytes(&bytes(&device["publicKey"]).try_into().unwrap()).unwrap();
    let signature = Signature::from_slice(&bytes(&device["signature"])).unwrap();
    key.verify(signed.as_bytes(), &signature).expect("the signature is of this text");
}

#[tokio::test]
async fn a174_what_is_refused_is_told_at_once_with_what_to_do() {
    let cases = [
        (
            json!({"code": "NOT_PAIRED", "message": "pairing required",
                "details": {"code": "PAIRING_REQUIRED", "reason": "metadata-upgrade", "requestId": "ab-12"}}),
            ErrorKind::Launch,
            "openclaw devices approve ab-12",
        ),
        (
            json!({"code": "NOT_PAIRED", "message": "pairing required",
                "details": {"code": "PAIRING_REQUIRED", "requestId": "$(rm -rf ~)"}}),
            ErrorKind::Launch,
            "openclaw devices approve --latest",
        ),
        (
            json!({"code": "INVALID_REQUEST", "message": "unauthorized", "details": {"code": "AUTH_TOKEN_MISMATCH"}}),
            ErrorKind::Launch,
            "refuses the token",
        ),
        (
            json!({"code": "INVALID_REQUEST", "message": "x", "details": {"code": "DEVICE_AUTH_SIGNATURE_EXPIRED"}}),
            ErrorKind::Launch,
            "clocks must agree",
        ),
        (
            json!({"code": "PROTOCOL_MISMATCH", "message": "x", "details": {"expectedProtocol": 5}}),
            ErrorKind::Protocol,
            "version 5 of the protocol and not 4",
        ),
        (json!({"code": "FORBIDDEN", "message": "go\naway"}), ErrorKind::Launch, "go away"),
        (json!(null), ErrorKind::Launch, "does not say why"),
    ];
    for (refusal, kind, words) in cases {
        let gateway = refusing(refusal.clone()).await;
        let error = within(harness(&gateway).probe()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{refusal}: {error}");
        assert!(error.to_string().contains(words), "{refusal}: {error}");
        assert!(error.to_string().contains(&gateway.url[5..]), "it names the gateway: {error}");
        assert!(!format!("{error:?}").contains("tok-secret"));
        assert_eq!(gateway.known.requests("connect").len(), 1, "it is asked once");
    }
}

#[tokio::test]
async fn a174_a_hello_without_the_scopes_is_a_refusal() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.challenge().await;
        let Some(request) = peer.raw_request().await else { return };
        peer.answer(&request, json!({"protocol": 4, "server": {}, "auth": {"scopes": ["operator.read"]}}))
            .await;
        peer.idle().await;
    })
    .await;
    let error = within(harness(&gateway).probe()).await.unwrap_err();
    assert!(error.to_string().contains("does not grant operator.write, operator.admin"), "{error}");
}

#[tokio::test]
async fn a_gateway_that_is_starting_is_waited_for() {
    let gateway = FakeGateway::start(|mut peer| async move {
        if peer.number >= 2 {
            peer.greet().await;
            return peer.idle().await;
        }
        peer.challenge().await;
        let Some(request) = peer.raw_request().await else { return };
        peer.refuse(
            &request,
            json!({"code": "UNAVAILABLE", "retryable": true, "retryAfterMs": 50,
            "message": "gateway starting"}),
        )
        .await;
        peer.close(1013, "gateway starting").await;
    })
    .await;
    within(harness(&gateway).probe()).await.unwrap();
    assert_eq!(gateway.known.requests("connect").len(), 3);
}

#[tokio::test]
async fn a_gateway_that_says_nothing_or_nonsense_is_given_up() {
    type Script = fn(Peer) -> futures::future::BoxFuture<'static, ()>;
    let scripts: [(&str, Script); 5] = [
        ("silent", |peer| Box::pin(async move { peer.idle().await })),
        ("closes", |peer| Box::pin(async move { peer.close(1000, "").await })),
        ("noise", |mut peer| {
            Box::pin(async move {
                for _ in 0..100 {
                    peer.send(json!({"type": "event", "event": "tick"})).await;
                }
                peer.idle().await;
            })
        }),
        ("no nonce", |mut peer| {
            Box::pin(async move {
                peer.send(json!({"type": "event", "event": "connect.challenge", "payload": {"nonce": 7}}))
                    .await;
                peer.idle().await;
            })
        }),
        ("binary", |mut peer| {
            Box::pin(async move {
                peer.message(tokio_tungstenite::tungstenite::Message::binary(vec![0; 9])).await;
                peer.idle().await;
            })
        }),
    ];
    let given_up = scripts.map(|(name, script)| async move {
        let gateway = FakeGateway::start(script).await;
        let harness = harness(&gateway).connect_patience(Duration::from_millis(300));
        let error = within(harness.probe()).await.unwrap_err();
        let kinds = [ErrorKind::Io, ErrorKind::Protocol];
        assert!(kinds.contains(&error.kind()), "{name}: {error}");
    });
    futures::future::join_all(given_up).await;
}
