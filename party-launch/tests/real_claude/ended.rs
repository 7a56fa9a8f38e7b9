//! A party that is drained or stopped while the CLI runs.

use crate::{
    host::with_council,
    stage::{
        PERSONAS, QUESTION, Stage, events, feed, opinions, turns_ended, until, whole_feed, with_slow_pair,
    },
};
use party_launch::{
    Party,
    bus::SqliteBus,
    core::{CloseReason, Event, Outcome},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use test_support::Gate;

/// A council of which Mary and John have spoken, while the models of the others do not answer.
async fn in_mid_round() -> (Stage, Arc<SqliteBus>, Party) {
    let slow = Gate::new();
    let stage = Stage::new(with_slow_pair(1, &slow)).await;
    let bus = stage.bus().await;
    let party = with_council(stage.builder(bus.clone()), 1).start(QUESTION).await.unwrap();
    slow.arrived().await;
    slow.arrived().await;
    until("the others have finished", async || turns_ended(bus.as_ref(), party.session()).await == 2).await;
    assert_eq!(stage.living().len(), 2);
    (stage, bus, party)
}

#[tokio::test]
async fn a171_a_drained_party_leaves_no_process_and_goes_on_later() {
    let (stage, bus, party) = in_mid_round().await;
    let session = party.session();
    party.shutdown().await.unwrap();
    assert_eq!(stage.living().len(), 0);
    stage.set(opinions(1..=1));
    let party = stage.builder(bus.clone()).resume(session).await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    party.shutdown().await.unwrap();
    assert_eq!(feed(bus.as_ref(), session).await, whole_feed(1));
    assert_eq!(PERSONAS.map(|name| stage.asked(name).len()), [0, 0, 1, 1]);
}

#[tokio::test]
async fn a082_a171_a_stopped_party_closes_as_aborted_and_leaves_no_process() {
    let (stage, bus, party) = in_mid_round().await;
    let session = party.session();
    let begun = Instant::now();
    party.stop().await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Aborted);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(stage.living().len(), 0, "none of them, even before the driver is gone");
    party.shutdown().await.unwrap();
    let events = events(bus.as_ref(), session).await;
    let ends = events.iter().filter_map(|event| match event {
        Event::TurnEnded(end) => Some(end.outcome),
        _ => None,
    });
    let cancelled = ends.filter(|outcome| *outcome == Outcome::Cancelled).count();
    assert_eq!(cancelled, 2);
    assert_eq!(stage.asked("Maat").len(), 0);
}
