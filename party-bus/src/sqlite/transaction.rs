//! Transactions: how they begin, what they promise, and pieces of work inside them.

use super::failure::Failure;
use crate::{Result, process};
use rusqlite::Connection;
use std::path::Path;

/// Does `work` in a synced transaction, after which nothing of what it removed is left in the pages that
/// it changed.
pub(super) fn alone<T>(
    conn: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    conn.pragma_update(None, "secure_delete", true)?;
    begin(conn, &mut Syncs::default(), true)?;
    let done = work(conn).and_then(|done| {
        execute(conn, "COMMIT")?;
        Ok(done)
    });
    if done.as_ref().is_err_and(|failure| !failure.is_fatal()) {
        execute(conn, "ROLLBACK")?;
    }
    conn.pragma_update(None, "secure_delete", false)?;
    done
}

/// Whether the commits of a connection are synced, as far as that is known: to say it takes SQLite longer
/// than to begin a transaction.
#[derive(Debug, Default)]
pub(super) struct Syncs(Option<&'static str>);

impl Syncs {
    fn set(&mut self, conn: &Connection, synchronous: &'static str) -> rusqlite::Result<()> {
        if self.0 == Some(synchronous) {
            return Ok(());
        }
        self.0 = None;
        conn.pragma_update(None, "synchronous", synchronous)?;
        self.0 = Some(synchronous);
        Ok(())
    }
}

/// Begins a transaction whose commit is synced, or not. The first one that is not, since the store
/// was left clean, is synced after all, and notes that from now on something may be lost.
pub(super) fn begin(conn: &Connection, syncs: &mut Syncs, synced: bool) -> Result<bool, Failure> {
    let mut start = |synchronous| -> rusqlite::Result<()> {
        syncs.set(conn, synchronous)?;
        execute(conn, "BEGIN IMMEDIATE")
    };
    if synced {
        start("full")?;
        return Ok(true);
    }
    start("normal")?;
    if !is_clean(conn)? {
        return Ok(false);
    }
    execute(conn, "ROLLBACK")?;
    start("full")?;
    conn.execute("UPDATE store SET clean = 0, boot = ?1", [process::boot()])?;
    Ok(true)
}

pub(super) fn is_clean(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT clean FROM store")?.query_row([], |row| row.get(0))
}

/// Executes a statement that is prepared once.
pub(super) fn execute(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Does one piece of work so that its refusal undoes it alone; fails where the whole transaction is
/// lost.
pub(super) fn guarded<T>(
    conn: &Connection,
    path: &Path,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<Result<T>, Failure> {
    execute(conn, "SAVEPOINT work")?;
    let outcome = match work() {
        Ok(done) => Ok(done),
        Err(failure) if failure.is_fatal() => return Err(failure),
        Err(failure) => {
            execute(conn, "ROLLBACK TO work")?;
            Err(failure.into_error("write to", path))
        }
    };
    execute(conn, "RELEASE work")?;
    Ok(outcome)
}
