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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        process::{Child, Command},
        sync::atomic::{AtomicU32, Ordering},
    };

    fn marker() -> (String, String) {
        ("PARTY_LOCK_TEST".to_owned(), "nobody has it".to_owned())
    }

    fn sleeper() -> (Child, Process) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::with_pid(child.id().try_into().unwrap()).unwrap();
        (child, process)
    }

    #[test]
    fn a_lock_is_held_once_named_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down/s-1.lock");
        let mut guard = take(path.clone(), "s-1", &marker()).unwrap();
        guard.name(Some(Process { pid: 77, start: 5 }), &marker()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let error = take(path.clone(), "s-1", &marker()).unwrap_err();
        let expected = "the runtime session s-1 runs a turn already in process 77";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Busy, expected));
        drop(guard);
        assert!(!path.exists());
        take(path, "s-1", &marker()).unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_of_a_dead_holder_is_ended_but_not_one_of_another_machine_or_boot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.lock");
        let (mut child, process) = sleeper();
        let stale = |change: fn(&mut Holder)| {
            let process = Some((process.pid, process.start));
            let mut holder = Holder { host: host(), boot: boot().to_owned(), process, marker: marker() };
            change(&mut holder);
            fs::write(&path, serde_json::to_vec(&holder).unwrap()).unwrap();
            take(path.clone(), "s", &marker()).unwrap();
        };
        stale(|holder| holder.boot = "another".to_owned());
        stale(|holder| holder.host = "another".to_owned());
        stale(|holder| holder.process = holder.process.map(|(pid, start)| (pid, start + 1)));
        assert!(process.is_alive(), "it is not the one that is named");
        fs::write(&path, "{\"host\":").unwrap();
        take(path.clone(), "s", &marker()).unwrap();
        assert!(process.is_alive());
        stale(|_| {});
        assert!(!process.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn what_cannot_be_a_lock_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(Command::new("mkfifo").arg(folder.path().join("fifo")).status().unwrap().success());
        for name in ["folder", "fifo", "file/below"] {
            let error = take(folder.path().join(name), "s", &marker()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{name}: {error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn many_takers_never_hold_it_together() {
        let folder = tempfile::tempdir().unwrap();
        let (path, inside, taken) = (folder.path().join("s.lock"), AtomicU32::new(0), AtomicU32::new(0));
        let work = || {
            while taken.load(Ordering::SeqCst) < 400 {
                let Ok(guard) = take(path.clone(), "s", &marker()) else { continue };
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                taken.fetch_add(1, Ordering::SeqCst);
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(guard);
            }
        };
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(work)));
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
