//! The decoders of what servers send, Codex and OpenClaw, beside a check of the same lines by serde_json
//! that keeps nothing.

use party_benches::{Goal, Pairs, Row, is_bench_run, recordings, report};
use party_harness::{codex, openclaw};
use serde_json::value::RawValue;
use std::{hint::black_box, process::ExitCode, time::Instant};

const PAIRS: usize = 40;
/// How often one block reads all recordings.
const ROUNDS: usize = 20;
const CHUNK: usize = 64 << 10;

fn main() -> ExitCode {
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    report([row("codex", by_codex), row("openclaw", by_openclaw)])
}

/// Lines per second of both, the higher the better.
fn row(runtime: &str, decode: fn(&[u8])) -> Row {
    let bytes = recordings(runtime);
    let measured =
        Pairs::in_memory(PAIRS).run(|| 1.0 / seconds(|| decode(&bytes)), || 1.0 / seconds(|| check(&bytes)));
    let what = format!(
        "throughput of {runtime}'s decoder / of serde_json's `&RawValue`, over all recordings; \
         {:.0} MB/s, quartiles {:.2} to {:.2}",
        bytes.len() as f64 * measured.sides.0 / 1e6,
        measured.quartiles.0,
        measured.quartiles.1
    );
    Row::timed(&format!("{runtime}_decode_vs_raw_value"), Goal::AtLeast(0.35), &measured, what)
}

/// Seconds of one round.
fn seconds(mut round: impl FnMut()) -> f64 {
    let begun = Instant::now();
    (0..ROUNDS).for_each(|_| round());
    begun.elapsed().as_secs_f64() / ROUNDS as f64
}

fn by_codex(bytes: &[u8]) {
    let mut decoder = codex::codec::Decoder::new();
    bytes.chunks(CHUNK).for_each(|chunk| drop(black_box(decoder.feed(chunk))));
    drop(black_box(decoder.finish()));
}

fn by_openclaw(bytes: &[u8]) {
    let mut decoder = openclaw::codec::Decoder::new();
    bytes.chunks(CHUNK).for_each(|chunk| drop(black_box(decoder.feed(chunk))));
    drop(black_box(decoder.finish()));
}

fn check(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = black_box(serde_json::from_slice::<&RawValue>(line));
    }
}
