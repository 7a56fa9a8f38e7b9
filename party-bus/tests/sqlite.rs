//! What the SQLite store promises beyond the contract: counted rows, counted commits, two handles.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{
    Bus, BusExt as _, Classes, ErrorKind, SqliteBus, Window,
    conformance::{Sample, input, note, say},
};
use party_core::{Author, How, Item, NewRecord, Offset, Op, RecordClass, ThreadId};
use rusqlite::Connection;
use std::{path::PathBuf, sync::Arc};
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

async fn open(path: &PathBuf) -> Arc<dyn Bus> {
    Arc::new(SqliteBus::open(path).await.unwrap())
}

fn delivery(item: &Arc<Item>, threads: &[ThreadId]) -> NewRecord {
    let add = Op::Add { threads: threads.to_vec(), item: item.id, how: How::Said };
    note(RecordClass::Decision, "delivered").with_item(Arc::clone(item)).with_op(add)
}

/// Rows of items, records and entries.
fn rows(path: &PathBuf) -> [u64; 3] {
    let conn = Connection::open(path).unwrap();
    ["item", "record", "entry"].map(|table| {
        let count = format!("SELECT count(*) FROM {table}");
        conn.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
    })
}

#[tokio::test]
async fn a038_a_fan_out_to_feed_and_five_threads_stores_one_item_and_one_record() {
    let (_folder, path) = folder();
    let mut sample = Sample::opened(&open(&path).await).await;
    let threads = sample.open_threads(6).await;
    let before = rows(&path);
    let prompt = say(&Author::human("ann"), "ship it?");
    sample.write([delivery(&prompt, &threads)]).await.unwrap();
    let added: Vec<u64> = rows(&path).iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(added, [1, 1, 6]);
    sample.write([delivery(&prompt, &threads[..1])]).await.unwrap();
    assert_eq!(rows(&path)[0], before[0] + 1, "the same item again is no new row");
}

#[tokio::test]
async fn a037_an_item_does_not_change_whatever_a_session_does() {
    let (_folder, path) = folder();
    let mut sample = Sample::opened(&open(&path).await).await;
    let threads = sample.open_threads(2).await;
    let prompt = say(&Author::human("ann"), "ship it?");
    let stored = || {
        let conn = Connection::open(&path).unwrap();
        let query = "SELECT body FROM item JOIN item_name ON item = id WHERE uid = ?1";
        conn.query_row(query, [prompt.id.as_bytes()], |row| row.get::<_, String>(0)).unwrap()
    };
    sample.write([delivery(&prompt, &threads)]).await.unwrap();
    let before = stored();
    let mut forged = (*prompt).clone();
    forged.author = Author::human("bob");
    let error = sample.write([note(RecordClass::Report, "forged").with_item(forged)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ItemConflict);
    for _ in 0..3 {
        sample.write([delivery(&prompt, &threads)]).await.unwrap();
    }
    assert_eq!(stored(), before);
}

#[tokio::test]
async fn a039_one_item_stands_at_different_places_of_two_gapless_threads() {
    let (_folder, path) = folder();
    let mut sample = Sample::opened(&open(&path).await).await;
    let threads = sample.open_threads(2).await;
    let said: Vec<_> = (0..4).map(|number| say(&Author::System, &number.to_string())).collect();
    for item in &said[..3] {
        sample.write([delivery(item, &threads[..1])]).await.unwrap();
    }
    sample.write([delivery(&said[3], &threads)]).await.unwrap();
    let mut places = Vec::new();
    for thread in &threads {
        let entries = sample.bus.window(Window::last(sample.session, *thread, 9)).await.unwrap().entries;
        let positions: Vec<u64> = entries.iter().map(|entry| entry.position).collect();
        assert_eq!(positions, (1..=entries.len() as u64).collect::<Vec<_>>());
        places.push(entries.iter().find(|entry| entry.item == said[3]).unwrap().position);
    }
    assert_eq!(places, [4, 1]);
}

#[tokio::test]
async fn a084_a_reopened_store_holds_the_same_in_the_same_order() {
    let (_folder, path) = folder();
    let bus = open(&path).await;
    let mut sample = Sample::opened(&bus).await;
    let threads = sample.open_threads(1).await;
    for number in 0..5 {
        let item = say(&Author::System, &number.to_string());
        sample.write([delivery(&item, &threads)]).await.unwrap();
    }
    let read = async |bus: Arc<dyn Bus>| {
        let records = bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.unwrap();
        (records, bus.window(Window::last(sample.session, threads[0], 9)).await.unwrap())
    };
    let before = read(Arc::clone(&bus)).await;
    bus.close().await.unwrap();
    assert_eq!(read(open(&path).await).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_share_transactions_and_a_loser_loses_alone() {
    let (_folder, path) = folder();
    let store = Arc::new(SqliteBus::open(&path).await.unwrap());
    let bus: Arc<dyn Bus> = Arc::clone(&store) as _;
    let session = Sample::opened(&bus).await.session;
    let before = store.stats();
    let nowhere = party_core::SessionId::derive(&[b"nowhere"]);
    let writers = (0..64).map(|_| {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move {
            for _ in 0..8 {
                bus.append(input(session, "counted")).await.unwrap();
            }
            bus.append(input(nowhere, "lost")).await.unwrap_err().kind()
        })
    });
    for lost in futures::future::try_join_all(writers).await.unwrap() {
        assert_eq!(lost, ErrorKind::NotFound);
    }
    let after = store.stats();
    assert_eq!(bus.head(session).await.unwrap(), Offset(1 + 64 * 8));
    let commits = after.commits - before.commits;
    assert!(commits < 64 * 8 / 2, "{commits} transactions for {} batches", 64 * 8);
    assert_eq!(after.synced_commits - before.synced_commits, commits);
}

/// The refusal comes after the batch has written something, beside batches that stand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_refused_batch_nothing_stays_and_its_neighbours_stand() {
    let (_folder, path) = folder();
    let bus = open(&path).await;
    let session = Sample::opened(&bus).await.session;
    let ann = Author::human("ann");
    let taken = say(&ann, "first");
    let brings = |item: &Arc<Item>| note(RecordClass::Input, "messagePosted").with_item(Arc::clone(item));
    let mut first = input(session, "taken");
    (first.author, first.records) = (Some(ann.clone()), vec![brings(&taken)]);
    bus.append(first).await.unwrap();
    let before = rows(&path);
    let writers = (0..32).map(|_| {
        let (bus, ann) = (Arc::clone(&bus), ann.clone());
        let other = Arc::new(Item::message(taken.id, ann.clone(), taken.created_at, "second"));
        let mut lost = input(session, "lost");
        (lost.author, lost.records) = (Some(ann.clone()), vec![brings(&say(&ann, "new")), brings(&other)]);
        tokio::spawn(async move {
            let (stands, lost) = tokio::join!(bus.append(input(session, "stands")), bus.append(lost));
            (stands.is_ok(), lost.unwrap_err().kind())
        })
    });
    for outcome in futures::future::try_join_all(writers).await.unwrap() {
        assert_eq!(outcome, (true, ErrorKind::ItemConflict));
    }
    assert_eq!(rows(&path), [before[0], before[1] + 32, before[2]]);
}

#[tokio::test]
async fn only_synced_batches_sync_once_the_store_is_known_to_be_in_use() {
    let (_folder, path) = folder();
    let store = Arc::new(SqliteBus::open(&path).await.unwrap());
    let bus: Arc<dyn Bus> = Arc::clone(&store) as _;
    let mut sample = Sample::opened(&bus).await;
    let before = store.stats();
    for _ in 0..5 {
        let trace = sample.batch([note(RecordClass::Trace, "thinking")]).buffered();
        sample.head = bus.append(trace).await.unwrap().last;
    }
    assert_eq!(store.stats().synced_commits, before.synced_commits);
    assert_eq!(store.stats().commits, before.commits + 5);
    sample.write([note(RecordClass::Report, "done")]).await.unwrap();
    assert_eq!(store.stats().synced_commits, before.synced_commits + 1);
}

#[tokio::test]
async fn a_follower_in_another_handle_sees_records_live() {
    let (_folder, path) = folder();
    let (here, there) = (open(&path).await, open(&path).await);
    let session = Sample::opened(&here).await.session;
    let mut follow = there.follow(session, Offset::START);
    assert_eq!(follow.next().await.unwrap().offset, Offset(1));
    for number in 0..5 {
        let (seen, receipt) = futures::join!(follow.next(), here.append(input(session, &number.to_string())));
        assert_eq!(seen.unwrap().offset, receipt.unwrap().last);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_write_one_session_without_holes() {
    let (_folder, path) = folder();
    let handles = [open(&path).await, open(&path).await];
    let session = Sample::opened(&handles[0]).await.session;
    let writers = handles.iter().cloned().map(|bus| {
        tokio::spawn(async move {
            for _ in 0..50 {
                bus.append(input(session, "hi")).await.unwrap();
            }
        })
    });
    futures::future::try_join_all(writers).await.unwrap();
    let records = handles[1].read_to_end(session, Offset::START, Classes::ALL).await.unwrap();
    let offsets: Vec<u64> = records.iter().map(|record| record.offset.0).collect();
    assert_eq!(offsets, (1..=101).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_writer_that_waits_too_long_for_another_is_told_and_can_try_again() {
    let (_folder, path) = folder();
    let bus = open(&path).await;
    let session = Sample::opened(&bus).await.session;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let batch = input(session, "patience");
    let error = bus.append(batch.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.is_retryable() && error.to_string().contains(path.to_str().unwrap()), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(bus.append(batch).await.unwrap().first, Offset(2));
}

#[tokio::test]
async fn a_dropped_bus_still_writes_what_it_accepted() {
    let (_folder, path) = folder();
    let bus = open(&path).await;
    let session = Sample::opened(&bus).await.session;
    let mut append = bus.append(input(session, "on its way"));
    assert!(futures::poll!(&mut append).is_pending());
    drop(append);
    drop(bus);
    let mut follow = open(&path).await.follow(session, Offset(1));
    assert_eq!(follow.next().await.unwrap().offset, Offset(2));
}
