//! The decoder of Claude Code's output: beside a check of the same lines by serde_json that keeps
//! nothing, beside the official Python SDK, and what one line of 64 MiB takes of memory.
#![expect(clippy::print_stdout, reason = "a bench says what it found")]

use party_benches::{Goal, Pairs, PythonSdk, Row, is_bench_run, large_lines, recordings, report, rss_peak};
use party_harness::claude_code::codec::{Decoder, Exit};
use serde_json::value::RawValue;
use std::{
    hint::black_box,
    io::{Read as _, Write as _},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

const PAIRS: usize = 40;
const SDK_PAIRS: usize = 8;
/// How often one block reads all recordings.
const ROUNDS: usize = 20;
const CHUNK: usize = 64 << 10;
/// What the binary is called with to be the process whose memory is measured.
const CHILD: &str = "--decode-stdin";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == CHILD) {
        return decode_stdin();
    }
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let bytes = recordings("claude");
    let mut rows = vec![beside_raw_value(&bytes), peak()];
    match PythonSdk::install() {
        Ok(sdk) => rows.push(beside_sdk(&sdk, &bytes)),
        Err(why) => println!("claude_decode_vs_python_sdk is skipped: {why}"),
    }
    report(rows)
}

/// Lines per second of both, the higher the better.
fn beside_raw_value(bytes: &[u8]) -> Row {
    let measured =
        Pairs::in_memory(PAIRS).run(|| 1.0 / seconds(|| decode(bytes)), || 1.0 / seconds(|| check(bytes)));
    let what = format!(
        "throughput of the decoder / of serde_json's `&RawValue`, over all recordings; \
         {:.0} MB/s, quartiles {:.2} to {:.2}",
        bytes.len() as f64 * measured.sides.0 / 1e6,
        measured.quartiles.0,
        measured.quartiles.1
    );
    Row::timed("claude_decode_vs_raw_value", Goal::AtLeast(0.35), &measured, what)
}

fn beside_sdk(sdk: &PythonSdk, bytes: &[u8]) -> Row {
    let theirs = || 1.0 / sdk.seconds_per_round(ROUNDS).expect("the SDK reads the recordings");
    let measured = Pairs::in_memory(SDK_PAIRS).run(|| 1.0 / seconds(|| decode(bytes)), theirs);
    let what = format!(
        "throughput of the decoder / of claude-agent-sdk {} in Python, over all recordings",
        PythonSdk::VERSION
    );
    Row::timed("claude_decode_vs_python_sdk", Goal::AtLeast(10.0), &measured, what)
}

/// Seconds of one round.
fn seconds(mut round: impl FnMut()) -> f64 {
    let begun = Instant::now();
    (0..ROUNDS).for_each(|_| round());
    begun.elapsed().as_secs_f64() / ROUNDS as f64
}

fn decode(bytes: &[u8]) {
    let mut decoder = Decoder::new().requires_every_server();
    for chunk in bytes.chunks(CHUNK) {
        drop(black_box(decoder.feed(chunk)));
    }
    drop(black_box(decoder.finish(&Exit::default())));
}

fn check(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = black_box(serde_json::from_slice::<&RawValue>(line));
    }
}

/// The worst peak of a process that reads one line of 64 MiB, over the line.
fn peak() -> Row {
    let peaks = large_lines(64 << 20).map(|(name, line)| {
        let ratio = child_peak(&line) as f64 / line.len() as f64;
        println!("peak for {name}: {ratio:.2} of the line");
        ratio
    });
    let worst = peaks.fold(0.0, f64::max);
    // 2.5 times the line and 32 MiB, of 64 MiB.
    let what = "peak memory of a process that decodes one line of 64 MiB / the line; the worst kind of line";
    Row::counted("claude_decode_64mib_line_peak", Goal::AtMost(3.0), worst, what)
}

fn child_peak(line: &[u8]) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("a binary has a path"))
        .arg(CHILD)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the bench starts itself");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(line).expect("the child reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the child ends");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| panic!("the child said `{text}`"))
}

/// Decodes stdin as a host does, and prints the process's peak in bytes.
fn decode_stdin() -> ExitCode {
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; CHUNK];
    let mut events = 0;
    loop {
        match std::io::stdin().read(&mut buffer).expect("stdin can be read") {
            0 => break,
            read => events += decoder.feed(&buffer[..read]).len(),
        }
    }
    let (rest, verdict) = decoder.finish(&Exit::default());
    assert!(events + rest.len() > 0, "{verdict:?}");
    println!("{}", rss_peak());
    ExitCode::SUCCESS
}
