//! What an append takes on the disk: counted, so that no noise hides a column too many.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{
    Batch, Bus, SqliteBus,
    conformance::{Sample, note},
};
use party_core::{
    Author, BatchId, Delivered, How, Item, ItemId, NewRecord, Op, RecordClass, ThreadId, Timestamp,
};
use rusqlite::Connection;
use std::{fs, sync::Arc, task::Poll};

/// An id of version 7, made a millisecond behind the one before.
fn name(number: u64) -> [u8; 16] {
    let mut bytes = *ItemId::derive(&[&number.to_be_bytes()]).as_bytes();
    bytes[..6].copy_from_slice(&(0x0198_0000_0000 + number).to_be_bytes()[2..]);
    bytes[6] = 0x70 | (bytes[6] & 0xf);
    bytes
}

/// Bytes of the file, of what was to be written, and of the log at 64 appends a commit; each per append.
struct Taken {
    file: f64,
    payload: f64,
    log: f64,
}

/// Appends items of `size` bytes of text, each to `threads` threads, and sees what they take.
async fn take(sessions: usize, threads: usize, size: impl Fn(u64) -> usize) -> Taken {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let mut samples = Vec::new();
    for _ in 0..sessions {
        let mut sample = Sample::opened(&bus).await;
        let threads = sample.open_threads(threads).await;
        samples.push((sample, threads));
    }
    let size_of = |path: &std::path::Path| fs::metadata(path).unwrap().len();
    let conn = Connection::open(&path).unwrap();
    let settle = || conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    settle();
    let before = size_of(&path);
    let (mut payload, mut made) = (0, 0);
    while made < 64 * 64 {
        let mut group = Vec::new();
        for _ in 0..64 {
            let (sample, threads) = &mut samples[made as usize % sessions];
            let record = said(made, threads, size(made));
            payload += record.body.get().len() + serde_json::to_string(&*record.items[0]).unwrap().len();
            let id = BatchId::from_bytes(name(made));
            group.push(Batch::driver(sample.session, id, sample.head, sample.token, vec![record]));
            sample.head = sample.head.plus(1);
            made += 1;
        }
        let mut waiting = Vec::new();
        for mut append in group.into_iter().map(|batch| bus.append(batch)) {
            // Each is queued when it is asked first, so in this order.
            match futures::poll!(&mut append) {
                Poll::Ready(receipt) => drop(receipt.unwrap()),
                Poll::Pending => waiting.push(append),
            }
        }
        for append in waiting {
            append.await.unwrap();
        }
    }
    let log = fs::metadata(folder.path().join("store.db-wal")).unwrap().len();
    settle();
    let each = |bytes: u64| bytes as f64 / made as f64;
    Taken { file: each(size_of(&path) - before), payload: each(payload as u64), log: each(log) }
}

fn said(number: u64, threads: &[ThreadId], size: usize) -> NewRecord {
    let id = ItemId::from_bytes(name(number));
    let at = Timestamp::from_micros(1_763_000_000_000_000);
    let item = Item::message(id, Author::agent("Mary"), at, "x".repeat(size));
    let event = Delivered { item: id, by: None, turn: None };
    NewRecord::new(at, &event.into()).with_item(item).with_op(Op::Add {
        threads: threads.to_vec(),
        item: id,
        how: How::Said,
    })
}

#[tokio::test]
async fn an_item_of_some_1_kib_takes_at_most_a_quarter_more_than_it_says() {
    // Of many sizes, as people and agents write: how well one size fits a page is chance.
    let size = |number: u64| 850 + (number * 37 % 350) as usize;
    for sessions in [1, 64] {
        let taken = take(sessions, 1, size).await;
        let ratio = taken.file / taken.payload;
        println!("1 KiB, {sessions} sessions: {ratio:.3} of the payload, log {:.0} B", taken.log);
        assert!(ratio <= 1.25, "{sessions} sessions: {ratio:.3} of the payload");
    }
}

#[tokio::test]
async fn a_small_item_in_five_threads_takes_at_most_300_bytes_more_than_it_says() {
    for sessions in [1, 64] {
        let taken = take(sessions, 5, |_| 200).await;
        let more = taken.file - taken.payload;
        println!("200 B in 5 threads, {sessions} sessions: {more:.0} B more, log {:.0} B", taken.log);
        assert!(more <= 300.0, "{sessions} sessions: {more:.0} B more");
    }
}

#[tokio::test]
async fn a_big_item_lies_out_of_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let mut sample = Sample::opened(&bus).await;
    let big = party_bus::conformance::say(&Author::System, &"x".repeat(17 << 10));
    let brings = |item: &Arc<Item>| note(RecordClass::Report, "brings").with_item(Arc::clone(item));
    sample.write([brings(&big)]).await.unwrap();
    sample.write([brings(&big)]).await.unwrap();
    let count = |table: &str| {
        let conn = Connection::open(&path).unwrap();
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!([count("item"), count("item_large"), count("item WHERE body IS NULL")], [1, 1, 1]);
    assert_eq!(bus.items(&[big.id]).await.unwrap(), [big]);
}
