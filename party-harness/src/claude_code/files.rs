//! The adapter's files in a seat's folder.

use super::{
    identity::host,
    launch::{LaunchPlan, marker, scratch},
};
use crate::process::tree::{self, Process};
use crate::{Error, ErrorKind, Recovery, Result, RuntimeSpec, TurnKey};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long an orphan's processes may take to die of SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a later process of the host must know of the last launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trace {
    host: String,
    key: TurnKey,
    /// The number of the runtime session that the next launch goes on with.
    pub(super) n: u32,
    /// The process and its start, while it runs.
    #[serde(default)]
    process: Option<(i32, u64)>,
}

impl Trace {
    pub(super) fn new(key: TurnKey, n: u32, process: Option<Process>) -> Self {
        Self { host: host(), key, n, process: process.map(|process| (process.pid, process.start)) }
    }

    pub(super) fn read(spec: &RuntimeSpec) -> Option<Self> {
        serde_json::from_slice(&fs::read(path(spec)).ok()?).ok()
    }

    pub(super) fn write(&self, spec: &RuntimeSpec) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|error| trouble(&path(spec), error))?;
        put(&path(spec), &text)
    }

    /// What became of the turn, as far as this trace tells.
    pub(super) fn recovery(trace: Option<&Self>, turn: TurnKey) -> Recovery {
        if trace.is_some_and(|trace| trace.key == turn) { Recovery::Unknown } else { Recovery::NotSeen }
    }
}

fn path(spec: &RuntimeSpec) -> PathBuf {
    spec.folder.join("claude.pid")
}

/// Ends whatever an earlier process of the host left running for this seat.
pub(super) fn end_orphan(spec: &RuntimeSpec) -> Result<()> {
    let trace = Trace::read(spec).filter(|trace| trace.host == host());
    let root = trace.and_then(|trace| trace.process).map(|(pid, start)| Process { pid, start });
    if tree::kill(root.filter(|root| root.is_alive()), &marker(spec), PATIENCE) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Io, format!("an earlier claude of the agent `{}` cannot be ended", spec.agent)))
}

/// Writes what a launch reads.
pub(super) fn prepare(spec: &RuntimeSpec, plan: &LaunchPlan) -> Result<()> {
    if !plan.cwd.is_dir() {
        let context = format!("the working folder {} is missing", plan.cwd.display());
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    let scratch = scratch(spec);
    fs::create_dir_all(&scratch).map_err(|error| trouble(&scratch, error))?;
    plan.files.iter().try_for_each(|(path, content)| put(path, content))
}

/// Replaces a file as a whole, so that a crash leaves the old one or the new one.
fn put(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let write = || {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        fs::rename(&new, path)
    };
    write().map_err(|error| trouble(path, error))
}

fn trouble(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Io, format!("cannot write {}", path.display())).with_source(error)
}
