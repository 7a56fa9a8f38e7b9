//! A call of an engine's tool over the MCP server of a party, beside a bare axum handler that commits
//! the same records on a store of the same kind. Either is asked by the same client on one connection.

use party_benches::{Bare, Client, Desk, Goal, Measured, Pairs, Row, is_bench_run, median, report, scratch};
use party_bus::{Bus as _, SqliteBus};
use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};
use tokio::runtime::Runtime;

const PAIRS: usize = 30;

fn main() -> ExitCode {
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::new().expect("a runtime starts");
    report([timed(&runtime)])
}

fn timed(runtime: &Runtime) -> Row {
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let store = |name: &str| runtime.block_on(opened(&folder.path().join(name)));
    let (ours, theirs) = (store("party.db"), store("bare.db"));
    let desk = Desk::open(Arc::clone(&ours) as Arc<_>, folder.path());
    let mut desk = runtime.block_on(desk).expect("a party starts");
    let bare = runtime.block_on(Bare::start(Arc::clone(&theirs))).expect("a server starts");
    let mut client = Client::connect(&bare.url, &bare.secret).expect("it listens");
    let before = (ours.stats().synced_commits, theirs.stats().synced_commits);
    let measured =
        Pairs::on_disk(PAIRS, folder.path()).run(|| turn(runtime, &mut desk), || block(&mut client));
    let calls = ((PAIRS + 1) * Desk::SHARES) as f64;
    let synced = |bus: &SqliteBus, before| (bus.stats().synced_commits - before) as f64 / calls;
    let commits = (synced(&ours, before.0), synced(&theirs, before.1));
    runtime.block_on(async {
        desk.close().await.expect("a party ends");
        drop(bare);
        ours.close().await.expect("the store closes");
        theirs.close().await.expect("the store closes");
    });
    let what = in_words(&measured, commits);
    Row::timed("mcp_tool_call_vs_bare_axum", Goal::AtMost(1.5), &measured, what)
}

async fn opened(path: &Path) -> Arc<SqliteBus> {
    Arc::new(SqliteBus::open(path).await.expect("a store opens"))
}

/// One turn of the party, as long as it may share: the median call, in microseconds.
fn turn(runtime: &Runtime, desk: &mut Desk) -> f64 {
    let (endpoint, end) = runtime.block_on(desk.door());
    let mut client = Client::connect(&endpoint.url, &endpoint.secret).expect("it listens");
    let time = block(&mut client);
    drop(end);
    runtime.block_on(desk.again()).expect("the party goes on");
    time
}

fn block(client: &mut Client) -> f64 {
    let calls = (0..Desk::SHARES).map(|_| client.share().expect("a call is answered"));
    median(&calls.map(micros).collect::<Vec<_>>())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn in_words(measured: &Measured, commits: (f64, f64)) -> String {
    let ((left, right), (low, high)) = (measured.sides, measured.quartiles);
    format!(
        "a share over MCP ({left:.0} us, {:.2} synced commits) / a bare handler with the same records \
         ({right:.0} us, {:.2}); quartiles {low:.2} to {high:.2}, a sync {:.0} us",
        commits.0, commits.1, measured.sync_us
    )
}
