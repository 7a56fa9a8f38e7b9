//! Wakes those who wait for records, at once: this process's through a channel, another's through a
//! file beside the store that each commit writes to. All of it is a hint: who is woken reads the
//! store, and who is not is found by a sweep.

mod door;
#[cfg_attr(not(target_os = "linux"), path = "no_ear.rs")]
mod ear;
#[cfg(test)]
mod tests;
mod watcher;

use super::{open::beside, standing::Standing};
use crate::{Error, ErrorKind, Result, tail::Tail};
use door::{Door, Mark};
use std::{
    hash::{BuildHasher as _, RandomState},
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    mem,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::watch;
use watcher::Watcher;

/// How soon a commit is seen whose ring was lost.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Bell {
    rung: watch::Sender<()>,
    /// What those have who follow sessions.
    pub(in crate::sqlite) tail: Tail,
    state: Mutex<State>,
    /// A byte in it wakes the watcher, which waits for files.
    stir: (PipeReader, PipeWriter),
    /// Where the file is.
    path: PathBuf,
    /// What this store's commits leave in it.
    mark: Mark,
    sweeps: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    /// Whether the watcher is to be stirred for the next listener.
    asleep: bool,
    closed: bool,
}

/// What the watcher has to do.
enum Duty {
    Watch,
    Sleep,
    End,
}

impl Bell {
    /// The bell of the store at `store`.
    pub(super) fn new(store: &Path) -> Result<Arc<Self>> {
        let stir =
            io::pipe().map_err(|error| Error::new(ErrorKind::Io, "cannot make a pipe").with_source(error))?;
        Ok(Arc::new(Self {
            rung: watch::Sender::new(()),
            tail: Tail::new(),
            state: Mutex::default(),
            stir,
            path: beside(store, ".bell"),
            mark: RandomState::new().hash_one(store).to_ne_bytes(),
            sweeps: AtomicU64::new(0),
        }))
    }

    /// Says to this process that something may have changed.
    fn ring(&self) {
        self.rung.send_replace(());
    }

    /// Says the same where another process may have done it.
    fn ring_for_another(&self) {
        self.tail.doubt();
        self.ring();
    }

    /// Hears every ring from now on; while it lives, other processes are watched.
    pub(super) fn listen(&self) -> Listener<'_> {
        let mut state = self.state();
        state.waiting += 1;
        if mem::take(&mut state.asleep) {
            self.stir();
        }
        Listener { bell: self, rung: self.rung.subscribe() }
    }

    /// Ends the watcher and wakes all who wait.
    pub(super) fn close(&self) {
        if !mem::replace(&mut self.state().closed, true) {
            self.stir();
        }
        self.tail.close();
        self.ring();
    }

    /// How often the store was asked whether it has changed.
    pub(super) fn sweeps(&self) -> u64 {
        self.sweeps.load(Ordering::Relaxed)
    }

    /// Starts the thread that rings when another process has, until the bell is closed.
    pub(super) fn watch(self: &Arc<Self>, store: Arc<Path>, standing: Standing) -> Result<JoinHandle<()>> {
        Watcher::start(Arc::clone(self), store, standing, SWEEP)
            .map_err(|error| Error::new(ErrorKind::Io, "cannot start a thread").with_source(error))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the watcher. Few bytes are ever under way, so the pipe takes them at once.
    fn stir(&self) {
        let _ = (&self.stir.1).write(&[0]);
    }

    /// Takes notice of a byte that is there.
    fn stirred(&self) {
        let _ = (&self.stir.0).read(&mut [0]);
    }

    /// What the watcher has to do now; it will be stirred when that ceases to be sleep.
    fn duty(&self) -> Duty {
        let mut state = self.state();
        if state.closed {
            return Duty::End;
        }
        state.asleep = state.waiting == 0;
        if state.asleep { Duty::Sleep } else { Duty::Watch }
    }
}

/// The writer's end.
pub(super) struct Ringer {
    bell: Arc<Bell>,
    door: Option<Door>,
}

impl Ringer {
    pub(super) const fn new(bell: Arc<Bell>) -> Self {
        Self { bell, door: None }
    }

    /// What those have who follow sessions.
    pub(super) fn tail(&self) -> &Tail {
        &self.bell.tail
    }

    /// Says to all processes that a commit is visible. This one comes last: a watcher that finds its
    /// own mark relies on its listeners being woken after every ring that the mark has replaced.
    pub(super) fn ring(&mut self) {
        if !self.door.as_ref().is_some_and(|door| door.stands_at(&self.bell.path)) {
            self.door = Door::open(&self.bell.path).ok();
        }
        if let Some(door) = &self.door {
            if !door.was_rung_by(self.bell.mark) {
                // This ring replaces another process's, which the watcher may not have heard.
                self.bell.tail.forget();
            }
            // Without it others have to sweep, which is no reason to fail a commit.
            let _ = door.ring(self.bell.mark);
        }
        self.bell.ring();
    }
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
