//! What is committed reaches a thousand followers of one process, beside tokio's broadcast channel.

use party_benches::{Crowd, Goal, Pairs, Row, Strides, is_bench_run, report, scratch};
use party_bus::{Bus as _, SqliteBus};
use party_core::{Offset, Record, SessionId};
use std::{process::ExitCode, sync::Arc, time::Duration};
use tokio::{runtime::Runtime, sync::broadcast};

const FOLLOWERS: usize = 1_000;
const PAIRS: usize = 20;
const BLOCK: Duration = Duration::from_millis(250);
/// Of a record, in bytes.
const TEXT: usize = 1_000;

fn main() -> ExitCode {
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::new().expect("a runtime starts");
    let held = deliveries(
        &runtime,
        "live_1_to_1000_vs_broadcast",
        "each with a handle of its own on them",
        Crowd::holding,
    );
    let seen = deliveries(&runtime, "live_1_to_1000_lent_vs_broadcast", "lent to each", Crowd::following);
    report([held, seen])
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
