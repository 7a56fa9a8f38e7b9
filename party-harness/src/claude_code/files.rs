//! The adapter's files in a seat's folder.

use super::{
    identity,
    launch::{LaunchPlan, marker, scratch},
};
use crate::process::{
    lock::{self, Guard},
    machine::{boot, host},
    tree,
};
use crate::{Error, ErrorKind, Result, RuntimeSpec, TurnKey};
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

/// What a later process of the host must know of the launches so far.
///
/// It is never synced. What a host that died on this boot wrote is there, synced or not; what was
/// written on another boot may be lost, and is taken for no proof of anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trace {
    host: String,
    boot: String,
    /// The last launch on this boot.
    #[serde(default)]
    key: Option<TurnKey>,
    /// The number of the runtime session that the next launch goes on with.
    pub(super) n: u32,
    /// There may have been launches before this boot.
    #[serde(default)]
    earlier: bool,
}

impl Trace {
    fn new(key: Option<TurnKey>, n: u32, earlier: bool) -> Self {
        Self { host: host(), boot: boot().to_owned(), key, n, earlier }
    }

    /// A turn is launched, or has ended and leaves `n` to the next one.
    pub(super) fn launched(key: TurnKey, n: u32) -> Self {
        Self::new(Some(key), n, false)
    }

    /// The trace of a seat, made where there is none of this boot; and whether it was there.
    pub(super) fn open(spec: &RuntimeSpec) -> Result<(Self, bool)> {
        let found: Option<Self> =
            fs::read(path(spec)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        match found {
            Some(found) if found.is_of_this_boot() => Ok((found, true)),
            found => {
                let new = Self::new(None, found.as_ref().map_or(0, |found| found.n), found.is_some());
                new.write(spec)?;
                Ok((new, false))
            }
        }
    }

    pub(super) fn write(&self, spec: &RuntimeSpec) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|error| trouble(&path(spec), error))?;
        put(&path(spec), &text)
    }

    /// Whether it proves that `turn` was not launched: all launches that could be it would show here.
    pub(super) fn excludes(&self, turn: TurnKey) -> bool {
        match self.key {
            Some(last) => last.session == turn.session && last < turn,
            None => !self.earlier,
        }
    }

    fn is_of_this_boot(&self) -> bool {
        !self.boot.is_empty() && (self.host.as_str(), self.boot.as_str()) == (&host(), boot())
    }
}

fn path(spec: &RuntimeSpec) -> PathBuf {
    spec.folder.join("claude-trace.json")
}

/// Takes the lock of a runtime session. It lies in the runtime's own home, which all hosts of the
/// session share.
pub(super) fn lock(spec: &RuntimeSpec, id: &str) -> Result<Guard> {
    let home = match (spec.env.get("CLAUDE_CONFIG_DIR"), spec.env.get("HOME")) {
        (Some(home), _) => spec.cwd.join(home),
        (None, Some(home)) => spec.cwd.join(home).join(".claude"),
        (None, None) => spec.folder.clone(),
    };
    lock::take(home.join("party/locks").join(format!("{}.lock", identity::file_name(id))), id, &marker(spec))
}

/// Ends whatever an earlier process of the host left running for this seat.
pub(super) fn end_orphan(spec: &RuntimeSpec) -> Result<()> {
    if tree::kill(&[], &marker(spec), PATIENCE) {
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
