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
    io::{self, Write as _},
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
    /// The last launch's lock. Its file is there until all of the launch is gone.
    #[serde(default)]
    lock: Option<PathBuf>,
}

impl Trace {
    /// A turn is launched, under a lock, or counts as launched.
    pub(super) fn launched(key: TurnKey, n: u32, lock: Option<PathBuf>) -> Self {
        Self { host: host(), boot: boot().to_owned(), key: Some(key), n, earlier: false, lock }
    }

    /// The same, and `n` is left to the next launch.
    pub(super) const fn leaving(mut self, n: u32) -> Self {
        self.n = n;
        self
    }

    /// The last launch serves another turn, in the runtime session `n`.
    pub(super) fn serving(self, key: TurnKey, n: u32) -> Self {
        Self { key: Some(key), n, ..self }
    }

    /// Ends whatever an earlier process of the host left running for the seat. Gives the seat's trace,
    /// which is made where there is none of this boot, and whether it was there.
    pub(super) fn open(spec: &RuntimeSpec) -> Result<(Self, bool)> {
        let text = fs::read(path(spec));
        let is_first = text.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let found: Option<Self> = text.ok().and_then(|text| serde_json::from_slice(&text).ok());
        match found {
            Some(found) if found.is_of_this_boot() => {
                found.end_orphan(spec)?;
                Ok((found, true))
            }
            found => {
                // Nothing outlives a boot. A folder without a trace is new, or was robbed of it.
                if found.is_none() && scratch(spec).exists() {
                    end_all(spec)?;
                }
                // A power cut may leave a file that nobody can read.
                let (n, earlier) = (found.map_or(0, |found| found.n), !is_first);
                let new = Self { host: host(), boot: boot().to_owned(), key: None, n, earlier, lock: None };
                new.write(spec)?;
                Ok((new, false))
            }
        }
    }

    /// Ends what is left of the last launch. Where nothing is, no process is looked at.
    pub(super) fn end_orphan(&self, spec: &RuntimeSpec) -> Result<()> {
        let Some(lock) = self.lock.as_ref().filter(|lock| lock.exists()) else { return Ok(()) };
        end_all(spec)?;
        // Removes the file of a host that is dead; a living one that was robbed of its process will.
        let _ = lock::take(lock.clone(), &spec.agent, &marker(spec));
        Ok(())
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

/// The lock of a runtime session. It lies in the runtime's own home, which all hosts of the session
/// share.
pub(super) fn lock_of(spec: &RuntimeSpec, id: &str) -> PathBuf {
    let home = match (spec.env.get("CLAUDE_CONFIG_DIR"), spec.env.get("HOME")) {
        (Some(home), _) => spec.cwd.join(home),
        (None, Some(home)) => spec.cwd.join(home).join(".claude"),
        (None, None) => spec.folder.clone(),
    };
    home.join("party/locks").join(format!("{}.lock", identity::file_name(id)))
}

/// Takes the lock of a runtime session.
pub(super) fn lock(spec: &RuntimeSpec, id: &str) -> Result<Guard> {
    lock::take(lock_of(spec, id), id, &marker(spec))
}

/// Ends every process of the seat.
fn end_all(spec: &RuntimeSpec) -> Result<()> {
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
