//! Connections that break in the middle of a turn.

use crate::{
    codex::{Bench, Tools, begin, end_in, end_of, events_of, request, texts, until, within},
    peer::{Fake, Peer, THREAD, turn},
};
use party_core::{Failure, Outcome};
use party_harness::{ErrorKind, Recovery, TurnEvent};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The client comes again, and looks what became of its turn.
async fn comes_again(fake: &Fake, status: &str, turns: Value) -> Peer {
    let mut peer = fake.greeted().await;
    let resumed = peer.resume(status).await;
    assert_eq!((&resumed["threadId"], &resumed["excludeTurns"]), (&json!(THREAD), &json!(true)));
    assert_eq!(resumed["config"]["agents"]["enabled"], false, "the whole configuration: {resumed}");
    peer.answer("thread/turns/list", json!({ "data": turns })).await;
    peer
}

#[tokio::test]
async fn a047_a_connection_that_breaks_in_mid_turn_is_made_again_and_gives_one_answer() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        peer.say("m0", "Let me see.").await;
        peer.call(5, "wait").await;
        peer.call(6, "share").await;
        assert_eq!(peer.next().await["id"], 6);
        drop(peer);
        let mut peer = comes_again(&fake, "active", json!([turn("inProgress", None)])).await;
        // What was pending is asked again; an answer may not have come through.
        peer.call(5, "wait").await;
        peer.call(6, "share").await;
        assert_eq!(peer.next().await["id"], 6);
        tools.release();
        let answer = peer.next().await;
        assert_eq!(
            (&answer["id"], &answer["result"]["contentItems"][0]["text"]),
            (&json!(5), &json!("waited"))
        );
        peer.say("m0", "Let me see.").await;
        peer.say("m1", "Ship it.").await;
        peer.complete("completed", Some("Ship it.")).await;
        peer.complete("completed", Some("Ship it.")).await;
        peer
    };
    let play = async { events_of(begin(&session, request(1, "Go.", &["wait", "share"])).await).await };
    let (events, _peer) = futures::join!(play, serve);
    assert_eq!(end_in(&events).text.as_deref(), Some("Ship it."));
    assert_eq!(texts(&events), ["Let me see.", "Ship it."]);
    assert_eq!(tools.names(), ["wait", "share"], "each call is run once");
}

#[tokio::test]
async fn a047_a_turn_that_ended_meanwhile_gives_its_answer_once() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        drop(fake.running().await);
        comes_again(&fake, "idle", json!([turn("completed", Some("Done meanwhile."))])).await
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (end, mut peer) = futures::join!(play, serve);
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Done meanwhile.")));
    // The thread is loaded on the new connection.
    let serve = async {
        peer.begin().await;
        peer.complete("completed", Some("Next.")).await;
    };
    let play = async { end_of(begin(&session, request(2, "And?", &[])).await).await };
    let (end, ()) = futures::join!(play, serve);
    assert_eq!(end.text.as_deref(), Some("Next."));
}

/// A server that was killed says of its last turn that it was interrupted.
#[tokio::test]
async fn a172_a_turn_that_its_server_was_killed_in_has_failed_and_the_next_one_works() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        drop(fake.running().await);
        comes_again(&fake, "idle", json!([turn("interrupted", None)])).await
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (end, _peer) = futures::join!(play, serve);
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Died)), "{end:?}");
    assert!(end.reason.is_some() && end.token.is_some());
}

#[tokio::test]
async fn a047_a_server_that_is_gone_past_the_patience_is_a_typed_error() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().reconnect_patience(Duration::from_millis(400));
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let peer = fake.running().await;
        drop((peer, fake));
    };
    let began = Instant::now();
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (end, ()) = futures::join!(play, serve);
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Died)), "{end:?}");
    assert!(end.reason.unwrap().starts_with("codex cannot be reached again: nothing answers there"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let error = session.turn(request(2, "Go.", &[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}

#[tokio::test]
async fn an_interrupt_while_there_is_no_connection_ends_the_turn() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().reconnect_patience(Duration::from_secs(600));
    let session = bench.open(&codex, &tools).await;
    let play = async {
        let mut turn = begin(&session, request(1, "Go.", &[])).await;
        until(&mut turn, |event| matches!(event, TurnEvent::Started { .. })).await;
        turn.control.interrupt().await.unwrap();
        end_of(turn).await
    };
    let serve = async {
        let peer = fake.running().await;
        drop((peer, fake));
    };
    let (end, ()) = futures::join!(play, serve);
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
}

/// Another process of the host hears a turn that its server went on with.
#[tokio::test]
async fn a172_a_turn_that_outlived_its_host_is_gone_on_with() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let first = fake.codex();
    let session = bench.open(&first, &tools).await;
    let started = async {
        let mut turn = begin(&session, request(1, "Go.", &["share"])).await;
        let mut seen = until(&mut turn, |event| matches!(event, TurnEvent::Started { .. })).await;
        let Some(TurnEvent::Started { token, .. }) = seen.pop() else { panic!("{seen:?}") };
        // As a host that dies: nothing is ended in order.
        std::mem::forget(turn);
        token
    };
    let (token, mut peer) = futures::join!(started, fake.running());
    let message = crate::codex::key(1, 1);
    let second = fake.codex();
    let session = bench.open_with(&second, &tools, Some(token)).await;
    let id = read_trace(&bench);
    let mut running = turn("inProgress", None);
    running["items"] = json!([{"type": "userMessage", "clientId": id}]);
    let serve = async {
        let mut peer = fake.greeted().await;
        peer.answer("thread/turns/list", json!({ "data": [running] })).await;
        peer.resume("active").await;
        peer.call(3, "share").await;
        assert_eq!(peer.next().await["result"]["success"], true);
        peer.say("m", "Still here.").await;
        peer.complete("completed", Some("Still here.")).await;
        peer
    };
    let (recovery, _second) = futures::join!(
        async {
            match within(session.recover(message)).await.unwrap() {
                Recovery::Running(turn) => end_of(turn).await,
                other => panic!("{other:?}"),
            }
        },
        serve
    );
    assert_eq!(recovery.text.as_deref(), Some("Still here."));
    assert_eq!(tools.names(), ["share"]);
    peer.complete("completed", None).await;
}

/// The id of the message that the seat's last turn was sent.
fn read_trace(bench: &Bench) -> String {
    let path = bench.folder("seat-1").join("codex-trace.json");
    let trace: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(trace["thread"], THREAD);
    trace["message"].as_str().unwrap().to_owned()
}
