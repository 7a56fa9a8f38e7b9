//! The table, and `ratios.json`.
#![expect(clippy::print_stdout, reason = "a bench says what it found")]

use crate::Measured;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What a ratio should be.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "benches name the goals that there are")]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// This, counted and not timed: anything else fails the run.
    Counted(f64),
}

impl Goal {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
            Self::Counted(exactly) => ratio.total_cmp(&exactly).is_eq(),
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::AtMost(most) => format!("<= {most}"),
            Self::AtLeast(least) => format!(">= {least}"),
            Self::Counted(exactly) => format!("= {exactly}"),
        }
    }
}

/// A ratio with what it should be and what it compares.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Row {
    name: String,
    ratio: f64,
    goal: String,
    verdict: String,
    what: String,
    /// A counted gate that does not hold.
    failed: bool,
}

impl Row {
    /// A row of what was timed; it never fails a run, and says so where the disk was unsteady.
    pub fn timed(name: &str, goal: Goal, measured: &Measured, what: impl Into<String>) -> Self {
        let mut row = Self::counted(name, goal, measured.ratio, what);
        row.failed = false;
        if !measured.is_steady() {
            row.verdict = format!("inconclusive: a sync moved {:.1}x", measured.disk_moved);
        }
        row
    }

    /// A row of what was counted.
    pub fn counted(name: &str, goal: Goal, ratio: f64, what: impl Into<String>) -> Self {
        let met = goal.is_met(ratio);
        let verdict = if met { "met" } else { "MISSED" }.to_owned();
        let failed = matches!(goal, Goal::Counted(_)) && !met;
        Self { name: name.into(), ratio, goal: goal.in_words(), verdict, what: what.into(), failed }
    }
}

/// The rows of one `cargo bench`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Run {
    /// The process that runs the bench binaries one after the other.
    parent: u32,
    rows: BTreeMap<String, Row>,
}

/// Whether this is `cargo bench`, and not a test run that only wants to see the binary start.
pub fn is_bench_run() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Adds rows to those of the binaries before in the same run, writes all of them to
/// `ratios.json` in the target folder and prints them. A failure where a counted gate does not hold.
pub fn report(rows: impl IntoIterator<Item = Row>) -> ExitCode {
    let (kept, parent) = (scratch().join("rows.json"), std::os::unix::process::parent_id());
    let before = fs::read(&kept).ok().and_then(|bytes| serde_json::from_slice::<Run>(&bytes).ok());
    let mut run = before.filter(|run| run.parent == parent).unwrap_or(Run { parent, ..Run::default() });
    run.rows.extend(rows.into_iter().map(|row| (row.name.clone(), row)));
    write(&kept, &run);
    let ratios: BTreeMap<&str, f64> = run.rows.values().map(|row| (row.name.as_str(), row.ratio)).collect();
    let path = target().join("ratios.json");
    write(&path, &ratios);
    print(&run, &path);
    if run.rows.values().any(|row| row.failed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn write(path: &Path, value: &impl Serialize) {
    let mut text = serde_json::to_string_pretty(value).expect("rows are JSON");
    text.push('\n');
    fs::write(path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

fn print(run: &Run, path: &Path) {
    let width = |of: fn(&Row) -> &str| run.rows.values().map(|row| of(row).len()).max().unwrap_or(0);
    let (names, goals, verdicts) =
        (width(|row| &row.name), width(|row| &row.goal), width(|row| &row.verdict));
    println!("\nratios so far, in {}", path.display());
    for Row { name, ratio, goal, verdict, what, .. } in run.rows.values() {
        println!("{name:names$}  {ratio:>8.3}  {goal:goals$}  {verdict:verdicts$}  {what}");
    }
    println!();
}

/// A folder for the stores of a bench, on the disk that the target folder is on.
pub fn scratch() -> PathBuf {
    let folder = target().join("party-benches");
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
    folder
}

/// Cargo's target folder: the one above this binary that cargo has tagged.
fn target() -> PathBuf {
    let binary = std::env::current_exe().expect("a binary has a path");
    let tagged = binary.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let named = || std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    tagged.map(Path::to_owned).or_else(named).unwrap_or_else(|| PathBuf::from("target"))
}
