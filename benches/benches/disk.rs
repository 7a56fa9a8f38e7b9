//! What a store takes of the disk, beside what it was given.

use party_benches::{Driven, Goal, Row, is_bench_run, report, scratch};
use party_bus::{Bus as _, SqliteBus};
use std::{fs, path::Path, process::ExitCode};
use tokio::runtime::Runtime;

const APPENDS: usize = 10_000;
const THREADS: u64 = 5;

fn main() -> ExitCode {
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let (payload, stored) = runtime.block_on(written(&folder.path().join("one.db"), 1, 1_024));
    let what = format!("{stored:.0} bytes of the file / {payload:.0} of a 1 KiB item and its record's body, each in a batch of its own");
    let one = Row::counted("disk_of_1k_item_vs_payload", Goal::CountedAtMost(1.25), stored / payload, what);
    let (payload, stored) = runtime.block_on(written(&folder.path().join("five.db"), THREADS, 200));
    let what = format!(
        "bytes of the file ({stored:.0}) beyond a 200-byte item and its record's body ({payload:.0}), each in a batch of \
         its own, referred to in {THREADS} threads"
    );
    let five = Row::counted("disk_of_five_references", Goal::CountedAtMost(300.0), stored - payload, what);
    report([one, five])
}

/// How many bytes of items and bodies a batch brings, and by how many the file grows, all of its log moved
/// into it.
async fn written(store: &Path, threads: u64, item: usize) -> (f64, f64) {
    let bus = SqliteBus::open(store).await.expect("a store opens");
    let mut driven = Driven::open_with(&bus, 0, threads).await.expect("a session opens").with_items_of(item);
    bus.close().await.expect("the store closes");
    let (before, mut payload) = (bytes(store), 0);
    let bus = SqliteBus::open(store).await.expect("the store opens");
    for _ in 0..APPENDS {
        let batch = driven.batch().buffered();
        let record = &batch.records[0];
        payload += record.body.get().len();
        payload += serde_json::to_string(&*record.items[0]).expect("an item is JSON").len();
        bus.append(batch).await.expect("the batch is right");
    }
    bus.close().await.expect("the store closes");
    (payload as f64 / APPENDS as f64, (bytes(store) - before) as f64 / APPENDS as f64)
}

fn bytes(store: &Path) -> u64 {
    let mut log = store.to_owned().into_os_string();
    log.push("-wal");
    assert!(fs::metadata(log).is_err(), "nothing is left in the log");
    fs::metadata(store).expect("there is a file").len()
}
