//! All processes of one seat, on Linux by `/proc`.
//!
//! A runtime's children may have process groups of their own, and outlive it when it is killed; they are
//! found as descendants of a living process and by a variable that only this seat's have.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

/// A process that cannot be mistaken for a later one with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// When it started, in ticks since the machine did.
    pub(crate) start: u64,
}

impl Process {
    pub(crate) fn with_pid(pid: i32) -> Option<Self> {
        Some(Self { pid, start: stat(pid)?.start })
    }

    /// Whether it lives; a zombie does not.
    pub(crate) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.start == self.start && !matches!(stat.state, 'Z' | 'X'))
    }

    /// Sends a signal, if it is still the same process.
    pub(crate) fn signal(self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            let _ = kill_process(pid, signal);
        }
    }
}

struct Stat {
    name: String,
    parent: i32,
    state: char,
    start: u64,
}

/// The command's name may hold anything, so fields are counted behind its closing parenthesis.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    Some(Stat {
        name: before.split_once('(')?.1.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// The name of what a process executes, and whether it is dead and waits to be reaped.
pub(crate) fn name(pid: i32) -> Option<(String, bool)> {
    stat(pid).map(|stat| (stat.name, matches!(stat.state, 'Z' | 'X')))
}

/// What is alive of a seat: `roots` and all below them, and whatever carries the seat's variable.
pub(crate) fn living(roots: &[Process], marker: &(String, String)) -> Vec<Process> {
    let all: Vec<(Process, i32)> = pids()
        .filter_map(|pid| stat(pid).map(|stat| (Process { pid, start: stat.start }, stat.parent)))
        .collect();
    let mut found: BTreeSet<Process> =
        all.iter().map(|(process, _)| *process).filter(|process| carries(process.pid, marker)).collect();
    found.extend(roots.iter().filter(|root| root.is_alive()));
    loop {
        let pids: BTreeSet<i32> = found.iter().map(|process| process.pid).collect();
        let before = found.len();
        found.extend(all.iter().filter(|(_, parent)| pids.contains(parent)).map(|(process, _)| *process));
        if found.len() == before {
            break;
        }
    }
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    found.into_iter().filter(|process| process.pid != own && process.is_alive()).collect()
}

/// Kills all that is alive of a seat, until nothing is; gives up after `patience`.
pub(crate) fn kill(roots: &[Process], marker: &(String, String), patience: Duration) -> bool {
    let end = Instant::now() + patience;
    loop {
        let living = living(roots, marker);
        living.iter().for_each(|process| process.signal(Signal::KILL));
        match (living.is_empty(), Instant::now() < end) {
            (true, _) => return true,
            (false, true) => std::thread::sleep(Duration::from_millis(5)),
            (false, false) => return false,
        }
    }
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn carries(pid: i32, (name, value): &(String, String)) -> bool {
    let entry = format!("{name}={value}");
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
}
