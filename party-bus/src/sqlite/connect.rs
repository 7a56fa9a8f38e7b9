//! Connections, and how they wait for each other.

use rusqlite::{Connection, OpenFlags};
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
