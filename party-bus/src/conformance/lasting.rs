//! Cases about stores that are opened again, or by several at once.

use super::{
    sample::{Sample, delivery, input, note, say},
    stage::{NotDeclared, Played, Stage, needs, two_handles},
    writing::refused,
};
use crate::{
    Batch, Bus, BusAdmin, BusExt as _, Classes, ErrorKind, Label, LeaseOp, Owner, Scope, SessionInfo,
    SessionQuery, Snapshot, ThreadInfo, ThreadQuery, Wake, Window,
};
use party_core::{Author, Entry, Offset, Record, RecordClass, SessionId, Timestamp};
use std::{sync::Arc, time::Duration};

/// All that a store shows of a session.
#[derive(Debug, PartialEq)]
struct Picture {
    records: Vec<Arc<Record>>,
    session: Vec<SessionInfo>,
    threads: Vec<ThreadInfo>,
    windows: Vec<Vec<Entry>>,
}

async fn picture(bus: &dyn Bus, session: SessionId) -> Picture {
    let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.expect("the log");
    let sessions = bus.sessions(SessionQuery::one(session)).await.expect("a list").entries;
    let threads = bus.threads(ThreadQuery::all(session)).await.expect("a list").entries;
    let mut windows = Vec::new();
    for thread in &threads {
        let window = Window::last(session, thread.thread, 1_000);
        for window in [window, window.archive()] {
            windows.push(bus.window(window).await.expect("a window").entries);
        }
    }
    Picture { records, session: sessions, threads, windows }
}

/// A session that has something of everything.
async fn rich(bus: &Arc<dyn Bus>) -> Sample {
    let mut sample = Sample::new(bus).await;
    let label = Label { kind: "council".into(), key: "first".into(), parent: None };
    let batch = sample.batch([note(RecordClass::Decision, "opened")]).labelled(label);
    sample.head = bus.append(batch).await.expect("a first batch").last;
    let feed = sample.thread(["a", "b", "c", "d"]).await;
    let branch = sample.branch(feed, 3).await;
    sample.say(&[branch], "own").await;
    sample.compact(feed, 2, 3, "b-c").await.expect("a range");
    sample.tangent(feed, 4).await;
    sample.head = bus.append(input(sample.session, "said")).await.expect("an input").last;
    let snapshot = Snapshot { engine: "v1".into(), offset: sample.head, state: vec![0, 255] };
    let batch = sample.batch([note(RecordClass::Decision, "step")]).with_snapshot(Some(snapshot));
    let batch = batch.waking(Wake::At(Timestamp::from_micros(7)));
    sample.head = bus.append(batch).await.expect("a step").last;
    sample
}

/// A store that may be closed, and another handle of the same once it was.
async fn closed(bus: Arc<dyn BusAdmin>, stage: &dyn Stage) -> Arc<dyn BusAdmin> {
    bus.close().await.expect("it closes");
    drop(bus);
    stage.open().await
}

async fn durable(stage: &dyn Stage) -> Result<Arc<dyn BusAdmin>, NotDeclared> {
    let bus = stage.open().await;
    needs(|can| can.durable, "that it outlives its process", &*bus)?;
    Ok(bus)
}

/// Records, sessions, threads and windows of both layers, and under the same name.
pub async fn a084_a_store_opened_again_shows_the_same_in_the_same_order(stage: &dyn Stage) -> Played {
    let admin = durable(stage).await?;
    let bus: Arc<dyn Bus> = admin.clone();
    let session = rich(&bus).await.session;
    let (before, info) = (picture(&*bus, session).await, bus.info().clone());
    drop(bus);
    let again = closed(admin, stage).await;
    assert_eq!(picture(&*again, session).await, before);
    assert_eq!((&again.info().store, again.info().epoch), (&info.store, info.epoch));
    let report = again.verify(Scope::Store).await.expect("it can be read");
    assert_eq!((report.problems, report.sessions), (vec![], 1));
    Ok(())
}

/// Receipts, tokens and heads go on where they were.
pub async fn a_driver_goes_on_after_the_store_was_opened_again(stage: &dyn Stage) -> Played {
    let admin = durable(stage).await?;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut sample = rich(&bus).await;
    let batch = sample.batch([note(RecordClass::Report, "answer lost")]);
    let first = bus.append(batch.clone()).await.expect("the first time");
    sample.head = first.last;
    sample.bus = closed_sample(bus, admin, stage).await;
    let again = sample.bus.append(batch).await.expect("the second time");
    assert_eq!((again.first, again.last, again.repeated), (first.first, first.last, true));
    sample.write([note(RecordClass::Report, "the lease still holds")]).await.expect("a driver's batch");
    let (session, fencing_token) = (sample.session, sample.token);
    sample.bus.lease(LeaseOp::Release { session, fencing_token }).await.expect("an answer").expect("held");
    let (owner, term) = (Owner::this_process(), Duration::from_secs(60));
    let next = sample.bus.lease(LeaseOp::Acquire { session, owner, term }).await.expect("an answer");
    assert_eq!(next.expect("it is free").fencing_token, fencing_token + 1);
    refused(sample.write([note(RecordClass::Report, "late")]).await, ErrorKind::Fenced);
    Ok(())
}

async fn closed_sample(bus: Arc<dyn Bus>, admin: Arc<dyn BusAdmin>, stage: &dyn Stage) -> Arc<dyn Bus> {
    drop(bus);
    closed(admin, stage).await
}

/// Closing writes what was only buffered.
pub async fn what_was_buffered_is_there_after_a_close(stage: &dyn Stage) -> Played {
    let admin = durable(stage).await?;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut sample = Sample::opened(&bus).await;
    for number in 0..20 {
        let batch = sample.batch([note(RecordClass::Trace, &number.to_string())]).buffered();
        sample.head = bus.append(batch).await.expect("a buffered batch").last;
    }
    let bus = closed_sample(bus, admin, stage).await;
    assert_eq!(bus.head(sample.session).await.expect("a head"), sample.head);
    Ok(())
}

/// One store, whichever handle is asked.
pub async fn what_one_handle_writes_the_other_shows(stage: &dyn Stage) -> Played {
    let (one, other) = two_handles(stage).await?;
    let mut sample = rich(&(one.clone() as Arc<dyn Bus>)).await;
    assert_eq!(picture(&*other, sample.session).await, picture(&*one, sample.session).await);
    assert_eq!((&one.info().store, one.info().epoch), (&other.info().store, other.info().epoch));
    sample.bus = other;
    let feed = sample.thread(["by the other"]).await;
    sample.stands().await;
    sample.bus = one;
    assert_eq!(sample.shown(feed).await, "1:by the other");
    Ok(())
}

/// Ids, heads and leases are the store's, not the handle's.
pub async fn rules_hold_across_handles(stage: &dyn Stage) -> Played {
    let (one, other) = two_handles(stage).await?;
    let mut sample = Sample::opened(&(one.clone() as Arc<dyn Bus>)).await;
    let thread = sample.thread(["a"]).await;
    let item = say(&Author::System, "one");
    let batch = sample.batch([delivery(&item, &[thread])]);
    let first = one.append(batch.clone()).await.expect("the first time");
    assert!(other.append(batch.clone()).await.expect("the second time").repeated);
    let changed = Batch { records: vec![note(RecordClass::Report, "changed")], ..batch };
    refused(other.append(changed).await, ErrorKind::BatchConflict);
    refused(other.append(sample.batch([note(RecordClass::Report, "blind")])).await, ErrorKind::Conflict);
    sample.head = first.last;
    let mut impostor = (*item).clone();
    impostor.content = say(&Author::System, "two").content.clone();
    let impostor = note(RecordClass::Report, "said").with_item(impostor);
    refused(other.append(sample.batch([impostor])).await, ErrorKind::ItemConflict);

    let (session, owner, term) = (sample.session, Owner::this_process(), Duration::from_secs(60));
    let claim = LeaseOp::Acquire { session, owner, term };
    assert_eq!(other.lease(claim.clone()).await.expect("an answer"), None);
    one.lease(LeaseOp::Release { session, fencing_token: sample.token }).await.expect("an answer");
    let next = other.lease(claim).await.expect("an answer").expect("it is free");
    refused(one.append(sample.batch([note(RecordClass::Report, "late")])).await, ErrorKind::Fenced);
    sample.token = next.fencing_token;
    one.append(sample.batch([note(RecordClass::Report, "in time")])).await.expect("by either handle");
    Ok(())
}

/// Dense, whole, and followed from either side.
pub async fn two_handles_write_one_session_without_holes(stage: &dyn Stage) -> Played {
    const EACH: u64 = 50;
    let (one, other) = two_handles(stage).await?;
    let session = Sample::opened(&(one.clone() as Arc<dyn Bus>)).await.session;
    let writing = [one.clone(), other.clone()].map(|bus| {
        tokio::spawn(async move {
            for number in 0..EACH {
                bus.append(input(session, &number.to_string())).await.expect("an input");
            }
        })
    });
    for bus in [one, other] {
        let mut follow = bus.follow(session, Offset::START);
        for offset in 1..=1 + 2 * EACH {
            assert_eq!(follow.next().await.expect("a record").offset, Offset(offset));
        }
    }
    futures::future::try_join_all(writing).await.expect("no writer fails");
    Ok(())
}
