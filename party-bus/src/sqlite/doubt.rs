//! What a failed sync leaves behind.

use super::{failure::Failure, open::beside};
use crate::{Error, ErrorKind};
use rusqlite::{Connection, Transaction, TransactionBehavior, ffi::SQLITE_IOERR_FSYNC};
use std::{
    fs::OpenOptions,
    io::{self, ErrorKind as IoErrorKind},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// How much of the log is written at once.
const PART: usize = 1 << 20;

/// Whether a sync of the log has failed, and the log was not written again since.
///
/// Systems take what they could not write for written, so that the next sync succeeds without it. Then
/// a batch that is synced later would stand behind a hole, and be lost with it when the power fails.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubt(Arc<AtomicBool>);

impl Doubt {
    /// Looks whether `error` is one of a sync.
    pub(super) fn note(&self, error: &rusqlite::Error) {
        if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_FSYNC) {
            self.raise();
        }
    }

    /// A sync may have failed.
    pub(super) fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Writes the log again where it is in doubt.
    pub(super) fn settle(&self, conn: &Connection, path: &Path) -> Result<(), Failure> {
        if !self.0.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let settled = rewrite_alone(conn, path);
        if settled.is_err() {
            self.raise();
        }
        settled
    }
}

fn rewrite_alone(conn: &Connection, path: &Path) -> Result<(), Failure> {
    // Nobody else writes meanwhile.
    let _lock = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    rewrite(&beside(path, "-wal")).map_err(|error| {
        Error::new(ErrorKind::Io, format!("cannot write the log of {} again", path.display()))
            .with_source(error)
            .into()
    })
}

/// Writes what is in a file once more, and syncs it. SQLite has no locks on its log that closing it here
/// would drop.
fn rewrite(log: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(log) {
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let (mut part, mut at) = (vec![0; PART], 0);
    loop {
        let len = file.read_at(&mut part, at)?;
        if len == 0 {
            return file.sync_data();
        }
        file.write_all_at(&part[..len], at)?;
        at += len as u64;
    }
}
