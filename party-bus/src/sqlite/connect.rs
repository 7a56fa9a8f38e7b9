//! Connections, and how they wait for each other.

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::{
    cell::Cell,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// How long a connection waits for another process's write before the call fails as busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a file that exists.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    conn.busy_handler(Some(wait as fn(i32) -> bool))?;
    conn.set_prepared_statement_cache_capacity(64);
    // Else SQLite plans for the values that are bound, and each use of a kept statement whose plan may
    // depend on one, such as on a limit, prepares it anew.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A mapped file turns an I/O error into a signal, and a stray write into corruption.
    conn.pragma_update(None, "mmap_size", 0)?;
    Ok(conn)
}

/// Sleeps a little before the next try; false once patience is over. SQLite's own back-off grows
/// to 100 ms and starves the unlucky of two busy writers; short equal sleeps share evenly.
fn wait(tries: i32) -> bool {
    thread_local!(static SINCE: Cell<Option<Instant>> = const { Cell::new(None) });
    let since = match SINCE.get() {
        Some(since) if tries > 0 => since,
        _ => Instant::now(),
    };
    SINCE.set(Some(since));
    let jitter = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos() / 100 % 200;
    std::thread::sleep(Duration::from_micros(100 + u64::from(jitter)));
    since.elapsed() < PATIENCE
}

/// Repeats what SQLite refuses as busy without asking the busy handler.
pub(super) fn patiently<T>(mut call: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    for tries in 0.. {
        match call() {
            Err(error) if super::failure::kind(&error) == crate::ErrorKind::Busy && wait(tries) => {}
            done => return done,
        }
    }
    call()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    #[test]
    fn a_kept_statement_is_prepared_once_whatever_is_bound() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let conn = connect(file.path()).unwrap();
        conn.execute_batch("CREATE TABLE some (a INTEGER, b BLOB, UNIQUE (a, b))").unwrap();
        for value in [0, 1, 7, 1, 0] {
            let mut find = conn.prepare_cached("SELECT b FROM some WHERE a = ?1 LIMIT ?2").unwrap();
            assert!(find.query([value, 5]).unwrap().next().unwrap().is_none());
            assert_eq!(find.get_status(StatementStatus::RePrepare), 0);
        }
    }
}
