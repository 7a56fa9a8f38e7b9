//! A party that is drained or stopped while the CLI runs.

use crate::{
    host::with_council,
    stage::{
        PERSONAS, QUESTION, Stage, events, feed, opinions, turns_ended, until, whole_feed, with_slow_pair,
    },
    way::{Way, in_both_ways},
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

in_both_ways!(
    a171_a_drained_party_leaves_no_process_and_goes_on_later,
    a082_a171_a_stopped_party_closes_as_aborted_and_leaves_no_process,
    a171_a_dropped_party_leaves_no_process,
);

/// A council of which Mary and John have spoken, while the models of the others do not answer.
async fn in_mid_round(way: Way) -> (Stage, Arc<SqliteBus>, Party) {
    let slow = Gate::new();
    let stage = Stage::on(way, with_slow_pair(1, &slow)).await;
    let bus = stage.bus().await;
    let party = with_council(stage.builder(bus.clone()), 1).start(QUESTION).await.unwrap();
    slow.arrived().await;
    slow.arrived().await;
    until("the others have finished", async || turns_ended(bus.as_ref(), party.session()).await == 2).await;
    // A process that serves many turns waits for the next.
    assert_eq!(stage.living().len(), if way.is_persistent { 4 } else { 2 });
    (stage, bus, party)
}

async fn a171_a_drained_party_leaves_no_process_and_goes_on_later(way: Way) {
    let (stage, bus, party) = in_mid_round(way).await;
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

async fn a082_a171_a_stopped_party_closes_as_aborted_and_leaves_no_process(way: Way) {
    let (stage, bus, party) = in_mid_round(way).await;
    let session = party.session();
    let begun = Instant::now();
    party.stop().await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Aborted);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    if way.is_persistent {
        until("those that wait for a turn go by themselves", async || stage.living().is_empty()).await;
    }
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

async fn a171_a_dropped_party_leaves_no_process(way: Way) {
    let (stage, _bus, party) = in_mid_round(way).await;
    drop(party);
    until("nothing is left", async || stage.living().is_empty()).await;
}
