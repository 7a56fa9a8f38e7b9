//! A thread of a million entries: beside raw SQL, behind branches, beside a thread of a thousand, and
//! after a kill. One store is built for all of it, and removed at the end.

mod branches;
mod long;
mod reopen;
mod sizes;
mod window;

use long::Long;
use party_benches::{is_bench_run, report, scratch};
use std::process::ExitCode;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let runtime = Runtime::new().expect("a runtime starts");
    if let Some(store) = reopen::told() {
        return runtime.block_on(reopen::write_until_killed(&store));
    }
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let (mut large, mut small) = runtime.block_on(async {
        (
            Long::build(folder.path(), "large", 1_000_000).await,
            Long::build(folder.path(), "small", 1_000).await,
        )
    });
    let mut rows = window::beside_raw(&runtime, &large);
    rows.push(branches::beside_one(&runtime, &mut large));
    rows.extend(sizes::beside_small(&runtime, folder.path(), &mut large, &mut small));
    let (large, small) = runtime.block_on(async { (large.close().await, small.close().await) });
    rows.push(sizes::opened_beside_small(&runtime, folder.path(), &large, &small));
    rows.extend(reopen::after_a_kill(&runtime, folder.path(), &large));
    report(rows)
}
