//! One process per runtime session, whoever starts it.
//!
//! A lock is a file that the kernel unlocks when its holder dies, however it dies. It names the process
//! that it guards, so that whoever finds the file of a dead host ends that process before it starts one.
//! The file is removed after use: a holder removes it while it still has the lock, and whoever gets a
//! lock looks whether the name still leads to the file that it locked.

use super::{
    PATIENCE,
    machine::{boot, host},
    tree::{self, Process},
};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// More than this is no file of ours.
const MOST: u64 = 64 * 1024;

/// How often the file may be removed by others before one gives up.
const TRIES: u32 = 1000;

/// What a lock's file says of the process that it guards.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    host: String,
    boot: String,
    /// The process and its start, once it runs.
    process: Option<(i32, u64)>,
    /// The variable by which all that belongs to it is known.
    marker: (String, String),
}

/// A lock that is held. Dropping it frees the lock.
#[derive(Debug)]
pub(crate) struct Guard {
    path: PathBuf,
    file: File,
    keep: bool,
}

/// Takes the lock of `what`, the name of a runtime session. Ends the process of a holder that died.
/// Blocks, for long only where such a process has to be ended.
///
/// # Errors
/// [`ErrorKind::Busy`] where another holds it; [`ErrorKind::Io`] where the file cannot be made, or a dead
/// holder's process cannot be ended.
pub(crate) fn take(path: PathBuf, what: &str, marker: &(String, String)) -> Result<Guard> {
    let failed = |error| trouble(&path, error);
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let mut left = TRIES;
    let file = loop {
        let file = open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) if leads_to(&path, &file).map_err(failed)? => break file,
            // Its last holder has removed it meanwhile.
            Ok(()) if left > 0 => left -= 1,
            Ok(()) => return Err(failed(io::ErrorKind::TimedOut.into())),
            Err(TryLockError::WouldBlock) => return Err(busy(what, &file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    };
    if !read(&file).is_none_or(|holder| holder.end()) {
        let context = format!("an earlier process of the runtime session {what} cannot be ended");
        return Err(Error::new(ErrorKind::Io, context));
    }
    let mut guard = Guard { path, file, keep: false };
    guard.name(None, marker)?;
    Ok(guard)
}

impl Guard {
    /// Writes down which process the lock guards.
    pub(crate) fn name(&mut self, process: Option<Process>, marker: &(String, String)) -> Result<()> {
        let process = process.map(|process| (process.pid, process.start));
        let holder = Holder { host: host(), boot: boot().to_owned(), process, marker: marker.clone() };
        let write = |file: &mut File| {
            let text = serde_json::to_vec(&holder)?;
            file.rewind()?;
            file.write_all(&text)?;
            file.set_len(text.len() as u64)
        };
        write(&mut self.file).map_err(|error| trouble(&self.path, error))
    }

    /// Frees the lock of a process that could not be ended, and leaves the file to tell of it.
    pub(crate) fn leave(mut self) {
        self.keep = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Holder {
    /// Ends the process and what belongs to it, if it can be one of this machine. Says whether none is left.
    fn end(&self) -> bool {
        if (self.host.as_str(), self.boot.as_str()) != (&host(), boot()) {
            return true;
        }
        let root = self.process.map(|(pid, start)| Process { pid, start });
        tree::kill(root.as_slice(), &self.marker, PATIENCE)
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    if !ours.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the file says; nothing where it is new, or was cut off while it was written.
fn read(file: &File) -> Option<Holder> {
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn busy(what: &str, file: &File) -> Error {
    let holder = read(file).and_then(|holder| holder.process);
    let by = holder.map_or_else(String::new, |(pid, _)| format!(" in process {pid}"));
    Error::new(ErrorKind::Busy, format!("the runtime session {what} runs a turn already{by}"))
}

fn trouble(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot lock {}", path.display())).with_source(error)
}
