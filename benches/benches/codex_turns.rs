//! Thirty turns at once on one real Codex server whose model is a fake one: by the adapter, and by a
//! client that only speaks the protocol. And what a session holds in this process between its turns.
#![expect(clippy::print_stdout, reason = "a bench says what it found")]

use futures::future::join_all;
use party_benches::{
    BareCodex, CodexServer, Goal, Measured, NoTools, Pairs, QUESTION, Row, ask, is_bench_run, report, seat,
};
use party_harness::{Harness as _, RuntimeSession, codex::Codex};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, cell::Cell, process::ExitCode, sync::Arc, time::Instant};
use test_support::{FakeModel, ModelTurn, Scenario};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SEATS: u16 = 30;
const PAIRS: usize = 20;

fn main() -> ExitCode {
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::new().expect("a runtime starts");
    let scenario = Scenario::new().turn(ModelTurn::text("So be it.").repeat());
    let fake = runtime.block_on(FakeModel::start(scenario));
    match CodexServer::start(fake.base_url()) {
        Ok(server) => report(measured(&runtime, &server)),
        Err(why) => {
            println!("codex_turns is skipped: {why}");
            ExitCode::SUCCESS
        }
    }
}

fn measured(runtime: &Runtime, server: &CodexServer) -> [Row; 2] {
    let harness = Codex::attach(&server.url(), Some(server.token())).expect("an address on this machine");
    let turn = Cell::new(0);
    let ours = |sessions: &[Arc<dyn RuntimeSession>]| {
        turn.set(turn.get() + 1);
        let turns = sessions.iter().map(|session| ask(&**session, turn.get()));
        timed(|| runtime.block_on(join_all(turns)))
    };
    // The connection belongs to no session.
    ours(&runtime.block_on(open(&harness, server, 0..1)));
    let before = Region::new(ALLOCATOR);
    let sessions = runtime.block_on(open(&harness, server, 1..SEATS + 1));
    ours(&sessions);
    let change = before.change();
    let held = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
    let (mut bare, threads) = runtime.block_on(async {
        let mut bare = BareCodex::connect(server).await;
        let threads = bare.threads(server, SEATS.into()).await;
        (bare, threads)
    });
    let both = Pairs::in_memory(PAIRS)
        .run(|| ours(&sessions), || timed(|| runtime.block_on(bare.turns(&threads, QUESTION))));
    [turns(&both), memory(held / f64::from(SEATS) / 1024.0)]
}

async fn open(
    harness: &Codex,
    server: &CodexServer,
    seats: std::ops::Range<u16>,
) -> Vec<Arc<dyn RuntimeSession>> {
    let opened = seats.map(|number| harness.open(seat(server.folder(), number), Arc::new(NoTools)));
    join_all(opened).await.into_iter().map(|session| session.expect("it opens")).collect()
}

/// Milliseconds.
fn timed<T>(block: impl FnOnce() -> T) -> f64 {
    let begun = Instant::now();
    drop(block());
    begun.elapsed().as_secs_f64() * 1e3
}

fn turns(both: &Measured) -> Row {
    let (ours, bare) = both.sides;
    let what = format!(
        "{SEATS} turns at once on one Codex server ({ours:.0} ms) / by a client that only speaks the \
         protocol ({bare:.0} ms); {:.2} ms more for a turn; {both}",
        both.difference / f64::from(SEATS)
    );
    Row::timed("codex_turns_vs_bare_client", Goal::AtMost(1.3), both, what)
}

fn memory(held: f64) -> Row {
    let what = "KiB that a session on Codex holds in the host between turns".to_owned();
    Row::counted("codex_session_kib", Goal::AtMost(64.0), held, what)
}
