//! The process itself, from its start until nothing of it is left.

use crate::{
    claude_code::run::DRAIN,
    process::{Patience, Running, code_and_signal, ladder},
};
use rustix::process::Signal;
use std::{io, process::ExitStatus};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};

#[derive(Debug)]
pub(super) struct Child {
    state: State,
    /// Whether it was made to end.
    forced: bool,
    own_tools: bool,
    released: Released,
    exit: Option<(Option<i32>, Option<i32>)>,
}

/// The ends of its output and of its complaints, once nobody holds them any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Released {
    pub(super) stdout: CancellationToken,
    pub(super) stderr: CancellationToken,
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
    pub(super) fn new(
        running: Running,
        token: TaskTrackerToken,
        own_tools: bool,
        released: Released,
    ) -> Self {
        let state = State::Running(Box::new(running), token);
        Self { state, forced: false, own_tools, released, exit: None }
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
        self.exit.unwrap_or_default()
    }

    /// Whatever was left behind is ended.
    fn settle(&mut self, exit: io::Result<ExitStatus>) {
        let State::Running(running, token) = std::mem::replace(&mut self.state, State::Gone) else { return };
        let (forced, own_tools, released) = (self.forced, self.own_tools, self.released.clone());
        self.exit = Some(code_and_signal(&exit));
        self.state = State::Settling(tokio::spawn(async move {
            let ends = async { tokio::join!(released.stdout.cancelled(), released.stderr.cancelled()) };
            let released = async { timeout(DRAIN, ends).await.is_ok() };
            running.finish(&exit, forced, own_tools, released).await;
            drop(token);
        }));
    }
}
