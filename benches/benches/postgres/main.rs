//! The store on a PostgreSQL server: beside a raw loop of the same checked statements, and read while
//! many write. The server is private and ends with this program.
#![expect(clippy::print_stdout, reason = "a bench says what it found")]

mod crowd;
mod gaps;
mod peer;

use party_benches::{is_bench_run, report};
use std::process::ExitCode;
use test_support::postgres::Cluster;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => {
            println!("PostgreSQL is not measured: {why}");
            return report([]);
        }
    };
    let runtime = Runtime::new().expect("a runtime starts");
    let mut rows = vec![crowd::beside_raw(&runtime, &cluster)];
    rows.extend(runtime.block_on(gaps::count(&cluster)));
    report(rows)
}
