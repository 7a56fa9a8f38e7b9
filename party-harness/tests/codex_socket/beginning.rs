//! Turns whose beginning goes wrong, or is not wanted any more.

use crate::{
    codex::{Bench, Tools, begin, end_of, program, request, within},
    peer::{Fake, THREAD, TURN, turn},
};
use party_core::{Cost, Failure, Outcome};
use party_harness::{Close, ErrorKind, Harness as _, codex::Codex};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const SHORT: Duration = Duration::from_secs(1);

/// As the server lists the turn that it was asked for in this way.
fn listed(asked: &Value, status: &str) -> Value {
    let mut turn = turn(status, None);
    turn["items"] = json!([{"type": "userMessage", "clientId": asked["clientUserMessageId"]}]);
    turn
}

/// It may run: it is looked for and stopped, and what it cost is not known.
#[tokio::test]
async fn a_turn_whose_start_is_not_answered_has_failed_at_an_unknown_cost() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().request_patience(SHORT).stop_patience(Duration::from_secs(30));
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.greeted().await;
        peer.open().await;
        let asked = peer.next().await;
        assert_eq!(asked["method"], "turn/start");
        let listed = listed(&asked["params"], "inProgress");
        assert_eq!(peer.answer("thread/turns/list", json!({ "data": [listed] })).await["threadId"], THREAD);
        assert_eq!(peer.answer("turn/interrupt", json!({})).await["turnId"], TURN);
        peer
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (end, _peer) = futures::join!(play, serve);
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Died)), "{end:?}");
    assert_eq!((end.cost, &end.token), (Cost::Unknown, &None));
    assert_eq!(end.reason.as_deref(), Some("codex does not answer `turn/start` within 1000 ms"));
    assert_eq!(session.state().token, None, "the thread may run the turn still");
}

#[tokio::test]
async fn a_turn_whose_start_is_lost_again_and_again_has_failed_at_an_unknown_cost() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().stop_patience(SHORT);
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        for again in [false, true, true] {
            let mut peer = fake.greeted().await;
            if again {
                peer.answer("thread/turns/list", json!({"data": []})).await;
            }
            peer.open().await;
            assert_eq!(peer.next().await["method"], "turn/start");
        }
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (end, ()) = futures::join!(play, serve);
    assert_eq!((end.outcome, end.cost, end.token), (Outcome::Failed, Cost::Unknown, None));
}

/// The server was asked already: the turn is stopped as soon as it has a name.
#[tokio::test]
async fn a_turn_that_begins_is_stopped_with_its_session() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().stop_patience(Duration::from_secs(30));
    let session = bench.open(&codex, &tools).await;
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    let serve = async {
        let mut peer = fake.greeted().await;
        peer.open().await;
        let asked = peer.next().await;
        let close = within(session.close(Close::Orderly));
        let stop = async {
            peer.send(&json!({"id": asked["id"], "result": {"turn": {"id": TURN}}})).await;
            assert_eq!(peer.answer("turn/interrupt", json!({})).await["turnId"], TURN);
            peer.complete("interrupted", None).await;
        };
        futures::join!(close, stop).0.unwrap();
        peer
    };
    let (end, _peer) = futures::join!(play, serve);
    assert_eq!((end.outcome, end.cost), (Outcome::Cancelled, Cost::Unknown), "{end:?}");
}

/// In each state before a model may have been asked; the waits of the harness are longer than the test's.
#[tokio::test]
async fn a_turn_that_does_not_begin_holds_up_no_close() {
    let long = Duration::from_secs(600);
    for state in 0..3 {
        let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
        let codex = fake.codex().request_patience(long).stop_patience(long);
        let session = bench.open(&codex, &tools).await;
        let serve = async {
            let mut peer = fake.accept().await;
            if state > 0 {
                peer.greet().await;
            }
            if state > 1 {
                peer.configured().await;
            }
            peer.next().await;
            within(session.close(Close::Now)).await.unwrap();
            peer
        };
        let (turn, _peer) = futures::join!(within(session.turn(request(1, "Go.", &[]))), serve);
        assert_eq!(turn.unwrap_err().kind(), ErrorKind::Closed, "in state {state}");
    }
}

/// Nothing of it is left that another turn would have to wait for.
#[tokio::test]
async fn a_turn_that_is_dropped_while_it_begins_is_stopped() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().stop_patience(Duration::from_secs(30));
    let session = bench.open(&codex, &tools).await;
    let mut peer = {
        let turn = session.turn(request(1, "Go.", &[]));
        let asked = async {
            let mut peer = fake.greeted().await;
            peer.open().await;
            (peer.next().await, peer)
        };
        let (asked, mut peer) = tokio::select! {
            _ = turn => panic!("it has not begun"),
            asked = asked => asked,
        };
        peer.send(&json!({"id": asked["id"], "result": {"turn": {"id": TURN}}})).await;
        peer
    };
    assert_eq!(peer.answer("turn/interrupt", json!({})).await["turnId"], TURN);
    peer.complete("interrupted", None).await;
    within(session.close(Close::Orderly)).await.unwrap();
}

/// A program that says where a server listens, and counts its starts.
fn server(folder: &Path, url: &str) -> PathBuf {
    let starts = folder.join("starts");
    let help = "app-server ws:// --ws-token-file";
    let text = format!(
        "#!/bin/sh\nif [ \"$2\" = --help ]; then echo '{help}'; exit; fi\n\
         echo started >>'{}'\necho 'listening on: {url}' >&2\nexec sleep 600\n",
        starts.display()
    );
    program(folder, "codex", &text)
}

/// Whether it does not even greet, loads no thread, or starts no turn.
#[tokio::test]
async fn a_server_of_ones_own_that_hangs_is_replaced() {
    for state in 0..3 {
        let (fake, bench, tools) = (Fake::started().await, Bench::new(), Tools::new());
        let folder = bench.folder("bin");
        let codex = Codex::new(server(&folder, &fake.url)).request_patience(SHORT);
        let session = bench.open(&codex, &tools).await;
        let serve = async {
            let mut mute = fake.accept().await;
            if state > 0 {
                mute.greet().await;
            }
            if state > 1 {
                mute.open().await;
            }
            let mut peer = fake.running().await;
            peer.complete("completed", Some("Next.")).await;
            (mute, peer)
        };
        let play = async {
            match within(session.turn(request(1, "Go.", &[]))).await {
                Ok(turn) => assert_eq!(end_of(turn).await.cost, Cost::Unknown),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Protocol, "{error}"),
            }
            end_of(begin(&session, request(2, "And?", &[])).await).await
        };
        let (end, _peers) = futures::join!(play, serve);
        assert_eq!(end.text.as_deref(), Some("Next."), "hung in state {state}");
        assert_eq!(fs::read_to_string(folder.join("starts")).unwrap(), "started\nstarted\n");
        codex.shutdown().await.unwrap();
    }
}
