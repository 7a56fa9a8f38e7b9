//! What is committed reaches a thousand followers of one process, beside tokio's broadcast channel.

use party_benches::{Crowd, Goal, Pairs, Row, Strides, is_bench_run, median, report, rss, scratch};
use party_bus::{Bus as _, SqliteBus};
use party_core::{Offset, Record, SessionId};
use std::{process::ExitCode, sync::Arc, time::Duration};
use tokio::{runtime::Runtime, sync::broadcast};

const FOLLOWERS: usize = 1_000;
const PAIRS: usize = 20;
const BLOCK: Duration = Duration::from_millis(250);
/// Of a record, in bytes.
const TEXT: usize = 1_000;

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
    // What was resident before must not hide what grows.
    let memory = runtime.block_on(memory_growth());
    let held = deliveries(
        &runtime,
        "live_1_to_1000_vs_broadcast",
        "each with a handle of its own on them",
        Crowd::holding,
    );
    let seen = deliveries(&runtime, "live_1_to_1000_lent_vs_broadcast", "lent to each", Crowd::following);
    report([memory, held, seen])
}

type Follow = fn(&Arc<SqliteBus>, SessionId, Offset, usize) -> Crowd;

fn deliveries(runtime: &Runtime, name: &'static str, how: &str, follow: Follow) -> Row {
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let (bus, mut strides) = runtime.block_on(async {
        let bus = Arc::new(SqliteBus::open(folder.path().join("store.db")).await.expect("a store opens"));
        let strides = Strides::open(&*bus, 1, TEXT).await.expect("a session opens");
        (bus, strides)
    });
    let (channel, _) = broadcast::channel(Crowd::STRIDE.next_power_of_two());
    let (followers, receivers) = runtime.block_on(async {
        let followers = follow(&bus, strides.session, strides.head, FOLLOWERS);
        (followers, Crowd::receiving(&channel, FOLLOWERS))
    });
    let measured = Pairs::in_memory(PAIRS).run(
        || runtime.block_on(followed(&bus, &mut strides, &followers)),
        || runtime.block_on(broadcast(&channel, &receivers)),
    );
    drop((followers, receivers));
    runtime.block_on(bus.close()).expect("the store closes");
    let (left, right) = measured.sides;
    let what = format!(
        "deliveries of 1 KiB records to 1000 followers after their commit to SQLite, {how} ({:.1} M/s) \
         / tokio broadcast ({:.1} M/s)",
        left / 1e6,
        right / 1e6
    );
    Row::timed(name, Goal::AtLeast(1.5), &measured, what)
}

/// Deliveries per second, from the first to the last of each stride: after its commit.
async fn followed(bus: &Arc<SqliteBus>, strides: &mut Strides, crowd: &Crowd) -> f64 {
    let (mut count, mut time) = (0, Duration::ZERO);
    while time < BLOCK {
        let records = strides.streamed();
        strides.write(&**bus, records).await.expect("the batch is right");
        time += crowd.have_a_stride().await;
        count += Crowd::STRIDE * FOLLOWERS;
    }
    count as f64 / time.as_secs_f64()
}

/// The same of a channel.
async fn broadcast(channel: &broadcast::Sender<Arc<Record>>, crowd: &Crowd) -> f64 {
    let (mut count, mut time) = (0, Duration::ZERO);
    let session = SessionId::derive(&[b"broadcast"]);
    while time < BLOCK {
        let records = Crowd::records(session, TEXT);
        for record in records {
            channel.send(record).expect("somebody listens");
        }
        time += crowd.have_a_stride().await;
        count += Crowd::STRIDE * FOLLOWERS;
    }
    count as f64 / time.as_secs_f64()
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
