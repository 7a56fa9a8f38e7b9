//! What the stages of the conformance suite share: folders, and processes by a variable of theirs.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]
#![allow(dead_code, reason = "each test program uses a part")]

use party_harness::{
    RuntimeSpec,
    core::{SeatId, SessionId},
};
use std::{collections::BTreeMap, fs, path::PathBuf};

/// A home, a working folder and a folder of its own for each seat, gone with the stage.
#[derive(Debug)]
pub(crate) struct Folders(tempfile::TempDir);

impl Folders {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn of(&self, seat: SeatId, name: &str) -> PathBuf {
        let path = self.0.path().join(format!("seat-{seat}")).join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// What a seat is opened with; `env` is its whole environment.
    pub(crate) fn spec(&self, seat: SeatId, env: BTreeMap<String, String>) -> RuntimeSpec {
        RuntimeSpec {
            session: SessionId::derive(&[b"conformance"]),
            seat,
            agent: format!("Agent {seat}"),
            system_prompt: format!("You are \"the agent\" of seat {seat};\nyou say what your part says."),
            model: None,
            cwd: self.of(seat, "work"),
            folder: self.of(seat, "own"),
            env: env.into(),
            resume: None,
        }
    }
}

/// How many processes live whose environment has this variable.
pub(crate) fn alive(name: &str, value: &str) -> usize {
    let wanted = format!("{name}={value}");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| {
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        })
        .count()
}
