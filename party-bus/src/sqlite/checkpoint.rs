//! Moves what the log holds into the file, beside the writing: no commit waits for it.
//!
//! SQLite begins its log anew once all of it is in the file and nobody reads from it. Under writing
//! without a pause the thread here never gets to the very end of it; then the writer moves the last
//! pages itself, between two groups. While somebody stays in a read the log has to grow; it is cut
//! back once it begins anew.

use super::{connect::connect, doubt::Doubt};
use crate::{Error, ErrorKind, Result};
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

/// Pages of the log that are moved together: 20 MiB. After a crash, all of the log is read once.
const SPAN: i64 = 2_500;
/// So few pages the writer moves itself, while nothing waits for it.
const FEW: i64 = 128;
/// A log of so many pages, 256 MiB, has to begin anew: then the writer moves more than a few.
const MOST: i64 = 32_000;
/// But not more than so many: nothing is written meanwhile.
const REST: i64 = 4_000;
/// The log's file keeps so much once it begins anew.
const KEPT_BYTES: i64 = 64 << 20;

pub(super) struct Checkpoints {
    start: SyncSender<()>,
    thread: JoinHandle<()>,
    /// About how long the log is: to ask takes longer than to begin a transaction.
    about: i64,
    /// How long the log was when the thread was last called.
    called_at: i64,
    doubt: Doubt,
}

impl Checkpoints {
    pub(super) fn start(path: Arc<Path>, doubt: Doubt) -> Result<Self> {
        let (start, calls) = sync_channel(1);
        let mover = thread::Builder::new().name("party-bus-move".into()).spawn({
            let doubt = doubt.clone();
            move || run(&path, &calls, &doubt)
        });
        let thread =
            mover.map_err(|error| Error::new(ErrorKind::Io, "cannot start a thread").with_source(error))?;
        // What a process before has left in it nobody knows yet.
        Ok(Self { start, thread, about: SPAN, called_at: 0, doubt })
    }

    /// Sees after a commit of about `more` pages whether the log is long. Trouble is left to those who write
    /// and read.
    pub(super) fn look(&mut self, conn: &Connection, more: i64, is_idle: bool) {
        self.about = self.about.saturating_add(more);
        if self.about < SPAN {
            return;
        }
        let Ok((pages, moved)) = checkpoint(conn, "NOOP") else { return };
        let left = pages - moved;
        self.about = pages;
        if pages < self.called_at {
            // It began anew.
            self.called_at = 0;
        }
        let is_little = is_idle && left <= FEW || pages >= MOST && left <= REST;
        if pages < SPAN || left == 0 {
            return;
        }
        if is_little {
            if let Err(error) = checkpoint(conn, "PASSIVE") {
                self.doubt.note(&error);
            }
        } else if pages >= self.called_at + SPAN && self.start.try_send(()).is_ok() {
            self.called_at = pages;
        }
    }

    /// Ends the thread, once it has done what it is about.
    pub(super) fn end(self) {
        drop(self.start);
        // One that panicked has nothing more to say.
        let _ = self.thread.join();
    }
}

/// How the writer's connection leaves the log to this module.
pub(super) fn configure(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", KEPT_BYTES, |_| Ok(()))
}

fn run(path: &Path, calls: &Receiver<()>, doubt: &Doubt) {
    let mut conn = None;
    while calls.recv().is_ok() {
        if let Err(error) = run_once(&mut conn, path) {
            // The next call tries again, with a new connection.
            conn = None;
            doubt.note(&error);
            tracing::warn!(%error, "the log of {} is not moved into it", path.display());
        }
    }
}

/// Moves, and then what was written meanwhile.
fn run_once(conn: &mut Option<Connection>, path: &Path) -> rusqlite::Result<()> {
    let conn = match conn {
        Some(conn) => conn,
        None => conn.insert(connect(path)?),
    };
    checkpoint(conn, "PASSIVE")?;
    checkpoint(conn, "PASSIVE").map(drop)
}

/// How many pages the log has, and how many of them are in the file.
fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    let mut checkpoint = conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    checkpoint.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}
