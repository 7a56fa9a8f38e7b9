//! Counts the syncs of each phase in what `strace` wrote.

use crate::work::{FOLDER, MARK};
use party_benches::{Goal, Row};
use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// What brings something to a disk.
const SYNCS: [&str; 6] = ["fsync(", "fdatasync(", "msync(", "sync_file_range(", "syncfs(", "sync("];
const CALLS: &str = "trace=fsync,fdatasync,msync,sync_file_range,syncfs,sync,statx";

/// The syncs of a phase, and how much was done in it.
#[derive(Debug, Default, Clone, Copy)]
struct Phase {
    syncs: u64,
    /// Those of a log.
    of_log: u64,
    done: u64,
}

/// A row for each kind of work.
pub(crate) fn count(folder: &Path) -> Result<[Row; 4], String> {
    let (trace, work) = (folder.join("trace"), folder.join("work"));
    fs::create_dir(&work).map_err(|error| error.to_string())?;
    let this = std::env::current_exe().expect("a binary has a path");
    // `-y` names the file of each sync.
    let ended = Command::new("strace")
        .args(["-f", "-y", "--seccomp-bpf", "-e", CALLS, "-o"])
        .args([&trace, &this])
        .env(FOLDER, &work)
        .output()
        .map_err(|error| format!("strace cannot be started: {error}"))?;
    if !ended.status.success() {
        return Err(format!("strace failed: {}", String::from_utf8_lossy(&ended.stderr).trim()));
    }
    let text = fs::read_to_string(&trace).map_err(|error| error.to_string())?;
    Ok(rows(&phases(&text)))
}

fn rows(phases: &BTreeMap<String, Phase>) -> [Row; 4] {
    let phase = |name: &str| phases.get(name).copied().unwrap_or_else(|| panic!("phase {name} was traced"));
    let (alone, reads, traces, long) = (phase("alone"), phase("reads"), phase("traces"), phase("long"));
    let crowd = Phase { done: phase("groups").done, ..phase("crowd") };
    let moved = format!(
        "in {} batches, long enough for the log to be moved into the file, {} of the log and {} of the file",
        long.done,
        long.of_log,
        long.syncs - long.of_log
    );
    [
        row("syncs_per_synced_batch", 1.0, alone, "synced batches of one writer", &moved),
        row(
            "syncs_per_group_64_writers",
            1.0,
            crowd,
            "groups of 640 synced batches of 64 writers",
            "all of the log",
        ),
        row("syncs_per_read", 0.0, reads, "reads of six kinds", "connecting included"),
        row(
            "syncs_per_buffered_trace",
            0.0,
            traces,
            "buffered batches of trace",
            "behind the first since the open",
        ),
    ]
}

fn row(name: &str, goal: f64, Phase { syncs, done, .. }: Phase, of: &str, more: &str) -> Row {
    let what = format!("{syncs} syncs, counted by strace, / {done} {of}; {more}");
    Row::counted(name, Goal::Counted(goal), syncs as f64 / done as f64, what)
}

/// The phases of a trace, by name.
fn phases(trace: &str) -> BTreeMap<String, Phase> {
    let (mut phases, mut now) = (BTreeMap::<String, Phase>::new(), None);
    for line in trace.lines() {
        // A call that another thread cuts short is told twice; only the first part has its arguments.
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        if let Some((_, marked)) = call.split_once(MARK)
            && let Some((name, rest)) = marked.split_once('/')
        {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            now = Some(name.to_owned());
            phases.entry(name.to_owned()).or_default().done = digits.parse().unwrap_or_default();
        } else if let Some(name) = &now
            && SYNCS.iter().any(|sync| call.starts_with(sync))
        {
            let phase = phases.entry(name.clone()).or_default();
            phase.syncs += 1;
            phase.of_log += u64::from(call.contains("-wal>"));
        }
    }
    phases
}
