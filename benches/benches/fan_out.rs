//! One message to a hundred threads in one commit, beside a raw loop of the same rows and checks.

use party_benches::{Alone, Goal, Pairs, Row, is_bench_run, report, scratch};
use std::{cell::RefCell, process::ExitCode, time::Duration};
use tokio::runtime::Runtime;

const PAIRS: usize = 24;
const BLOCK: Duration = Duration::from_millis(200);
const THREADS: u64 = 100;
/// Batches that lie ready before a block, more than it can write.
const READY: usize = 1_500;

fn main() -> ExitCode {
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let alone = RefCell::new(runtime.block_on(Alone::new(folder.path(), THREADS, READY)));
    let measured = Pairs::on_disk(PAIRS, folder.path())
        .run(|| alone.borrow_mut().ours(&runtime, BLOCK), || alone.borrow_mut().theirs(BLOCK));
    let alone = alone.into_inner();
    let cpu = alone.cpu();
    runtime.block_on(alone.close());
    let (left, right) = measured.sides;
    let what = format!(
        "p50 to the ack of one item to {THREADS} threads ({left:.0} us) / a raw commit of the same ({right:.0} us); \
         {cpu}; {measured}"
    );
    report([Row::timed("fan_out_to_100_threads_vs_raw", Goal::AtMost(1.5), &measured, what)])
}
