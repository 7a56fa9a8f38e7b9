//! Runs that are told to end.

use crate::{
    gateway::FakeGateway,
    host::{harness, one_turn, open, read, request, within},
};
use futures::StreamExt as _;
use party_harness::{
    Close, TurnEvent,
    core::{Outcome, Sent},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// A gateway whose run ends when it is told to, at the `nth` time.
async fn obeying(nth: usize) -> FakeGateway {
    FakeGateway::start(move |mut peer| async move {
        peer.greet().await;
        peer.accept().await;
        peer.writes("Half").await;
        let mut asked = 0;
        while let Some(request) = peer.request().await {
            if request["method"] == "chat.abort" {
                asked += 1;
                peer.answer(&request, json!({"ok": true, "aborted": asked >= nth})).await;
                if asked == nth {
                    peer.tells("lifecycle", json!({"phase": "end", "aborted": true, "stopReason": "rpc"}))
                        .await;
                    peer.tells("lifecycle", json!({"phase": "error", "error": "aborted", "aborted": true}))
                        .await;
                    peer.concludes(json!({"status": "timeout", "summary": "aborted", "stopReason": "rpc"}))
                        .await;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn a174_an_interrupt_stops_the_run_of_this_turn_and_no_other() {
    // The second: a gateway does not know a run in its first moment.
    for nth in [1, 3] {
        let gateway = obeying(nth).await;
        let harness = harness(&gateway);
        let session = open(&harness, &Arc::default()).await;
        let mut turn = within(session.turn(request(1))).await.unwrap();
        while !matches!(within(turn.events.next()).await, Some(TurnEvent::Text { .. })) {}
        turn.control.interrupt().await.unwrap();
        turn.control.interrupt().await.unwrap();
        let (_, end) = read(turn).await;
        assert_eq!((end.outcome, end.reason.as_deref()), (Outcome::Cancelled, Some("the run was stopped")));
        let order = &gateway.known.requests("agent")[0];
        let aborts = gateway.known.requests("chat.abort");
        assert_eq!(aborts.len(), nth);
        let expected = json!({"sessionKey": order["sessionKey"], "runId": order["idempotencyKey"]});
        assert_eq!(aborts[0], expected);
    }
}

#[tokio::test]
async fn a_gateway_that_does_not_stop_a_run_holds_nobody_up() {
    for how in [Close::Orderly, Close::Now] {
        let gateway = obeying(usize::MAX).await;
        // Longer than this test waits: there, it is the kill that ends it.
        let stop = if how == Close::Now { 600 } else { 2 };
        let harness = harness(&gateway).stop_patience(Duration::from_secs(stop));
        let session = open(&harness, &Arc::default()).await;
        let mut turn = within(session.turn(request(1))).await.unwrap();
        while !matches!(within(turn.events.next()).await, Some(TurnEvent::Text { .. })) {}
        within(session.close(how)).await.unwrap();
        let (_, end) = read(turn).await;
        assert_eq!(end.outcome, Outcome::Cancelled);
        assert!(end.reason.unwrap().contains("does not say"), "{how:?}");
    }
}

/// Interrupted while the gateway is out of reach.
#[tokio::test]
async fn a174_an_interrupt_between_two_connections_reaches_the_run() {
    let (back, is_back) = tokio::sync::watch::channel(false);
    let gateway = FakeGateway::start(move |mut peer| {
        let is_back = is_back.clone();
        async move {
            if peer.number == 0 {
                peer.greet().await;
                peer.accept().await;
                return peer.writes("Half").await;
            }
            if !*is_back.borrow() {
                return peer.close(1013, "gateway starting").await;
            }
            peer.greet().await;
            while let Some(request) = peer.request().await {
                match request["method"].as_str().unwrap() {
                    "chat.abort" => peer.answer(&request, json!({"ok": true, "aborted": true})).await,
                    _ => peer.concludes(json!({"status": "timeout", "stopReason": "rpc"})).await,
                }
            }
        }
    })
    .await;
    let patience = Duration::from_secs(50);
    let harness = harness(&gateway).reconnect_patience(patience).stop_patience(patience);
    let session = open(&harness, &Arc::default()).await;
    let mut turn = within(session.turn(request(1))).await.unwrap();
    while !matches!(within(turn.events.next()).await, Some(TurnEvent::Text { .. })) {}
    turn.control.interrupt().await.unwrap();
    back.send_replace(true);
    let (_, end) = read(turn).await;
    assert_eq!((end.outcome, end.reason.as_deref()), (Outcome::Cancelled, Some("the run was stopped")));
    let order = &gateway.known.requests("agent")[0];
    let expected = json!({"sessionKey": order["sessionKey"], "runId": order["idempotencyKey"]});
    assert_eq!(gateway.known.requests("chat.abort")[0], expected);
}

#[tokio::test]
async fn an_interrupt_that_finds_no_gateway_is_not_said_to_have_stopped_the_run() {
    let gateway = FakeGateway::start(|mut peer| async move {
        if peer.number > 0 {
            return peer.close(1013, "gateway starting").await;
        }
        peer.greet().await;
        peer.accept().await;
        peer.writes("Half").await;
    })
    .await;
    let harness = harness(&gateway).reconnect_patience(Duration::from_secs(50));
    let session = open(&harness, &Arc::default()).await;
    let mut turn = within(session.turn(request(1))).await.unwrap();
    while !matches!(within(turn.events.next()).await, Some(TurnEvent::Text { .. })) {}
    while gateway.connections() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    turn.control.interrupt().await.unwrap();
    let (_, end) = read(turn).await;
    assert_eq!(end.outcome, Outcome::Cancelled);
    assert!(end.reason.unwrap().contains("cannot confirm"));
}

/// The old run may go on, and its calls are not those of the next turn.
#[tokio::test]
async fn after_a_stop_that_is_not_confirmed_the_next_turn_has_another_session() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        while let Some(request) = peer.request().await {
            if request["method"] == "agent" && peer.known.requests("agent").len() == 1 {
                peer.writes("Half").await;
            } else if request["method"] == "agent" {
                peer.says("Next.").await;
            }
        }
    })
    .await;
    let harness = harness(&gateway).answer_patience(Duration::from_secs(50));
    let session = open(&harness, &Arc::default()).await;
    let mut turn = within(session.turn(request(1))).await.unwrap();
    while !matches!(within(turn.events.next()).await, Some(TurnEvent::Text { .. })) {}
    turn.control.interrupt().await.unwrap();
    let (_, stopped) = read(turn).await;
    assert!(stopped.reason.unwrap().contains("does not say"));
    let (_, end) = read(within(session.turn(request(2))).await.unwrap()).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Next."), Sent::Full));
    assert_eq!(end.token, stopped.token, "another host would begin there too");
    let orders = gateway.known.requests("agent");
    assert_ne!(orders[0]["sessionKey"], orders[1]["sessionKey"]);
}

#[tokio::test]
async fn a_dropped_turn_is_stopped() {
    let gateway = obeying(1).await;
    let harness = harness(&gateway);
    let session = open(&harness, &Arc::default()).await;
    drop(within(session.turn(request(1))).await.unwrap());
    within(async {
        while gateway.known.requests("chat.abort").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The provider is out of reach, say, and the gateway says nothing of it.
#[tokio::test]
async fn a_run_that_tells_nothing_of_itself_is_stopped_and_timed_out() {
    let gateway = obeying(1).await;
    let (_, end) = one_turn(&gateway).await;
    assert_eq!(end.outcome, Outcome::TimedOut, "{end:?}");
    assert!(end.reason.unwrap().contains("told nothing"));
    assert_eq!(gateway.known.requests("chat.abort").len(), 1);
}

#[tokio::test]
async fn an_order_that_is_not_answered_ends_the_turn() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        peer.idle().await;
    })
    .await;
    let (_, end) = one_turn(&gateway).await;
    assert_eq!(end.outcome, Outcome::Lost, "{end:?}");
    assert!(end.reason.unwrap().contains("takes no run"));
}

#[tokio::test]
async fn a_gateway_that_answers_no_question_is_given_up() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        while peer.raw_request().await.is_some() {}
    })
    .await;
    let harness = harness(&gateway);
    let session = open(&harness, &Arc::default()).await;
    let error = within(session.turn(request(1))).await.unwrap_err();
    assert!(error.to_string().contains("does not answer `chat.history` within 2000 ms"), "{error}");
}
