//! The process itself, from its start until nothing of it is left.

use crate::process::{Patience, Running, code_and_signal, ladder};
use rustix::process::Signal;
use std::{io, process::ExitStatus};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};

#[derive(Debug)]
pub(super) struct Child {
    state: State,
    /// Whether it was made to end.
    forced: bool,
    exit: Option<io::Result<ExitStatus>>,
}

/// The token is what the session's end waits for; it waits for no reader of events.
#[derive(Debug)]
enum State {
    Running(Box<Running>, TaskTrackerToken),
    /// What outlived it is ended.
    Settling(JoinHandle<()>),
    Gone,
}

impl Child {
    pub(super) fn new(running: Running, token: TaskTrackerToken) -> Self {
        Self { state: State::Running(Box::new(running), token), forced: false, exit: None }
    }

    pub(super) const fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    /// Waits for the exit. Safe to cancel.
    pub(super) async fn exited(&mut self) {
        if let State::Running(running, _) = &mut self.state {
            let exit = running.wait().await;
            self.settle(exit);
        }
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        if let State::Running(running, _) = &self.state {
            self.forced = true;
            running.signal(signal);
        }
    }

    /// Ends it at once. It does nothing more from now on: the walk over all of its processes takes
    /// longer than a call of a model.
    pub(super) async fn kill(&mut self) {
        self.signal(Signal::STOP);
        if let State::Running(running, _) = &mut self.state {
            let exit = running.kill().await;
            self.settle(exit);
        }
    }

    /// Waits until it has gone by itself, as it was asked to, and ends it where it does not, or `now`.
    pub(super) async fn end(&mut self, patience: Patience, now: &CancellationToken) {
        let in_order = async {
            if timeout(patience.exit, self.exited()).await.is_err() {
                self.climb(patience).await;
            }
        };
        tokio::select! {
            biased;
            () = now.cancelled() => {}
            () = in_order => return,
        }
        self.kill().await;
    }

    async fn climb(&mut self, patience: Patience) {
        self.forced = true;
        if let State::Running(running, _) = &mut self.state {
            let exit = ladder(running, patience.rung).await;
            self.settle(exit);
        }
    }

    /// Waits until nothing of it is left, and says how it ended.
    pub(super) async fn settled(mut self) -> (Option<i32>, Option<i32>) {
        self.exited().await;
        if let State::Settling(settling) = self.state {
            let _ = settling.await;
        }
        code_and_signal(&self.exit.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())))
    }

    /// Whatever outlives a process that did not end by itself is ended.
    fn settle(&mut self, exit: io::Result<ExitStatus>) {
        let State::Running(running, token) = std::mem::replace(&mut self.state, State::Gone) else { return };
        let sweeps = self.forced || code_and_signal(&exit).1.is_some();
        self.exit = Some(exit);
        self.state = State::Settling(tokio::spawn(async move {
            if sweeps {
                running.sweep().await;
            } else {
                running.gone();
            }
            drop(token);
        }));
    }
}
