//! Connections and gateways that are lost in the middle of a run.

use crate::{
    openclaw_gateway::{alone, own, setup, shared},
    seat::{Seat, read, run, until, within},
    wire::Wire,
};
use party_harness::{
    Harness as _, Recovery, TurnEvent,
    core::{Outcome, Sent},
    openclaw::OpenClaw,
};
use serde_json::json;
use std::time::Duration;
use test_support::{FakeModel, Gate, KeptFolder, ModelTurn, Scenario};

fn is_start(event: &TurnEvent) -> bool {
    matches!(event, TurnEvent::Started { .. })
}

#[tokio::test]
async fn a174_a_lost_connection_costs_no_answer_and_none_comes_twice() {
    let _alone = alone().await;
    let (gateway, seat, gate) = (shared().await, Seat::new(), Gate::new());
    let wire = Wire::to(&gateway.url).await;
    let harness = OpenClaw::attach(&wire.url, gateway.token.clone()).unwrap().keys(seat.keys());
    let look = format!("{}look", harness.tool_prefix().unwrap());
    gateway.model.extend(
        Scenario::new()
            .turn(seat.calls("cue", &look, json!({})))
            .turn(seat.turn("cue", ModelTurn::text("Ship it.").gate(&gate))),
    );
    let session = seat.open(&harness, None).await;
    let mut turn = within(session.turn(seat.request(1, "cue", &["look"], &[]))).await.unwrap();
    until(&mut turn, is_start).await;
    within(gate.arrived()).await;
    wire.cut();
    gate.open();
    let (events, end) = read(turn).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Ship it.")), "{end:?}");
    assert!(!events.iter().any(is_start), "it starts once");
    assert_eq!(gateway.asked(&seat.marker).len(), 2, "and is paid once");
    // The node is there again too.
    gateway.model.extend(
        Scenario::new()
            .turn(seat.calls("cue-again", &look, json!({})))
            .turn(seat.turn("cue-again", ModelTurn::text("Again."))),
    );
    let end = run(&session, seat.request(2, "cue-again", &["look"], &[])).await;
    assert_eq!((end.text.as_deref(), seat.calls.lock().unwrap().len()), (Some("Again."), 2), "{end:?}");
}

/// A host that comes back finds its run about to end, and hears the answer.
#[tokio::test]
async fn a_run_that_a_dead_host_left_behind_may_end_by_its_answer() {
    let (gateway, seat, gate) = (shared().await, Seat::new(), Gate::new());
    gateway.model.extend(Scenario::new().turn(seat.turn("cue-1", ModelTurn::text("Late.").gate(&gate))));
    let wire = Wire::to(&gateway.url).await;
    let dead = OpenClaw::attach(&wire.url, gateway.token.clone()).unwrap().keys(seat.keys());
    let session = seat.open(&dead, None).await;
    let request = seat.request(1, "cue-1", &[], &[]);
    let key = request.key;
    let mut turn = within(session.turn(request)).await.unwrap();
    until(&mut turn, is_start).await;
    within(gate.arrived()).await;
    drop(wire);
    let token = session.state().token;
    let harness = gateway.harness(seat.keys()).stop_patience(Duration::from_secs(60));
    let session = seat.open(&harness, token).await;
    let (recovery, ()) = tokio::join!(within(session.recover(key)), async { gate.open() });
    match recovery.unwrap() {
        Recovery::Ended(end) => {
            assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Late.")), "{end:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(gateway.asked(&seat.marker).len(), 1, "it is paid once");
    drop(turn);
}

/// A host that comes back finds its run still going, and ends it: nobody could answer its calls.
#[tokio::test]
async fn a_run_that_a_dead_host_left_behind_is_ended() {
    let (gateway, seat) = (shared().await, Seat::new());
    gateway.model.extend(
        Scenario::new()
            .turn(seat.turn("cue-2", ModelTurn::text("Next.")))
            .turn(seat.turn("cue-1", ModelTurn::text("Never.").hang().repeat())),
    );
    let wire = Wire::to(&gateway.url).await;
    let dead = OpenClaw::attach(&wire.url, gateway.token.clone()).unwrap().keys(seat.keys());
    let session = seat.open(&dead, None).await;
    let request = seat.request(1, "cue-1", &[], &[]);
    let key = request.key;
    let mut turn = within(session.turn(request)).await.unwrap();
    until(&mut turn, is_start).await;
    within(async {
        while gateway.asked(&seat.marker).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // It goes without a word.
    drop(wire);
    let token = session.state().token;
    let harness = gateway.harness(seat.keys());
    let session = seat.open(&harness, token).await;
    let recovery = within(session.recover(key)).await.unwrap();
    assert!(matches!(recovery, Recovery::Unknown), "it can be done again: {recovery:?}");
    let end = run(&session, seat.request(2, "cue-2", &[], &[])).await;
    assert_eq!(end.text.as_deref(), Some("Next."), "{end:?}");
    drop(turn);
}

/// Killed in the middle of a run, and started again with the same folder: the turn ends once, typed; the
/// sessions are there; nothing is paid twice.
#[tokio::test]
async fn a174_a_gateway_that_is_killed_and_comes_back_ends_the_turn_once_and_keeps_its_sessions() {
    let (seat, gate) = (Seat::new(), Gate::new());
    let model = FakeModel::start(
        Scenario::new()
            .turn(seat.turn("cue-3", ModelTurn::text("Three.")))
            .turn(seat.turn("cue-2", ModelTurn::text("Never.").gate(&gate)))
            .turn(seat.turn("cue-1", ModelTurn::text("One."))),
    )
    .await;
    let _own = own().await;
    let folder = KeptFolder::new("party-openclaw-").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = || setup(&model, folder.path()).port(port).token("a-token-that-stays").start();
    let gateway = start().await.unwrap();
    let harness = gateway.harness();
    let session = seat.open(&harness, None).await;
    assert_eq!(run(&session, seat.request(1, "cue-1", &[], &[])).await.text.as_deref(), Some("One."));
    let mut turn = within(session.turn(seat.request(2, "cue-2", &[], &[]))).await.unwrap();
    until(&mut turn, is_start).await;
    within(gate.arrived()).await;
    drop(gateway);
    let (ended, again) = tokio::join!(read(turn), start());
    let (again, end) = (again.unwrap(), ended.1);
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Lost, None), "{end:?}");
    gate.open();
    let end = run(&session, seat.request(3, "cue-3", &[], &[])).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Three."), Sent::Delta), "{end:?}");
    let bodies: Vec<String> = model.model_requests().iter().map(|one| one["body"].to_string()).collect();
    assert_eq!(bodies.len(), 3, "no run is done again");
    assert!(bodies[2].contains("One."), "the session remembers");
    within(harness.shutdown()).await.unwrap();
    again.stop().await.unwrap();
}
