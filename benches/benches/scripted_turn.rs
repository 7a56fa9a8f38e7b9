//! Whole councils of scripted agents that answer at once: what they commit, which is counted, and
//! how long they take beside a raw loop that writes the same rows in as many synced transactions.
#![expect(clippy::print_stdout, reason = "a bench says what it found")]

use party_benches::{
    Goal, Measured, Pairs, Peer, Prepared, Row, council, is_bench_run, report, scratch, step_batches, turns,
};
use party_bus::{Bus, Fault, FaultyBus, LeaseOp, Owner, SqliteBus};
use party_core::SessionId;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{
    alloc::System,
    cell::RefCell,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PAIRS: usize = 30;
/// Rounds of the council that is timed.
const ROUNDS: u32 = 2;
/// Parties of one block; their logs become one block of the peer.
const PARTIES: usize = 4;

fn main() -> ExitCode {
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::new().expect("a runtime starts");
    report([counted(&runtime), timed(&runtime)])
}

/// Synced commits of councils of one, two and three rounds, over turns and one; the first ratio
/// that is not 1 stands for all.
fn counted(runtime: &Runtime) -> Row {
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let bus = runtime.block_on(opened(&folder.path().join("store.db")));
    let mut ratios = Vec::new();
    for rounds in [1, 2, 3] {
        let asked = Arc::new(FaultyBus::new(Arc::clone(&bus) as Arc<dyn Bus>, Fault::none()));
        let before = bus.stats().synced_commits;
        runtime.block_on(play(Arc::clone(&asked) as Arc<dyn Bus>, rounds, folder.path()));
        let due = (turns(rounds) + 1) as f64;
        let (called, stored) = (asked.synced_appends(), bus.stats().synced_commits - before);
        println!(
            "council, {rounds} rounds, {} turns: {called} synced appends, {stored} synced commits",
            turns(rounds)
        );
        ratios.extend([called as f64 / due, stored as f64 / due]);
    }
    runtime.block_on(bus.close()).expect("the store closes");
    let worst = ratios.into_iter().find(|ratio| ratio.total_cmp(&1.0).is_ne()).unwrap_or(1.0);
    let what = "synced commits of councils of 1, 2 and 3 rounds / (turns + 1); counted";
    Row::counted("synced_commits_per_turn_plus_one", Goal::Counted(1.0), worst, what)
}

fn timed(runtime: &Runtime) -> Row {
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let store = folder.path().join("store.db");
    let bus = runtime.block_on(opened(&store));
    let peer = Peer::like(&store, &folder.path().join("raw.db")).expect("a peer opens");
    let played = RefCell::new(Vec::new());
    let measured = Pairs::on_disk(PAIRS, folder.path()).run(
        || {
            let (sessions, time) = block(runtime, &bus, folder.path());
            played.borrow_mut().extend(sessions);
            time
        },
        || {
            // Where the peer comes first it writes parties that nobody timed.
            if played.borrow().is_empty() {
                played.borrow_mut().extend(block(runtime, &bus, folder.path()).0);
            }
            let sessions: Vec<SessionId> = played.borrow_mut().drain(..).collect();
            raw_block(runtime, &bus, &store, &peer, &sessions)
        },
    );
    allocations(runtime, &bus, folder.path());
    runtime.block_on(bus.close()).expect("the store closes");
    Row::timed("scripted_turn_vs_raw_appends", Goal::AtMost(3.0), &measured, in_words(&measured))
}

fn in_words(measured: &Measured) -> String {
    let ((left, right), (low, high)) = (measured.sides, measured.quartiles);
    format!(
        "a turn of a council ({left:.0} us) / raw loop of its rows and synced commits ({right:.0} us); \
         quartiles {low:.2} to {high:.2}, a sync {:.0} us",
        measured.sync_us
    )
}

/// A store whose first unsynced commit, which is synced after all, has been.
async fn opened(path: &Path) -> Arc<SqliteBus> {
    let bus = SqliteBus::open(path).await.expect("a store opens");
    let (session, term) = (SessionId::derive(&[b"first"]), Duration::from_secs(1));
    let first = LeaseOp::Acquire { session, owner: Owner::this_process(), term };
    bus.lease(first).await.expect("the store works");
    Arc::new(bus)
}

/// A whole council; its session, and how long it took to the end.
async fn play(bus: Arc<dyn Bus>, rounds: u32, folder: &Path) -> (SessionId, Duration) {
    let begun = Instant::now();
    let party = council(bus, rounds, folder).start("Should we?").await.expect("a council starts");
    party.finished().await.expect("a council finishes");
    let time = begun.elapsed();
    let session = party.session();
    party.shutdown().await.expect("a party ends");
    (session, time)
}

/// Some parties one after the other, and microseconds per turn.
fn block(runtime: &Runtime, bus: &Arc<SqliteBus>, folder: &Path) -> (Vec<SessionId>, f64) {
    let play = |_| runtime.block_on(play(Arc::clone(bus) as Arc<dyn Bus>, ROUNDS, folder));
    let (sessions, times): (Vec<_>, Vec<_>) = (0..PARTIES).map(play).unzip();
    (sessions, times.iter().sum::<Duration>().as_secs_f64() * 1e6 / (PARTIES as u64 * turns(ROUNDS)) as f64)
}

/// The peer writes the logs of `sessions`: microseconds per turn.
fn raw_block(
    runtime: &Runtime,
    bus: &Arc<SqliteBus>,
    store: &Path,
    peer: &Peer,
    sessions: &[SessionId],
) -> f64 {
    let logs = sessions.iter().map(|session| {
        let batches = runtime.block_on(step_batches(bus.as_ref(), store, *session)).expect("a log of ours");
        assert_eq!(batches.len() as u64, turns(ROUNDS) + 1, "one batch for each synced commit");
        peer.lease(session.as_bytes(), 1).expect("a new session");
        batches.iter().map(Prepared::new).collect::<Vec<_>>()
    });
    let logs: Vec<Vec<Prepared>> = logs.collect();
    let begun = Instant::now();
    for step in logs.iter().flatten() {
        peer.write(std::slice::from_ref(step)).expect("the batch is right");
    }
    begun.elapsed().as_secs_f64() * 1e6 / (logs.len() as u64 * turns(ROUNDS)) as f64
}

/// Prints what a turn allocates, of all threads.
fn allocations(runtime: &Runtime, bus: &Arc<SqliteBus>, folder: &Path) {
    let before = ALLOCATOR.stats();
    let (sessions, _) = block(runtime, bus, folder);
    let used = ALLOCATOR.stats() - before;
    let turns = sessions.len() as u64 * turns(ROUNDS);
    println!(
        "a turn of a scripted council: {} allocations, {} KiB",
        used.allocations as u64 / turns,
        used.bytes_allocated as u64 / turns / 1024
    );
}
