//! A copy of the whole store in a file of its own.

use super::{connect::connect, failure::Failure};
use crate::{Error, ErrorKind, Result, refusal};
use rusqlite::{Connection, InterruptHandle};
use std::{
    fs::{File, OpenOptions, remove_file},
    io::{Error as IoError, ErrorKind as IoErrorKind},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{sync::oneshot, task::spawn_blocking};

/// Writes the store at `from` to the new file `to`. The copy is of the next epoch: whoever reads it
/// later in the place of the original may know places that it has not.
pub(super) async fn write(from: &Arc<Path>, to: &Path) -> Result<()> {
    let (from, to) = (Arc::clone(from), to.to_owned());
    let (started, interrupt) = oneshot::channel();
    let (reply, answer) = oneshot::channel();
    spawn_blocking(move || {
        let file = match create(&to) {
            Ok(()) => Unfinished(Some(to.clone())),
            Err(error) => return drop(reply.send(Err(error))),
        };
        let done = copy(&from, &to, started).and_then(|()| Ok(sync(&to)?));
        let is_done = done.is_ok();
        let told = reply.send(done.map_err(|failure| failure.into_error("back up", &from)));
        if is_done && told.is_ok() {
            file.keep();
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

/// A file that goes, unless it is kept.
struct Unfinished(Option<PathBuf>);

impl Unfinished {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = remove_file(path);
        }
    }
}

fn create(to: &Path) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    made.map(drop).map_err(|error| {
        let kind = match error.kind() {
            IoErrorKind::AlreadyExists => ErrorKind::Invalid,
            IoErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        Error::new(kind, format!("cannot make the backup {}", to.display())).with_source(error)
    })
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
