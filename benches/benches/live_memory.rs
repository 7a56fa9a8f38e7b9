//! What a thousand followers hold in memory, after a hundred thousand events and after a million.
//!
//! In a process of its own: what was resident before would hide what grows.

use party_benches::{Crowd, Goal, Row, Strides, is_bench_run, median, report, rss, scratch};
use party_bus::{Bus as _, SqliteBus};
use std::{process::ExitCode, sync::Arc};
use tokio::runtime::Runtime;

const FOLLOWERS: usize = 1_000;
const THREADS: usize = 10_000;
const EARLY: u64 = 100_000;
const EVENTS: u64 = 1_000_000;
/// So many events before and behind, too.
const AROUND: u64 = 10_000;
/// Of an item, in bytes.
const SAID: usize = 100;

fn main() -> ExitCode {
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::new().expect("a runtime starts");
    report([runtime.block_on(memory_growth())])
}

/// A thousand followers of a session of ten thousand threads, through a million events.
async fn memory_growth() -> Row {
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let bus = Arc::new(SqliteBus::open(folder.path().join("store.db")).await.expect("a store opens"));
    let mut strides = Strides::open(&*bus, THREADS, SAID).await.expect("a session opens");
    let crowd = Crowd::following(&bus, strides.session, strides.head, FOLLOWERS);
    // The median of some strides: at one moment the disk may lag behind.
    let (mut early, mut late) = (Vec::new(), Vec::new());
    while strides.head.0 < EVENTS {
        let records = strides.said();
        strides.write(&*bus, records).await.expect("the batch is right");
        crowd.have_a_stride().await;
        match strides.head.0 {
            head if head.abs_diff(EARLY) <= AROUND => early.push(rss() as f64),
            head if head.abs_diff(EVENTS) <= 2 * AROUND => late.push(rss() as f64),
            _ => {}
        }
    }
    let (early, late) = (median(&early), median(&late));
    drop(crowd);
    bus.close().await.expect("the store closes");
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let what = format!(
        "1000 followers, 10000 threads: resident after 1000000 events ({:.0} MiB) / after 100000 ({:.0} MiB)",
        mib(late),
        mib(early)
    );
    Row::counted("followers_memory_growth", Goal::AtMost(1.2), late / early, what)
}
