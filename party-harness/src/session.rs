//! What the sessions of all adapters have: a life in which one turn runs at a time, and what a host holds
//! of a turn.

use crate::{
    Answer, Close, Error, ErrorKind, Health, RequestId, Result, Steered, Turn, TurnControl, TurnEvent,
};
use async_trait::async_trait;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// How many events may wait for their reader.
const EVENTS: usize = 64;

/// How many messages and answers to a running turn may wait for it.
const COMMANDS: usize = 16;

/// From a session's opening to its close.
#[derive(Debug, Default)]
pub(crate) struct Life {
    busy: AtomicBool,
    /// What runs is to end, in order; nothing more begins.
    pub(crate) stop: CancellationToken,
    /// There is no time to end anything in order.
    pub(crate) kill: CancellationToken,
    work: TaskTracker,
}

impl Life {
    pub(crate) fn health(&self) -> Health {
        match self.busy.load(Ordering::Acquire) {
            _ if self.stop.is_cancelled() => Health::Closed,
            true => Health::Running,
            false => Health::Idle,
        }
    }

    /// Held as long as something runs that a close waits for; none for a session that is closed.
    pub(crate) fn work(&self) -> Result<TaskTrackerToken> {
        let token = self.work.token();
        if self.stop.is_cancelled() { Err(closed()) } else { Ok(token) }
    }

    /// Ends what runs, and waits until all of it is gone.
    pub(crate) async fn end(&self, how: Close) {
        if matches!(how, Close::Now) {
            self.kill.cancel();
        }
        self.stop.cancel();
        self.work.close();
        self.work.wait().await;
    }
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the runtime session was closed")
}

/// The right to run the session's one turn.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Life>);

impl Busy {
    pub(crate) fn take(life: &Arc<Life>) -> Result<Self> {
        if life.stop.is_cancelled() {
            return Err(closed());
        }
        if life.busy.swap(true, Ordering::AcqRel) {
            return Err(Error::new(ErrorKind::Busy, "a turn runs already in this runtime session"));
        }
        Ok(Self(Arc::clone(life)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

/// A turn that can be stopped and nothing else, and where its events go.
pub(crate) fn silent_turn(stop: CancellationToken, what: &'static str) -> (mpsc::Sender<TurnEvent>, Turn) {
    let (sender, events) = events();
    (sender, Turn::new(events, Arc::new(Stop { stop, what })))
}

/// A turn that takes messages and answers, where its events go, and what its host tells it.
pub(crate) fn told_turn(stop: CancellationToken) -> (mpsc::Sender<TurnEvent>, mpsc::Receiver<Command>, Turn) {
    let (sender, events) = events();
    let (commands, told) = mpsc::channel(COMMANDS);
    (sender, told, Turn::new(events, Arc::new(Control { commands, stop })))
}

fn events() -> (mpsc::Sender<TurnEvent>, BoxStream<'static, TurnEvent>) {
    let (sender, receiver) = mpsc::channel(EVENTS);
    let events = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    (sender, events.boxed())
}

#[derive(Debug)]
struct Stop {
    stop: CancellationToken,
    /// What takes no messages, for the error.
    what: &'static str,
}

#[async_trait]
impl TurnControl for Stop {
    async fn steer(&self, _: String) -> Result<Steered> {
        let context = format!("{} takes no message while it runs", self.what);
        Err(Error::new(ErrorKind::Unsupported, context))
    }

    async fn answer(&self, _: RequestId, _: Answer) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, format!("{} asks nothing", self.what)))
    }

    async fn interrupt(&self) -> Result<()> {
        self.stop.cancel();
        Ok(())
    }
}

/// What a running turn is told.
#[derive(Debug)]
pub(crate) enum Command {
    Steer(String, oneshot::Sender<Result<Steered>>),
    Answer(RequestId, Answer),
}

#[derive(Debug)]
struct Control {
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
}

#[async_trait]
impl TurnControl for Control {
    async fn steer(&self, text: String) -> Result<Steered> {
        if text.trim().is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "there is nothing to tell the agent"));
        }
        let (reply, replied) = oneshot::channel();
        // A turn that is over hears nothing any more.
        if self.commands.send(Command::Steer(text, reply)).await.is_err() {
            return Ok(Steered::TooLate);
        }
        replied.await.unwrap_or(Ok(Steered::TooLate))
    }

    async fn answer(&self, request: RequestId, answer: Answer) -> Result<()> {
        let _ = self.commands.send(Command::Answer(request, answer)).await;
        Ok(())
    }

    async fn interrupt(&self) -> Result<()> {
        self.stop.cancel();
        Ok(())
    }
}
