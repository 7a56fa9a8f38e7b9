//! Turns that outlive their driver: what the next driver makes of them.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::puppet::{Puppet, Stage, end, said};
use party_launch::{
    Party, PartyBuilder, Seat,
    bus::{Bus, MemoryBus},
    core::{CloseReason, Outcome, Record},
    formats::Format,
    harness::TurnEvent,
};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio::sync::Semaphore;

/// A persona that works until it is let go, shares on the way, and counts its turns.
struct Work {
    puppet: Arc<Puppet>,
    begun: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
    turns: Arc<AtomicU32>,
}

fn work() -> Work {
    let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let turns = Arc::new(AtomicU32::new(0));
    let (has_begun, may_go_on, count) = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&turns));
    let puppet = Puppet::new(move |stage: Stage| {
        let (begun, go_on, turns) = (Arc::clone(&has_begun), Arc::clone(&may_go_on), Arc::clone(&count));
        async move {
            turns.fetch_add(1, Ordering::SeqCst);
            if stage.agent == "Maat" {
                return said("Settled.");
            }
            stage.tell(TurnEvent::Text { text: "thinking".into() });
            begun.add_permits(1);
            tokio::select! {
                permit = go_on.acquire() => permit.unwrap().forget(),
                () = stage.interrupted.cancelled() => return end(Outcome::Cancelled, None),
            }
            // A driver that is gone answers no call; one that took the turn over does.
            let reply = stage.call("c1", "share", json!({ "text": "On the way" })).await;
            said(&format!("Ready; the tool said {}.", if reply.is_error { "no" } else { "yes" }))
        }
    });
    Work { puppet, begun, go_on, turns }
}

fn builder(bus: &Arc<dyn Bus>, work: &Work) -> PartyBuilder {
    let folder = std::env::temp_dir().join("party-tests");
    Party::builder(Arc::clone(bus)).harness(Arc::clone(&work.puppet)).folder(folder)
}

/// A council of one persona, whose driver goes away in the middle of the persona's turn.
async fn left_alone(bus: &Arc<dyn Bus>, work: &Work) -> Party {
    let mut format = Format::council();
    format.intents.get_mut("opine").unwrap().tools = vec!["share".into()];
    let seated = builder(bus, work).format(format).seat(Seat::new("Mary", "persona"));
    let party = seated.seat(Seat::new("Maat", "judge")).start("Ship?").await.unwrap();
    work.begun.acquire().await.unwrap().forget();
    party
}

async fn said_in(bus: &Arc<dyn Bus>, party: &Party) -> (Vec<String>, Vec<Arc<Record>>) {
    let records = common::folded(bus.as_ref(), party.session()).await;
    let mut feed = party.feed();
    let mut texts = Vec::new();
    while let Some(item) = feed.next().await.unwrap() {
        texts.push(item.text());
    }
    (texts, records)
}

fn count(records: &[Arc<Record>], kind: &str) -> usize {
    records.iter().filter(|record| record.kind == kind).count()
}

#[tokio::test]
async fn a_turn_that_still_runs_goes_on_as_the_same_attempt() {
    let (bus, work): (Arc<dyn Bus>, _) = (Arc::new(MemoryBus::new()), work());
    let first = left_alone(&bus, &work).await;
    let session = first.session();
    first.shutdown().await.unwrap();
    let second = builder(&bus, &work).resume(session).await.unwrap();
    work.go_on.add_permits(1);
    assert_eq!(second.finished().await.unwrap(), CloseReason::Finished);
    let (texts, records) = said_in(&bus, &second).await;
    assert_eq!(texts[0], "Ship?");
    assert_eq!(texts.last().unwrap(), "Settled.");
    assert_eq!((count(&records, "attemptEnded"), count(&records, "turnStarted")), (0, 2));
    assert_eq!(work.turns.load(Ordering::SeqCst), 2, "nobody worked twice");
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_turn_that_ended_meanwhile_is_reported_and_not_run_again() {
    let (bus, work): (Arc<dyn Bus>, _) = (Arc::new(MemoryBus::new()), work());
    let first = left_alone(&bus, &work).await;
    let session = first.session();
    first.shutdown().await.unwrap();
    work.go_on.add_permits(1);
    work.puppet.rested().await;
    let second = builder(&bus, &work).resume(session).await.unwrap();
    assert_eq!(second.finished().await.unwrap(), CloseReason::Finished);
    let (texts, records) = said_in(&bus, &second).await;
    assert_eq!(texts, ["Ship?", "Ready; the tool said no.", "Settled."]);
    assert_eq!((count(&records, "attemptEnded"), count(&records, "turnStarted")), (0, 2));
    assert_eq!(work.turns.load(Ordering::SeqCst), 2, "nobody worked twice");
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_turn_that_was_handed_over_is_stopped_like_any_other() {
    let (bus, work): (Arc<dyn Bus>, _) = (Arc::new(MemoryBus::new()), work());
    let first = left_alone(&bus, &work).await;
    let session = first.session();
    first.shutdown().await.unwrap();
    let second = builder(&bus, &work).resume(session).await.unwrap();
    second.stop().await.unwrap();
    assert_eq!(second.finished().await.unwrap(), CloseReason::Aborted);
    second.shutdown().await.unwrap();
}
