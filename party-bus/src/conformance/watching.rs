//! Cases about waiting for sessions to grow.

use super::{
    sample::{Sample, input, note},
    stage::{Played, Stage, two_handles},
};
use crate::{Batch, Bus, BusExt as _, ErrorKind, Watch};
use futures::{FutureExt as _, StreamExt as _, stream};
use party_core::{Offset, RecordClass, SessionId};
use std::{collections::BTreeMap, sync::Arc};

/// Asks on from mark to mark until every session is known at its last offset. Whatever is missed keeps
/// it waiting for ever.
async fn until_all_are_seen(bus: &dyn Bus, mut since: u64, heads: &BTreeMap<SessionId, Offset>) -> u64 {
    let mut left = heads.clone();
    while !left.is_empty() {
        let changed = bus.changed(Watch::Any { since }).await.expect("a hint");
        assert!(changed.sessions.len() <= 1_000, "an answer has a size");
        for (session, head) in &changed.sessions {
            left.retain(|other, expected| other != session || head < expected);
        }
        since = changed.mark;
        // One that answers early would leave the writers no time.
        tokio::task::yield_now().await;
    }
    since
}

async fn opened(bus: &Arc<dyn Bus>, count: usize) -> Vec<SessionId> {
    let opening = stream::iter(0..count).map(async |_| Sample::opened(bus).await.session);
    opening.buffer_unordered(16).collect().await
}

/// Each of them, with writers at work while it is asked.
pub async fn whoever_waits_for_any_session_misses_none(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    misses_none([Arc::clone(&bus), Arc::clone(&bus)], &*bus).await;
    Ok(())
}

/// Whichever handle was written through.
pub async fn whoever_waits_for_any_session_misses_none_of_another_handle(stage: &dyn Stage) -> Played {
    let (one, other) = two_handles(stage).await?;
    misses_none([one.clone(), other], &*one).await;
    Ok(())
}

async fn misses_none(writers: [Arc<dyn Bus>; 2], reader: &dyn Bus) {
    const ROUNDS: u64 = 25;
    let sessions = opened(&writers[0], 8).await;
    let heads: BTreeMap<_, _> = sessions.iter().map(|session| (*session, Offset(1))).collect();
    let mark = until_all_are_seen(reader, 0, &heads).await;
    let mut halves = sessions.chunks(4);
    let writing = writers.map(|bus| {
        let sessions = halves.next().unwrap_or_default().to_vec();
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                for session in &sessions {
                    bus.append(input(*session, &round.to_string())).await.expect("an input");
                }
            }
        })
    });
    let heads = sessions.iter().map(|session| (*session, Offset(1 + ROUNDS))).collect();
    let ((), _) = futures::join!(
        async {
            futures::future::try_join_all(writing).await.expect("no writer fails");
        },
        until_all_are_seen(reader, mark, &heads)
    );
    let again = until_all_are_seen(reader, mark, &heads).await;
    let one = BTreeMap::from([(sessions[0], Offset(2 + ROUNDS))]);
    let (_, receipt) = futures::join!(
        until_all_are_seen(reader, again, &one),
        reader.append(input(sessions[0], "one more"))
    );
    assert_eq!(receipt.expect("an input").last, one[&sessions[0]]);
}

/// What has no room in one answer comes with the next.
pub async fn more_sessions_than_an_answer_holds_are_all_told(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let opening = stream::iter(0..1_100).map(async |_| {
        let sample = Sample::new(&bus).await;
        let batch: Batch = sample.batch([note(RecordClass::Decision, "opened")]).buffered();
        (sample.session, bus.append(batch).await.expect("a first batch").last)
    });
    let heads: BTreeMap<_, _> = opening.buffer_unordered(64).collect().await;
    until_all_are_seen(&*bus, 0, &heads).await;
    Ok(())
}

/// Neither the writers nor those who keep up; and it has everything when it goes on.
pub async fn a_slow_follower_keeps_nobody_waiting(stage: &dyn Stage) -> Played {
    const RECORDS: u64 = 2_500;
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let mut slow = Arc::clone(&bus).follow(sample.session, Offset::START);
    let mut fast = Arc::clone(&bus).follow(sample.session, Offset::START);
    assert_eq!(slow.next().await.expect("a record").offset, Offset(1));
    for _ in 0..RECORDS / 100 {
        let batch = sample.batch((0..100).map(|_| note(RecordClass::Trace, "live"))).buffered();
        sample.head = bus.append(batch).await.expect("a batch").last;
        // It begins to wait or to read, and is left there.
        if let Some(record) = slow.next().now_or_never() {
            record.expect("a record");
        }
    }
    for offset in 1..=sample.head.0 {
        assert_eq!(fast.next().await.expect("a record").offset, Offset(offset));
    }
    let mut last = Offset::START;
    while last < sample.head {
        let next = slow.next().await.expect("a record").offset;
        assert!(last == Offset::START || next == last.plus(1), "{next} comes behind {last}");
        last = next;
    }
    Ok(())
}

/// A wait that is given up leaves the next one whole.
pub async fn a_wait_that_is_dropped_loses_nothing(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let session = Sample::opened(&bus).await.session;
    let mark = until_all_are_seen(&*bus, 0, &BTreeMap::from([(session, Offset(1))])).await;
    for number in 2..12 {
        let _ = bus.changed(Watch::Any { since: mark }).now_or_never();
        let _ = bus.changed(Watch::Session { session, after: Offset(number - 1) }).now_or_never();
        bus.append(input(session, "hi")).await.expect("an input");
        let known = BTreeMap::from([(session, Offset(number))]);
        until_all_are_seen(&*bus, mark, &known).await;
        let one = bus.changed(Watch::Session { session, after: Offset(number - 1) }).await;
        assert_eq!(one.expect("a hint").head_of(session), Some(Offset(number)));
    }
    Ok(())
}

/// Those who wait for any session learn of the end, too.
pub async fn a_closed_bus_ends_every_wait(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let session = Sample::opened(&bus).await.session;
    let mark = until_all_are_seen(&*bus, 0, &BTreeMap::from([(session, Offset(1))])).await;
    let waiting = async {
        let mut since = mark;
        loop {
            match bus.changed(Watch::Any { since }).await {
                Ok(changed) => since = changed.mark,
                Err(error) => return error.kind(),
            }
            tokio::task::yield_now().await;
        }
    };
    let (ended, closed) = futures::join!(waiting, bus.close());
    closed.expect("it closes");
    assert_eq!(ended, ErrorKind::Closed);
    Ok(())
}
