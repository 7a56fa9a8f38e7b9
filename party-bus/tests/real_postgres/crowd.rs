//! Many writers on many handles, and readers who must miss nothing.

use super::{broken::seconds, stage::OwnSchema};
use party_bus::{
    BusExt as _, Watch,
    conformance::{Sample, input},
};
use party_core::{Offset, SessionId};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);

/// Sixteen writers on four handles as of four processes; a fifth follows each session, and a sixth learns
/// from `changed` alone which sessions there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_of_sixteen_writers_miss_nothing_and_see_nothing_twice() {
    let stage = OwnSchema::new("crowd");
    let (stop, mut writing, mut following) = (Arc::new(AtomicBool::new(false)), Vec::new(), Vec::new());
    let reader = stage.bus().await;
    for handle in 0..4 {
        let bus = stage.bus().await;
        for _ in 0..4 {
            let (bus, stop) = (Arc::clone(&bus), Arc::clone(&stop));
            let session = Sample::opened(&bus).await.session;
            let mut follow = Arc::clone(&reader).follow(session, Offset::START);
            let written = tokio::spawn(async move {
                let mut last = Offset(1);
                while !stop.load(Ordering::Relaxed) {
                    last = bus.append(input(session, &handle.to_string())).await.unwrap().last;
                }
                (session, last)
            });
            let (told, seen) = tokio::sync::watch::channel(Offset::START);
            let followed = tokio::spawn(async move {
                loop {
                    let record = follow.next().await.unwrap();
                    assert_eq!(record.offset, told.borrow().plus(1));
                    told.send_replace(record.offset);
                }
            });
            writing.push(written);
            following.push((followed, seen));
        }
    }
    let (told, mut heads) = tokio::sync::watch::channel(BTreeMap::<SessionId, Offset>::new());
    let watching = tokio::spawn({
        let bus = stage.bus().await;
        async move {
            let mut since = 0;
            loop {
                let changed = bus.changed(Watch::Any { since }).await.unwrap();
                since = changed.mark;
                told.send_modify(|heads| heads.extend(changed.sessions));
            }
        }
    });
    tokio::time::sleep(seconds()).await;
    stop.store(true, Ordering::Relaxed);
    let mut written = BTreeMap::new();
    for (writing, (following, mut seen)) in writing.into_iter().zip(following) {
        let (session, last) = timeout(SOON, writing).await.unwrap().unwrap();
        timeout(SOON, seen.wait_for(|offset| *offset == last)).await.unwrap().unwrap();
        following.abort();
        written.insert(session, last);
    }
    timeout(SOON, heads.wait_for(|heads| *heads == written)).await.unwrap().unwrap();
    watching.abort();
    eprintln!("{} records", written.values().map(|last| last.0).sum::<u64>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_share_transactions_and_a_loser_loses_alone() {
    let stage = OwnSchema::new("shared");
    let bus = stage.bus().await;
    let mut samples = Vec::new();
    for _ in 0..64 {
        samples.push(Sample::opened(&bus).await);
    }
    let look = stage.look().await;
    let before = look.number("SELECT count(DISTINCT xmin::text) FROM record").await;
    let batches = samples.iter().enumerate().map(|(nth, sample)| {
        let mut batch = input(sample.session, "hi");
        if nth % 8 == 0 {
            batch.session = SessionId::derive(&[b"nobody's"]);
        }
        bus.append(batch)
    });
    let outcomes = futures::future::join_all(batches).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 8);
    let transactions = look.number("SELECT count(DISTINCT xmin::text) FROM record").await - before;
    assert!((1..=8).contains(&transactions), "{transactions} transactions for 56 batches");
}
