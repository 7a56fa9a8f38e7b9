//! The thread that waits for other processes' commits while somebody listens.

use super::{
    Bell, Duty,
    ear::{Ear, Heard},
};
use crate::sqlite::{connect::connect, read, standing::Standing};
use rusqlite::Connection;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    io,
    os::fd::AsFd as _,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often the store is asked where rings cannot be heard.
const POLL: Duration = Duration::from_millis(25);

pub(super) struct Watcher {
    bell: Arc<Bell>,
    store: Arc<Path>,
    standing: Standing,
    /// How often the store is asked where rings are heard.
    sweep: Duration,
    ear: Option<Ear>,
    conn: Option<Connection>,
    /// The version at the last sweep.
    seen: Option<i64>,
    /// How often something was erased or pruned, at the last look.
    cared: Option<i64>,
}

/// What ended a wait.
enum Woken {
    Stirred,
    Rung,
    Late,
}

impl Watcher {
    pub(super) fn start(
        bell: Arc<Bell>,
        store: Arc<Path>,
        standing: Standing,
        sweep: Duration,
    ) -> io::Result<JoinHandle<()>> {
        let watcher = Self { bell, store, standing, sweep, ear: None, conn: None, seen: None, cared: None };
        thread::Builder::new().name("party-bus-bell".into()).spawn(move || watcher.run())
    }

    fn run(mut self) {
        loop {
            match self.bell.duty() {
                Duty::End => return,
                Duty::Sleep => {
                    // What is missed from now on shows in the version.
                    self.ear = None;
                    self.wait(None);
                }
                Duty::Watch => {
                    self.prick_up();
                    self.sweep();
                    self.attend();
                }
            }
        }
    }

    /// Sees to it that rings are heard, if that can be. A sweep has to follow, for those before.
    fn prick_up(&mut self) {
        if !self.ear.as_ref().is_some_and(|ear| ear.is_at(&self.bell.path)) {
            self.ear = Ear::open(&self.bell.path).ok();
        }
    }

    /// Rings where another connection has changed the file since the last sweep.
    fn sweep(&mut self) {
        self.bell.sweeps.fetch_add(1, Ordering::Relaxed);
        // Those who wait meet the trouble themselves, with a call to report it from.
        let version = self.standing.check().ok().and_then(|()| self.data_version().ok());
        if version.is_none() || version != self.seen {
            self.seen = version;
            self.note_care();
            self.bell.ring_for_another();
        }
    }

    /// A number that differs from the last one where another connection has committed in between.
    fn data_version(&mut self) -> rusqlite::Result<i64> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => connect(&self.store)?,
        };
        let version = conn.pragma_query_value(None, "data_version", |row| row.get(0))?;
        self.conn = Some(conn);
        Ok(version)
    }

    /// Passes rings on until the next sweep is due, which is at once where something is unclear.
    fn attend(&mut self) {
        let period = if self.ear.is_some() { self.sweep } else { POLL };
        let due = Instant::now() + period;
        while let Woken::Rung = self.wait(Some(due.saturating_duration_since(Instant::now()))) {
            match self.ear.as_ref().map(|ear| ear.hear(self.bell.mark)) {
                Some(Heard::Own) => {}
                Some(Heard::Other) => self.pass_on(),
                Some(Heard::Unsure) | None => {
                    self.ear = None;
                    return;
                }
            }
        }
    }

    /// Lets go of what is kept in memory where another process has erased or pruned something.
    fn note_care(&mut self) {
        let cared = |conn: &Connection| {
            conn.prepare_cached("SELECT cared FROM store")?.query_row([], |row| row.get(0))
        };
        let cared = self.conn.as_ref().and_then(|conn| cared(conn).ok());
        if cared.is_none() || cared != self.cared {
            self.cared = cared;
            self.bell.tail.forget();
        }
    }

    /// Reads for those who follow, so that they need not go to the store one after the other; what is
    /// not read so is doubted.
    fn pass_on(&mut self) {
        self.note_care();
        let conn = self.conn.as_ref();
        let read = |wanted| read::records(&*conn?.unchecked_transaction().ok()?, &wanted).ok();
        match self.bell.tail.read_ahead(read) {
            true => self.bell.ring(),
            false => self.bell.ring_for_another(),
        }
    }

    /// Waits to be stirred, or for a ring where there is an ear.
    fn wait(&self, patience: Option<Duration>) -> Woken {
        let patience = patience.and_then(|time| Timespec::try_from(time).ok());
        let mut fds = vec![self.bell.stir.0.as_fd()];
        fds.extend(self.ear.as_ref().map(Ear::fd));
        let mut fds: Vec<_> = fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut fds, patience.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Woken::Late,
            Ok(_) if fds[0].revents().is_empty() => Woken::Rung,
            Ok(_) => {
                self.bell.stirred();
                Woken::Stirred
            }
            Err(_) => {
                // The system is out of memory: no reason to keep it busy.
                thread::sleep(POLL);
                Woken::Late
            }
        }
    }
}
