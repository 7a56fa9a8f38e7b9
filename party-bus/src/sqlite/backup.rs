//! A copy of the whole store in a file of its own.

use super::{connect::connect, failure::Failure};
use crate::{Error, ErrorKind, Result, refusal};
use rusqlite::{Connection, InterruptHandle};
use std::{
    fs::{File, OpenOptions, hard_link, remove_file},
    io::{Error as IoError, ErrorKind as IoErrorKind},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{sync::oneshot, task::spawn_blocking};

/// Writes the store at `from` to the new file `to`. The copy is of the next epoch: whoever reads it
/// later in the place of the original may know places that it has not.
pub(super) async fn write(from: &Arc<Path>, to: &Path) -> Result<()> {
    let (from, to) = (Arc::clone(from), to.to_owned());
    let (started, interrupt) = oneshot::channel();
    let (reply, answer) = oneshot::channel();
    spawn_blocking(move || {
        let made = make(&from, &to, started);
        let is_made = made.is_ok();
        let told = reply.send(made.map_err(|failure| failure.into_error("back up", &from)));
        if is_made && told.is_err() {
            let _ = remove_file(&to);
        }
    });
    // Dropped from here on, the copying ends, and nobody hears of it: the file goes.
    let _running = interrupt.await.map(Running);
    answer.await.unwrap_or_else(|_| Err(refusal::closed()))
}

/// Ends the copying when it is no longer waited for.
struct Running(InterruptHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// A file that goes, whatever becomes of it.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = remove_file(&self.0);
    }
}

/// A copy that was cut short has another name: whoever finds a file at `to` finds all of it.
fn make(from: &Path, to: &Path, started: oneshot::Sender<InterruptHandle>) -> Result<(), Failure> {
    let refused = |error: IoError| {
        let kind = match error.kind() {
            IoErrorKind::AlreadyExists => ErrorKind::Invalid,
            IoErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        Error::new(kind, format!("cannot make the backup {}", to.display())).with_source(error)
    };
    if to.symlink_metadata().is_ok() {
        return Err(refused(IoErrorKind::AlreadyExists.into()).into());
    }
    let draft = Draft(to.with_file_name(format!(".party-backup-{}", draft_number())));
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.0);
    options.map_err(refused)?;
    copy(from, &draft.0, started)?;
    sync(&draft.0)?;
    // Unlike a rename, it takes the place of nothing.
    hard_link(&draft.0, to).map_err(refused)?;
    Ok(sync(to)?)
}

/// No other draft of this machine has it.
fn draft_number() -> String {
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed))
}

fn copy(from: &Path, to: &Path, started: oneshot::Sender<InterruptHandle>) -> Result<(), Failure> {
    let conn = connect(from)?;
    // Who no longer waits has dropped the other end; then the first step is the last.
    if started.send(conn.get_interrupt_handle()).is_err() {
        return Err(refusal::closed().into());
    }
    let name = std::str::from_utf8(to.as_os_str().as_bytes())
        .map_err(|_| Error::new(ErrorKind::Invalid, format!("{} is not UTF-8", to.display())))?;
    conn.execute("VACUUM INTO ?1", [name])?;
    let copy = Connection::open(to)?;
    copy.execute("UPDATE store SET epoch = epoch + 1, clean = 1", [])?;
    Ok(copy.close().map_err(|(_, error)| error)?)
}

fn sync(to: &Path) -> Result<(), Error> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(to).and_then(|file| file.sync_all());
    let synced: Result<(), IoError> = synced.and_then(|()| File::open(folder)?.sync_all());
    synced.map_err(|error| {
        Error::new(ErrorKind::Io, format!("cannot sync {}", to.display())).with_source(error)
    })
}
