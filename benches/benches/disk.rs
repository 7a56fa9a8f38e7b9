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
    let store = |name: &str| folder.path().join(name);
    let exact = runtime.block_on(written(&store("exact"), 1, |driven| driven.with_items_of(1_024)));
    let about = runtime.block_on(written(&store("about"), 1, Driven::with_items_of_about_1_kib));
    let five = runtime.block_on(written(&store("five"), THREADS, |driven| driven.with_items_of(200)));
    let what = format!(
        "bytes of the file ({:.0}) / those of an item and its record's body ({:.0}), each in a batch of its own; items of \
         512 to 1,536 bytes, 1 KiB on average; {:.3} where all are 1,024, of which a page holds seven",
        about.file,
        about.payload,
        exact.file / exact.payload
    );
    let goal = Goal::CountedAtMost(1.25);
    let one = Row::counted("disk_of_1_kib_item_vs_payload", goal, about.file / about.payload, what);
    let what = format!(
        "bytes of the file ({:.0}) beyond a 200-byte item and its record's body ({:.0}), each in a batch of its own, \
         referred to in {THREADS} threads",
        five.file, five.payload
    );
    let goal = Goal::CountedAtMost(300.0);
    report([one, Row::counted("disk_of_five_references", goal, five.file - five.payload, what)])
}

/// Bytes for each batch.
struct Written {
    /// Of items and bodies that it brings.
    payload: f64,
    /// By which the file grows, all of its log moved into it.
    file: f64,
}

/// Writes sessions of `threads` threads, and lets `size` say how long the next item is.
async fn written(store: &Path, threads: u64, size: impl Fn(Driven) -> Driven) -> Written {
    let bus = SqliteBus::open(store).await.expect("a store opens");
    let mut driven = Driven::open_with(&bus, 0, threads).await.expect("a session opens");
    bus.close().await.expect("the store closes");
    let (before, mut payload) = (bytes(store), 0);
    let bus = SqliteBus::open(store).await.expect("the store opens");
    for _ in 0..APPENDS {
        driven = size(driven);
        let batch = driven.batch().buffered();
        let record = &batch.records[0];
        payload += record.body.get().len();
        payload += serde_json::to_string(&*record.items[0]).expect("an item is JSON").len();
        bus.append(batch).await.expect("the batch is right");
    }
    bus.close().await.expect("the store closes");
    let each = |bytes: u64| bytes as f64 / APPENDS as f64;
    Written { payload: each(payload as u64), file: each(bytes(store) - before) }
}

fn bytes(store: &Path) -> u64 {
    let mut log = store.to_owned().into_os_string();
    log.push("-wal");
    assert!(fs::metadata(log).is_err(), "nothing is left in the log");
    fs::metadata(store).expect("there is a file").len()
}
