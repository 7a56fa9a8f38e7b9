//! Durable appends, beside a raw rusqlite loop of the same rows, checks and batch size.

use party_benches::{
    Alone, Driven, Goal, Pairs, Peer, Prepared, Row, cpu_micros, is_bench_run, median, peer_of, report,
    scratch,
};
use party_bus::{Batch, Bus as _, SqliteBus};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, task::JoinSet};

const PAIRS: usize = 24;
const BLOCK: Duration = Duration::from_millis(200);
const WRITERS: usize = 64;
/// Batches that lie ready before a block, more than it can write: making them is not measured.
const READY: usize = 24_000;
/// The same for one writer.
const READY_ALONE: usize = 3_000;

fn main() -> ExitCode {
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::new().expect("a runtime starts");
    report([one_writer(&runtime), many_writers(&runtime)])
}

fn one_writer(runtime: &Runtime) -> Row {
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let alone = RefCell::new(runtime.block_on(Alone::new(folder.path(), 1, READY_ALONE)));
    let measured = Pairs::on_disk(PAIRS, folder.path())
        .run(|| alone.borrow_mut().ours(runtime, BLOCK), || alone.borrow_mut().theirs(BLOCK));
    let alone = alone.into_inner();
    let cpu = alone.cpu();
    runtime.block_on(alone.close());
    let (left, right) = measured.sides;
    let what = format!("p50 to the ack ({left:.0} us) / raw commit ({right:.0} us); {cpu}; {measured}");
    Row::timed("durable_append_p50_vs_raw", Goal::AtMost(1.3), &measured, what)
}

fn many_writers(runtime: &Runtime) -> Row {
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let (bus, sessions, peer, mut twins) = opened(runtime, folder.path());
    let mut writers: Vec<Writer> = sessions.into_iter().map(|session| (session, VecDeque::new())).collect();
    let mut theirs = VecDeque::new();
    let (group, mut made) = (Cell::new(WRITERS as f64), (0..WRITERS).cycle());
    let (mut our_cpu, mut their_cpu) = (Vec::new(), Vec::new());
    let measured = Pairs::on_disk(PAIRS, folder.path()).run(
        || {
            let before = bus.stats().synced_commits;
            let (appends, time, cpu) = runtime.block_on(crowd(&bus, &mut writers));
            group.set(appends / (bus.stats().synced_commits - before) as f64);
            our_cpu.push(cpu / appends);
            appends / time
        },
        || {
            // In turn, so that the batches of a session keep their order.
            fill(&mut theirs, READY, |_| twins[made.next().unwrap_or_default()].rows());
            let (appends, time, cpu) = peer_throughput(&peer, &mut theirs, group.get().round() as usize);
            their_cpu.push(cpu / appends);
            appends / time
        },
    );
    runtime.block_on(bus.close()).expect("the store closes");
    let (left, right) = measured.sides;
    let what = format!(
        "64 async writers ({left:.0}/s, groups of {:.0}) / raw loop of such groups ({right:.0}/s); \
         {:.0} us of CPU each / {:.0} us; {measured}",
        group.get(),
        median(&our_cpu),
        median(&their_cpu)
    );
    Row::timed("durable_append_64_writers_vs_raw", Goal::AtLeast(0.8), &measured, what)
}

/// A session, and its batches that lie ready.
type Writer = (Driven, VecDeque<Batch>);

/// A store and a peer, with the same sessions.
fn opened(runtime: &Runtime, folder: &Path) -> (Arc<SqliteBus>, Vec<Driven>, Peer, Vec<Driven>) {
    let (store, raw) = (folder.join("store.db"), folder.join("raw.db"));
    let (bus, ours) = runtime.block_on(async {
        let bus = SqliteBus::open(&store).await.expect("a store opens");
        let mut ours = Vec::new();
        for number in 0..WRITERS as u64 {
            ours.push(Driven::open(&bus, number).await.expect("a session opens"));
        }
        (bus, ours)
    });
    let (peer, twins) = peer_of(&store, &raw, &ours).expect("a peer opens");
    (Arc::new(bus), ours, peer, twins)
}

fn fill<T>(ready: &mut VecDeque<T>, count: usize, mut make: impl FnMut(usize) -> T) {
    ready.extend((ready.len()..count).map(&mut make));
}

/// All writers at once: how many appends were acknowledged, in how many seconds, and the CPU's microseconds.
async fn crowd(bus: &Arc<SqliteBus>, writers: &mut Vec<Writer>) -> (f64, f64, f64) {
    for (session, ready) in writers.iter_mut() {
        fill(ready, READY / WRITERS, |_| session.batch());
    }
    let (cpu, begun, mut tasks) = (cpu_micros(), Instant::now(), JoinSet::new());
    for (session, mut ready) in writers.drain(..) {
        let bus = Arc::clone(bus);
        tasks.spawn(async move {
            let before = ready.len();
            while begun.elapsed() < BLOCK
                && let Some(batch) = ready.pop_front()
            {
                bus.append(batch).await.expect("the batch is right");
            }
            ((before - ready.len()) as f64, (session, ready))
        });
    }
    let ended = tasks.join_all().await;
    let time = begun.elapsed().as_secs_f64();
    let appends = ended.iter().map(|(appends, _)| appends).sum();
    writers.extend(ended.into_iter().map(|(_, writer)| writer));
    (appends, time, cpu_micros() - cpu)
}

/// The same of a loop whose transactions take `group` batches.
fn peer_throughput(peer: &Peer, ready: &mut VecDeque<Prepared>, group: usize) -> (f64, f64, f64) {
    let (cpu, begun, mut appends) = (cpu_micros(), Instant::now(), 0.0);
    while begun.elapsed() < BLOCK && ready.len() >= group {
        let batches: Vec<Prepared> = ready.drain(..group).collect();
        peer.write(&batches).expect("the batches are right");
        appends += group as f64;
    }
    (appends, begun.elapsed().as_secs_f64(), cpu_micros() - cpu)
}
