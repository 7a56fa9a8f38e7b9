//! Connections that are lost in the middle of a run.

use crate::{
    gateway::FakeGateway,
    host::{harness, one_turn, open, read, request, within},
};
use party_harness::{
    ErrorKind, Recovery, TurnEvent,
    core::{Failure, Outcome},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

fn started(events: &[TurnEvent]) -> usize {
    events.iter().filter(|event| matches!(event, TurnEvent::Started { .. })).count()
}

/// The orders that a gateway got; each is the same.
fn orders(gateway: &FakeGateway) -> usize {
    let orders = gateway.known.requests("agent");
    assert!(orders.iter().all(|order| *order == orders[0]), "the same key for the same run: {orders:?}");
    orders.len()
}

#[tokio::test]
async fn a048_a_run_that_goes_on_meanwhile_gives_its_one_answer_later() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        if peer.number == 0 {
            peer.accept().await;
            peer.writes("Ship").await;
            return peer.close(1006, "").await;
        }
        let mut waits = 0;
        while let Some(request) = peer.request().await {
            let run = request["params"]["idempotencyKey"].clone();
            match request["method"].as_str().unwrap() {
                "agent" if waits < 2 => {
                    peer.answer(&request, json!({"runId": run, "status": "in_flight"})).await;
                }
                "agent" => peer.says("Ship it.").await,
                _ if waits == 0 => {
                    waits += 1;
                    peer.writes("Ship it.").await;
                    peer.answer(&request, json!({"status": "timeout"})).await;
                }
                _ => {
                    waits += 1;
                    peer.answer(
                        &request,
                        json!({"status": "ok", "endedAt": 1, "terminalReply": {"text": "Shi"}}),
                    )
                    .await;
                }
            }
        }
    })
    .await;
    let (events, end) = one_turn(&gateway).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Ship it.")), "{end:?}");
    assert_eq!((crate::host::texts(&events).as_str(), started(&events)), ("Ship it.", 1));
    assert_eq!(orders(&gateway), 3);
}

#[tokio::test]
async fn a048_a_run_that_ended_meanwhile_is_answered_at_once() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        if peer.number == 0 {
            peer.accept().await;
            return peer.close(1012, "service restart").await;
        }
        while let Some(request) = peer.request().await {
            if request["method"] == "agent" {
                peer.says("Ship it.").await;
            }
        }
    })
    .await;
    let (events, end) = one_turn(&gateway).await;
    assert_eq!((end.text.as_deref(), started(&events), orders(&gateway)), (Some("Ship it."), 1, 2));
}

/// The order was lost with the connection: it is given again, and runs once.
#[tokio::test]
async fn an_order_that_was_never_taken_is_given_again() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        if peer.number == 0 {
            peer.request().await;
            return drop(peer);
        }
        peer.accept().await;
        peer.says("Ship it.").await;
        peer.idle().await;
    })
    .await;
    let (_, end) = one_turn(&gateway).await;
    assert_eq!((end.text.as_deref(), orders(&gateway)), (Some("Ship it."), 2));
}

#[tokio::test]
async fn a048_a_gateway_that_is_gone_for_good_ends_the_turn_by_a_typed_end() {
    let (gone, is_gone) = tokio::sync::watch::channel(false);
    let gone = Arc::new(gone);
    let gateway = FakeGateway::start(move |mut peer| {
        let (gone, is_gone) = (Arc::clone(&gone), is_gone.clone());
        async move {
            if *is_gone.borrow() {
                return peer.close(1013, "gateway starting").await;
            }
            peer.greet().await;
            peer.accept().await;
            peer.writes("Half").await;
            gone.send_replace(true);
        }
    })
    .await;
    let (_, end) = one_turn(&gateway).await;
    assert_eq!((end.outcome, end.text), (Outcome::Lost, None), "{:?}", end.reason);
    assert!(end.token.is_some(), "the session is there when the gateway is");
}

pub(crate) fn history(run: &Value, answer: Option<&str>) -> Value {
    let run = run.as_str().unwrap();
    let mut rows = vec![json!({"role": "user", "content": "x", "idempotencyKey": format!("{run}:user")})];
    rows.extend(answer.map(|text| {
        json!({"role": "assistant", "stopReason": "stop", "content": [{"type": "text", "text": text}],
            "usage": {"input": 1, "output": 2}, "__openclaw": {"runId": run}})
    }));
    json!(rows)
}

/// A gateway that is restarted in the middle of a run, and what it then has written down.
async fn restarted(answer: Option<&'static str>) -> (FakeGateway, party_harness::TurnEnd) {
    let gateway = FakeGateway::start(move |mut peer| async move {
        peer.greet().await;
        if peer.number > 0 {
            return peer.idle().await;
        }
        let order = peer.accept().await.unwrap();
        peer.writes("Ship").await;
        peer.known.write_down(history(&order["idempotencyKey"], answer));
        peer.known.restart("boot-2");
        peer.close(1012, "service restart").await;
    })
    .await;
    let (_, end) = one_turn(&gateway).await;
    (gateway, end)
}

#[tokio::test]
async fn a174_after_a_restart_an_answer_that_was_written_down_counts_once() {
    let (gateway, end) = restarted(Some("Ship it.")).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Ship it.")));
    assert_eq!((end.usage.output_tokens, orders(&gateway)), (2, 1), "it is not ordered again");
}

#[tokio::test]
async fn a174_after_a_restart_a_run_without_an_answer_is_lost_and_not_paid_twice() {
    let (gateway, end) = restarted(None).await;
    assert_eq!((end.outcome, end.failure), (Outcome::Lost, None));
    assert!(end.reason.unwrap().contains("restarted"));
    assert_eq!(orders(&gateway), 1);
}

/// Another host takes over: what became of the turn?
#[tokio::test]
async fn what_became_of_a_turn_is_read_from_what_the_gateway_wrote_down() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        peer.accept().await;
        peer.says("Ship it.").await;
        peer.idle().await;
    })
    .await;
    let first = harness(&gateway);
    let session = open(&first, &Arc::default()).await;
    let (key, later) = (request(1).key, request(2).key);
    assert!(matches!(within(session.recover(key)).await.unwrap(), Recovery::NotSeen));
    read(within(session.turn(request(1))).await.unwrap()).await;
    let run = gateway.known.requests("agent")[0]["idempotencyKey"].clone();
    gateway.known.write_down(history(&run, None));
    assert!(matches!(within(session.recover(key)).await.unwrap(), Recovery::Unknown));
    assert!(matches!(within(session.recover(later)).await.unwrap(), Recovery::NotSeen));
    gateway.known.write_down(history(&run, Some("Ship it.")));
    let second = harness(&gateway);
    let session = open(&second, &Arc::default()).await;
    match within(session.recover(key)).await.unwrap() {
        Recovery::Ended(end) => {
            assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Ship it.")));
        }
        other => panic!("{other:?}"),
    }
}

/// A gateway that neither speaks nor answers a ping is as good as gone.
#[tokio::test]
async fn a_connection_that_has_fallen_silent_is_made_anew() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.tick = 200;
        peer.greet().await;
        if peer.number == 0 {
            peer.accept().await;
            // It keeps the connection, and reads nothing.
            return std::future::pending().await;
        }
        peer.accept().await;
        peer.says("Ship it.").await;
        peer.idle().await;
    })
    .await;
    let (_, end) = one_turn(&gateway).await;
    assert_eq!(end.text.as_deref(), Some("Ship it."));
}

/// Wherever the gateway hangs up: an error before the turn, or one end of it.
#[tokio::test]
async fn a174_a_connection_may_be_closed_in_every_state() {
    let cases = (0..9_usize).flat_map(|state| [1000, 1008, 1012].map(|code| (state, code)));
    futures::future::join_all(cases.map(|(state, code)| async move {
        let gateway = closing(state, code).await;
        closed_in(&gateway, state, code).await;
    }))
    .await;
}

/// A gateway whose connections all end in this state.
async fn closing(state: usize, code: u16) -> FakeGateway {
    FakeGateway::start(move |mut peer| async move {
        if state == 0 {
            return peer.close(code, "now").await;
        }
        peer.challenge().await;
        if state == 1 {
            return peer.close(code, "now").await;
        }
        let Some(request) = peer.raw_request().await else { return };
        if state == 2 {
            return peer.close(code, "now").await;
        }
        peer.answer(
            &request,
            json!({"protocol": 4, "server": {"bootId": "b"}, "policy": {},
                    "auth": {"scopes": request["params"]["scopes"]}}),
        )
        .await;
        // The session's history, and its list of tools.
        for _ in 3..state.min(5) {
            let Some(request) = peer.raw_request().await else { return };
            if request["method"] == "agent" {
                break;
            }
            peer.answer(&request, json!({"messages": [], "entry": request["params"]})).await;
        }
        if state >= 6 && peer.accept().await.is_some() && state >= 7 {
            peer.writes("Half").await;
            if state == 8 {
                peer.tells("lifecycle", json!({"phase": "end"})).await;
            }
        }
        peer.close(code, "now").await;
    })
    .await
}

async fn closed_in(gateway: &FakeGateway, state: usize, code: u16) {
    use party_harness::Harness as _;
    let second = Duration::from_secs(1);
    let harness = harness(gateway).connect_patience(second).reconnect_patience(second);
    let opened = within(harness.open(crate::host::spec(), Arc::<crate::host::Port>::default())).await;
    let turned = match opened {
        Ok(session) => within(session.turn(request(1))).await,
        Err(error) => Err(error),
    };
    match turned {
        Ok(turn) => {
            let (_, end) = read(turn).await;
            let typed = matches!(end.outcome, Outcome::Lost | Outcome::Failed);
            assert!(typed && end.reason.is_some(), "{state} {code}: {end:?}");
            assert!(end.failure.is_none_or(|failure| failure == Failure::Other), "{end:?}");
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Launch), "{state} {code}: {error}");
        }
    }
}
