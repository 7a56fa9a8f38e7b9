//! Wakes those who wait for records: at once for this process's, soon for another's.

use super::connect::connect;
use crate::{Error, ErrorKind, Result, tail::Tail};
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::watch;

/// How soon another process's records are seen, at the latest, on an idle machine.
const SWEEP: Duration = Duration::from_millis(25);

#[derive(Debug)]
pub(super) struct Bell {
    rung: watch::Sender<()>,
    /// What those have who follow sessions.
    pub(super) tail: Tail,
    state: Mutex<State>,
    /// Wakes the sweeper.
    stirred: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    closed: bool,
}

impl Bell {
    pub(super) fn new() -> Arc<Self> {
        let rung = watch::Sender::new(());
        Arc::new(Self { rung, tail: Tail::new(), state: Mutex::default(), stirred: Condvar::new() })
    }

    /// Says that something may have changed.
    pub(super) fn ring(&self) {
        self.rung.send_replace(());
    }

    /// Hears every ring from now on; while it lives the file is watched for other processes.
    pub(super) fn listen(&self) -> Listener<'_> {
        let mut state = self.state();
        state.waiting += 1;
        if state.waiting == 1 {
            self.stirred.notify_one();
        }
        drop(state);
        Listener { bell: self, rung: self.rung.subscribe() }
    }

    /// Ends the sweeper and wakes all who wait.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.stirred.notify_one();
        self.tail.close();
        self.ring();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next sweep, which is never while nobody listens; false once closed.
    fn next_sweep(&self) -> bool {
        let idle = |state: &mut State| state.waiting == 0 && !state.closed;
        let state = self.stirred.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        let open = |state: &mut State| !state.closed;
        let pause = self.stirred.wait_timeout_while(state, SWEEP, open);
        let (state, _) = pause.unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    /// Rings whenever another connection has changed the file, until the bell is closed.
    pub(super) fn sweep(self: &Arc<Self>, path: Arc<Path>) -> Result<JoinHandle<()>> {
        let bell = Arc::clone(self);
        let sweeper = thread::Builder::new().name("party-bus-sweep".into()).spawn(move || {
            let (mut conn, mut seen) = (None, None);
            while bell.next_sweep() {
                // Those who wait meet the trouble themselves, with a call to report it from.
                let version = data_version(&mut conn, &path).ok();
                if version.is_none() || version != seen {
                    seen = version;
                    bell.tail.doubt();
                    bell.ring();
                }
            }
        });
        sweeper.map_err(|error| Error::new(ErrorKind::Io, "cannot start a thread").with_source(error))
    }
}

/// A number that differs from the last one where another connection has committed in between.
fn data_version(conn: &mut Option<Connection>, path: &Path) -> rusqlite::Result<i64> {
    let current = match conn.take() {
        Some(conn) => conn,
        None => connect(path)?,
    };
    let version = current.pragma_query_value(None, "data_version", |row| row.get(0))?;
    *conn = Some(current);
    Ok(version)
}

pub(super) struct Listener<'a> {
    bell: &'a Bell,
    rung: watch::Receiver<()>,
}

impl Listener<'_> {
    /// Waits for a ring since the last one heard. Cancel-safe.
    pub(super) async fn heard(&mut self) {
        // The bell outlives its listener, so the sender is there.
        let _ = self.rung.changed().await;
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.bell.state().waiting -= 1;
    }
}
