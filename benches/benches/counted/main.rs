//! Work that is counted and not timed: syncs, as the system sees them, and bytes of log.
//!
//! Syncs are counted by `strace`, of this program started once more.
#![expect(clippy::print_stdout, reason = "a bench says what it found")]

mod log;
mod syncs;
mod work;

use party_benches::{is_bench_run, report, scratch};
use std::process::ExitCode;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let runtime = Runtime::new().expect("a runtime starts");
    if let Some(folder) = work::told() {
        runtime.block_on(work::all(&folder));
        return ExitCode::SUCCESS;
    }
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let mut rows = vec![runtime.block_on(log::bytes_per_append(folder.path()))];
    match syncs::count(folder.path()) {
        Ok(counted) => rows.extend(counted),
        Err(why) => println!("syncs are not counted: {why}; Debian's package is called strace"),
    }
    report(rows)
}
