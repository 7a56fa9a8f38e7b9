//! Folding a log, and deciding on it: nanoseconds by criterion, and two ratios.

use criterion::{BatchSize, Criterion, Throughput};
use party_benches::{Forum, Goal, Measured, Pairs, Row, is_bench_run, report};
use party_core::{NewRecord, Record, Timestamp};
use party_formats::Engine;
use serde_json::Value;
use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

const SHORT: usize = 1_000;
const LONG: usize = 100_000;
/// How long a block of a pair lasts, about.
const BLOCK: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let (short, long) = (Stage::set(SHORT), Stage::set(if is_bench_run() { LONG } else { SHORT }));
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for stage in [&short, &long] {
        stage.fold(&mut criterion);
        stage.step(&mut criterion);
    }
    criterion.final_summary();
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    report(ratios(&short, &long))
}

/// A discussion of some length, at rest and while it runs.
struct Stage {
    log: Vec<Record>,
    at_rest: Engine,
    running: Engine,
    /// The report that comes next while it runs.
    next: Vec<NewRecord>,
}

impl Stage {
    fn set(records: usize) -> Self {
        let mut forum = Forum::open();
        forum.talk_until(records);
        let (log, at_rest) = (forum.log().to_vec(), forum.engine().clone());
        forum.post();
        let next = forum.next_report();
        Self { log, at_rest, running: forum.engine().clone(), next }
    }

    fn replay(&self) -> Engine {
        let mut engine = Engine::new(self.at_rest.session());
        self.log.iter().for_each(|record| engine.apply(black_box(record)));
        engine
    }

    fn settle(&self) {
        black_box(self.running.settle(self.next.clone(), Timestamp::default()));
    }

    fn parse_bodies(&self) {
        for record in &self.log {
            black_box(serde_json::from_str::<Value>(black_box(record.body.get())).is_ok());
        }
    }

    fn fold(&self, criterion: &mut Criterion) {
        let records = self.log.len() as u64;
        let mut group = criterion.benchmark_group("apply");
        group.sample_size(if records > SHORT as u64 * 2 { 10 } else { 20 });
        group.throughput(Throughput::Elements(records));
        group.bench_function(format!("replay_{records}_records"), |bench| bench.iter(|| self.replay()));
        group.finish();
    }

    fn step(&self, criterion: &mut Criterion) {
        let records = self.log.len();
        let mut group = criterion.benchmark_group("decide");
        group.bench_function(format!("nothing_follows_at_{records}"), |bench| {
            bench.iter(|| black_box(&self.at_rest).decide());
        });
        group.bench_function(format!("settle_turn_end_at_{records}"), |bench| {
            let settle = |next| black_box(&self.running).settle(next, Timestamp::default());
            bench.iter_batched(|| self.next.clone(), settle, BatchSize::SmallInput);
        });
        group.finish();
    }
}

fn ratios(short: &Stage, long: &Stage) -> Vec<Row> {
    let per_record = |stage: &Stage, work: &dyn Fn()| seconds_per_call(work) / stage.log.len() as f64;
    let fold = |stage: &Stage| per_record(stage, &|| drop(black_box(stage.replay())));
    let parse = |stage: &Stage| per_record(stage, &|| stage.parse_bodies());
    let step = |stage: &Stage| seconds_per_call(&|| stage.settle());
    let applied = Pairs::in_memory(20).run(|| fold(short), || parse(short));
    let grown = Pairs::in_memory(20).run(|| fold(long), || fold(short));
    let stepped = Pairs::in_memory(20).run(|| step(long), || step(short));
    vec![
        Row::timed(
            "apply_vs_json_value",
            Goal::AtMost(1.5),
            &applied,
            in_words("apply", "Value of its body", &applied),
        ),
        Row::timed(
            "apply_100k_vs_1k",
            Goal::AtMost(1.5),
            &grown,
            in_words("apply in a long log", "in a short one", &grown),
        ),
        Row::timed(
            "step_at_100k_vs_1k",
            Goal::AtMost(1.2),
            &stepped,
            in_words("a step at 100k records", "at 1k", &stepped),
        ),
    ]
}

fn in_words(ours: &str, theirs: &str, measured: &Measured) -> String {
    let (left, right) = measured.sides;
    format!("{ours} ({:.0} ns) / {theirs} ({:.0} ns)", left * 1e9, right * 1e9)
}

/// Calls for a block, and says how long one takes.
fn seconds_per_call(work: &dyn Fn()) -> f64 {
    let begun = Instant::now();
    let mut calls = 0.0;
    while begun.elapsed() < BLOCK {
        work();
        calls += 1.0;
    }
    begun.elapsed().as_secs_f64() / calls
}
