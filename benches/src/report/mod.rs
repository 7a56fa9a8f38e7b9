//! The table, `ratios.json` and `ratios.svg`.
#![expect(clippy::print_stdout, reason = "a bench says what it found")]

mod axis;
mod plot;
mod row;
mod svg;

pub use row::{Goal, Row};

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

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

/// Adds rows to those of the binaries before in the same run, writes all of them to `ratios.json`
/// in the target folder, draws them beside it and prints them. A failure where a counted gate does
/// not hold.
pub fn report(rows: impl IntoIterator<Item = Row>) -> ExitCode {
    let (kept, parent) = (scratch().join("rows.json"), std::os::unix::process::parent_id());
    let before = fs::read(&kept).ok().and_then(|bytes| serde_json::from_slice::<Run>(&bytes).ok());
    let mut run = before.filter(|run| run.parent == parent).unwrap_or(Run { parent, ..Run::default() });
    let bench = bench();
    run.rows.extend(rows.into_iter().map(|row| (row.name.clone(), Row { bench: bench.clone(), ..row })));
    write_json(&kept, &run);
    let ratios: BTreeMap<&str, f64> = run.rows.values().map(|row| (row.name.as_str(), row.ratio)).collect();
    let path = target().join("ratios.json");
    write_json(&path, &ratios);
    write(&path.with_extension("svg"), plot::plot(run.rows.values()));
    print(&run, &path);
    if run.rows.values().any(Row::fails_the_run) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn write_json(path: &Path, value: &impl Serialize) {
    let mut text = serde_json::to_string_pretty(value).expect("rows are JSON");
    text.push('\n');
    write(path, text);
}

fn write(path: &Path, text: String) {
    fs::write(path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

fn print(run: &Run, path: &Path) {
    let width =
        |of: fn(&Row) -> String| run.rows.values().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (names, goals, verdicts) = (
        width(|row| row.name.clone()),
        width(|row| row.goal.to_string()),
        width(|row| row.verdict.to_string()),
    );
    println!("\nratios so far, in {}, drawn beside it", path.display());
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

/// What this binary is called, without the hash that cargo appends.
fn bench() -> String {
    let binary = std::env::current_exe().expect("a binary has a path");
    let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let hashed =
        name.rsplit_once('-').filter(|(_, hash)| hash.chars().all(|digit| digit.is_ascii_hexdigit()));
    hashed.map_or_else(|| name.clone(), |(name, _)| name.to_owned())
}

/// Cargo's target folder: the one above this binary that cargo has tagged.
fn target() -> PathBuf {
    let binary = std::env::current_exe().expect("a binary has a path");
    let tagged = binary.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let named = || std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    tagged.map(Path::to_owned).or_else(named).unwrap_or_else(|| PathBuf::from("target"))
}
