//! Connections that break in the middle of a turn.

use crate::{
    codex::{Bench, Tools, begin, end_in, end_of, events_of, request, texts, until, within},
    peer::{Fake, Peer, THREAD, TURN, turn},
};
use party_core::{Cost, Failure, Outcome, Sent, Usd};
use party_harness::{
    ErrorKind, Recovery, ResumeToken, TurnEvent,
    prices::{Price, Prices, Rates},
};
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
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(end.token, None, "the turn may run still");
    let error = session.turn(request(2, "Go.", &[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
}

#[tokio::test]
async fn an_interrupt_while_there_is_no_connection_ends_the_turn() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex =
        fake.codex().reconnect_patience(Duration::from_secs(600)).stop_patience(Duration::from_millis(300));
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
    let second = fake.codex().model("gpt-5").prices(priced());
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
        peer.spend(1_000).await;
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
    assert_eq!((recovery.text.as_deref(), recovery.cost), (Some("Still here."), Cost::Unknown));
    assert_eq!(tools.names(), ["share"]);
    peer.complete("completed", None).await;
}

/// Two model calls were counted, and those that nobody heard of are not.
#[tokio::test]
async fn what_a_turn_cost_whose_connection_broke_is_unknown() {
    for is_over in [true, false] {
        let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
        let codex = fake.codex().model("gpt-5").prices(priced());
        let session = bench.open(&codex, &tools).await;
        let serve = async {
            let mut peer = fake.running().await;
            peer.spend(1_000).await;
            drop(peer);
            if is_over {
                return comes_again(&fake, "idle", json!([turn("completed", Some("Done."))])).await;
            }
            let mut peer = comes_again(&fake, "active", json!([turn("inProgress", None)])).await;
            peer.spend(2_000).await;
            peer.complete("completed", Some("Done.")).await;
            peer
        };
        let play = async { events_of(begin(&session, request(1, "Go.", &[])).await).await };
        let (events, _peer) = futures::join!(play, serve);
        let costs = events.iter().filter_map(|event| match event {
            TurnEvent::Spent { cost, .. } => Some(*cost),
            _ => None,
        });
        let first = Cost::Estimated(Usd::from_micros(1_000));
        let expected = if is_over { vec![first] } else { vec![first, Cost::Unknown] };
        assert_eq!(costs.collect::<Vec<_>>(), expected);
        assert_eq!((end_in(&events).outcome, end_in(&events).cost), (Outcome::Completed, Cost::Unknown));
    }
}

/// A dollar for a million tokens.
fn priced() -> Prices {
    let dollar = Usd::from_micros(1_000_000);
    Prices::none().with("gpt-5", Price::new(Rates::new(dollar, dollar)))
}

/// The thread runs a turn of somebody who is not there any more: what is told to it would go there.
#[tokio::test]
async fn a_turn_that_still_runs_in_the_thread_is_ended_before_the_next() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let token = kept(&fake, &bench, &tools).await;
    let codex = fake.codex();
    let session = bench.open_with(&codex, &tools, Some(token)).await;
    let serve = async {
        let mut peer = fake.greeted().await;
        peer.resume("active").await;
        peer.answer("thread/turns/list", json!({"data": [turn("inProgress", None)]})).await;
        peer.answer("turn/interrupt", json!({})).await;
        peer.resume("idle").await;
        assert_eq!(peer.begin().await["threadId"], THREAD);
        peer.complete("completed", Some("Mine.")).await;
        peer
    };
    let play = async { end_of(begin(&session, request(2, "And?", &[])).await).await };
    let (end, _peer) = futures::join!(play, serve);
    assert_eq!((end.text.as_deref(), end.sent), (Some("Mine."), Sent::Delta));
}

#[tokio::test]
async fn a_thread_whose_turn_cannot_be_ended_is_left_for_another() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let token = kept(&fake, &bench, &tools).await;
    let codex = fake.codex().stop_patience(Duration::from_secs(1));
    let session = bench.open_with(&codex, &tools, Some(token)).await;
    let serve = async {
        let mut peer = fake.greeted().await;
        peer.resume("active").await;
        peer.answer("thread/turns/list", json!({"data": [turn("inProgress", None)]})).await;
        assert_eq!(peer.next().await["method"], "turn/interrupt");
        assert_eq!(peer.answer("thread/unsubscribe", json!({})).await["threadId"], THREAD);
        peer.configured().await;
        peer.answer("thread/start", json!({"thread": {"id": "another"}})).await;
        let asked = peer.answer("turn/start", json!({"turn": {"id": TURN}})).await;
        assert_eq!(asked["threadId"], "another");
        let done = json!({"threadId": "another", "turn": turn("completed", Some("Mine."))});
        peer.send(&json!({"method": "turn/completed", "params": done})).await;
        peer
    };
    let play = async { end_of(begin(&session, request(2, "And?", &[])).await).await };
    let (end, _peer) = futures::join!(play, serve);
    assert_eq!((end.text.as_deref(), end.sent), (Some("Mine."), Sent::Full));
}

/// The token of a session that had a turn.
async fn kept(fake: &Fake, bench: &Bench, tools: &std::sync::Arc<Tools>) -> ResumeToken {
    let codex = fake.codex();
    let session = bench.open(&codex, tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        peer.complete("completed", Some("Done.")).await;
        peer
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    futures::join!(play, serve).0.token.unwrap()
}

/// The id of the message that the seat's last turn was sent.
fn read_trace(bench: &Bench) -> String {
    let path = bench.folder("seat-1").join("codex-trace.json");
    let trace: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(trace["thread"], THREAD);
    trace["message"].as_str().unwrap().to_owned()
}
