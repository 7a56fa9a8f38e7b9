//! A process from its start to its end.

use super::{
    PATIENCE, Pipes, Start, lock,
    program::refused,
    spawner::{self, Order},
    tree,
    tree::Process,
};
use crate::{Error, ErrorKind, Result};
use rustix::process::Signal;
use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    process::Child,
    runtime::Handle,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

/// A running process. Dropping it kills all that belongs to it.
#[derive(Debug)]
pub(crate) struct Running(Option<Tree>);

/// A process with what belongs to it.
#[derive(Debug)]
struct Tree {
    child: Child,
    root: Option<Process>,
    /// What was seen of the tree; a child whose parent is gone may have no other trace.
    seen: Vec<Process>,
    marker: (String, String),
    /// Held until nothing of the tree runs.
    lock: Option<lock::Guard>,
}

impl Running {
    /// Starts a process; a lock names it, and is held until all that belongs to it is gone. Safe to
    /// cancel: what was started by then is killed.
    pub(crate) async fn start(start: &Start<'_>, lock: Option<lock::Guard>) -> Result<(Self, Pipes)> {
        Self::start_to_die_of(start, lock, spawner::TERM).await
    }

    /// The same, of a process that goes on with its work at SIGTERM: it is killed with its host.
    pub(crate) async fn start_with_host(
        start: &Start<'_>,
        lock: Option<lock::Guard>,
    ) -> Result<(Self, Pipes)> {
        Self::start_to_die_of(start, lock, spawner::KILL).await
    }

    async fn start_to_die_of(
        start: &Start<'_>,
        lock: Option<lock::Guard>,
        signal: &'static str,
    ) -> Result<(Self, Pipes)> {
        let (runtime, order) = (Handle::current(), Order::new(start, signal));
        let (name, install, marker) = (start.name.to_owned(), start.install.to_owned(), start.marker.clone());
        let started = spawner::run(move || {
            let _within = runtime.enter();
            let child = order.spawn().map_err(|error| refused(order.program(), &install, error))?;
            Self::new(&name, child, marker, lock)
        });
        let failed = |error| Error::new(ErrorKind::Io, "no process can be started").with_source(error);
        started.await.map_err(|error: io::Error| failed(error))?
    }

    fn new(
        name: &str,
        mut child: Child,
        marker: (String, String),
        lock: Option<lock::Guard>,
    ) -> Result<(Self, Pipes)> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let root = child.id().and_then(|pid| Process::with_pid(i32::try_from(pid).ok()?));
        let mut running = Self(Some(Tree { child, root, seen: Vec::new(), marker, lock }));
        if let Some(Tree { lock: Some(lock), root, marker, .. }) = &mut running.0 {
            lock.name(*root, marker)?;
        }
        match pipes {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((running, Pipes { stdin, stdout, stderr })),
            _ => Err(Error::new(ErrorKind::Io, format!("{name} was started without its pipes"))),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(root) = self.0.as_ref().and_then(|tree| tree.root) {
            root.signal(signal);
        }
    }

    /// Kills the whole tree at once, and waits for the exit; what cannot be killed is given up on.
    pub(crate) async fn kill(&mut self) -> io::Result<ExitStatus> {
        // It does nothing more and starts nothing more while its tree is looked at.
        self.signal(Signal::STOP);
        self.look().await;
        if let Some(tree) = &mut self.0 {
            tree.seen.iter().for_each(|process| process.signal(Signal::KILL));
            // Where there is no `/proc`, this is all that can be reached.
            let _ = tree.child.start_kill();
        }
        timeout_at(Instant::now() + PATIENCE, self.wait()).await?
    }

    /// Takes note of the tree before something of it dies: a dead parent's children are nobody's.
    async fn look(&mut self) {
        let Some(tree) = &mut self.0 else { return };
        let (roots, marker) = (tree.roots(), tree.marker.clone());
        if let Ok(living) = spawn_blocking(move || tree::living(&roots, &marker)).await {
            tree.seen = living;
        }
    }

    /// Waits for the exit, and reaps it. Safe to call again after a cancelled wait.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match &mut self.0 {
            Some(tree) => tree.child.wait().await,
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Ends what outlived a process that is gone. One that ended in order (`!forced`) and had no tools
    /// of its own starts nothing that stays, unless its pipes are not `released`: who still holds them
    /// was left behind. Safe to cancel: the end goes on by itself.
    pub(crate) async fn finish(
        self,
        exit: &io::Result<ExitStatus>,
        forced: bool,
        own_tools: bool,
        released: impl Future<Output = bool>,
    ) {
        let in_order = !forced && exit.as_ref().is_ok_and(|exit| exit.signal().is_none());
        if in_order && !own_tools && released.await {
            self.gone();
        } else {
            self.sweep().await;
        }
    }

    /// Ends what outlived the process. Safe to cancel: it goes on by itself.
    pub(super) async fn sweep(mut self) {
        let swept = spawn_blocking(move || self.0.take().is_none_or(Tree::end)).await;
        if !matches!(swept, Ok(true)) {
            tracing::warn!("processes of a runtime could not be ended");
        }
    }

    /// A process that ended by itself and in order leaves nothing.
    pub(super) fn gone(mut self) {
        self.0 = None;
    }
}

impl Tree {
    fn roots(&self) -> Vec<Process> {
        self.root.into_iter().chain(self.seen.iter().copied()).collect()
    }

    /// Kills and reaps, and lets go of the lock; blocks. Says whether all is gone.
    fn end(mut self) -> bool {
        let ended = tree::kill(&self.roots(), &self.marker, PATIENCE);
        let _ = self.child.start_kill();
        let end = std::time::Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(lock) = self.lock.take().filter(|_| !ended) {
            lock.leave();
        }
        ended
    }
}

/// When nobody waits any more, a thread of its own kills and reaps: the runtime may be gone too.
impl Drop for Running {
    fn drop(&mut self) {
        let Some(tree) = self.0.take() else { return };
        let tree = Arc::new(Mutex::new(Some(tree)));
        let end = |tree: &Mutex<Option<Tree>>| {
            let tree = tree.lock().ok().and_then(|mut tree| tree.take());
            tree.map(Tree::end);
        };
        let other = Arc::clone(&tree);
        let thread = std::thread::Builder::new().name("runtime-end".to_owned());
        if thread.spawn(move || end(&other)).is_err() {
            end(&tree);
        }
    }
}

/// Asks a process to end, ever less kindly, until it does.
pub(crate) async fn ladder(running: &mut Running, rung: Duration) -> io::Result<ExitStatus> {
    running.look().await;
    for signal in [Signal::INT, Signal::TERM] {
        running.signal(signal);
        if let Ok(exit) = timeout_at(Instant::now() + rung, running.wait()).await {
            return exit;
        }
    }
    running.kill().await
}

/// Exit code and signal of an ended process.
pub(crate) fn code_and_signal(exit: &io::Result<ExitStatus>) -> (Option<i32>, Option<i32>) {
    exit.as_ref().map_or((None, None), |exit| (exit.code(), exit.signal()))
}
