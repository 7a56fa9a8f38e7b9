//! What a turn costs beyond its runtime: the adapter's open and turn of a stub, against a bare spawn
//! of the same stub, without the arguments and files that the adapter adds.
#![expect(clippy::print_stdout, reason = "a bench says what it found")]

use party_benches::{
    Goal, Measured, NoTools, Pairs, QUESTION, Row, ask, is_bench_run, report, scratch, seat,
};
use party_harness::{Harness as _, claude_code::ClaudeCode};
use std::{
    cell::Cell,
    fs,
    path::Path,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::Instant,
};
use tokio::{io::AsyncWriteExt as _, process::Command, runtime::Runtime};

const STUB: &str = env!("CARGO_BIN_EXE_stub_runtime");
const PAIRS: usize = 200;

fn main() -> ExitCode {
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    for name in ["home", "work"] {
        fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    if !is_bench_run() {
        runtime.block_on(ours(folder.path(), 1));
        return ExitCode::SUCCESS;
    }
    let turn = Cell::new(0);
    let measured = Pairs::in_memory(PAIRS).run(
        || {
            turn.set(turn.get() + 1);
            runtime.block_on(ours(folder.path(), turn.get()))
        },
        || runtime.block_on(bare(folder.path())),
    );
    let what = in_words(&measured);
    println!("{what}");
    let overhead =
        Measured { ratio: measured.difference, quartiles: measured.difference_quartiles, ..measured };
    report([Row::timed("launch_overhead_ms", Goal::AtMost(5.0), &overhead, what)])
}

fn in_words(measured: &Measured) -> String {
    let (ours, bare) = measured.sides;
    format!("open and turn of a stub ({ours:.2} ms) - its bare spawn to exit ({bare:.2} ms), {PAIRS} pairs")
}

/// Opens a seat and runs a turn to its end: milliseconds.
async fn ours(folder: &Path, turn: u64) -> f64 {
    let spec = seat(folder, 1);
    let begun = Instant::now();
    let session = ClaudeCode::new(STUB).open(spec, Arc::new(NoTools)).await.expect("it opens");
    ask(&*session, turn).await;
    begun.elapsed().as_secs_f64() * 1e3
}

/// Spawns the stub, gives it a message, and reads its output to the exit: milliseconds.
async fn bare(folder: &Path) -> f64 {
    let env = seat(folder, 1).env;
    let begun = Instant::now();
    let mut command = Command::new(STUB);
    command.env_clear().envs(&env).current_dir(folder.join("work"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it is spawned");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(QUESTION.as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("it exits");
    let time = begun.elapsed().as_secs_f64() * 1e3;
    assert!(output.status.success() && !output.stdout.is_empty());
    time
}
