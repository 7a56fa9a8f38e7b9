//! The handle of a party.

use crate::{
    Error, ErrorKind, Feed, PartyBuilder, Result,
    driver::Status,
    log::{command, message},
    request::Request,
};
use party_bus::{Bus, BusExt, Follow};
use party_core::{Author, CloseReason, Command, NewRecord, Offset, Permission, SessionId, TurnId, Usd};
use party_formats::Engine;
use std::sync::Arc;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A party: one session with a driver in this process. Dropping it leaves the session resumable.
#[derive(Debug)]
pub struct Party {
    bus: Arc<dyn Bus>,
    session: SessionId,
    author: Author,
    requests: Option<mpsc::WeakSender<Request>>,
    status: watch::Receiver<Status>,
    drain: DropGuard,
    driver: Option<JoinHandle<()>>,
}

impl Party {
    /// Gathers what a party on `bus` needs.
    pub fn builder(bus: Arc<dyn Bus>) -> PartyBuilder {
        PartyBuilder::new(bus)
    }

    pub(crate) fn running(
        bus: Arc<dyn Bus>,
        session: SessionId,
        author: Author,
        requests: mpsc::WeakSender<Request>,
        status: watch::Receiver<Status>,
        drain: CancellationToken,
    ) -> Self {
        Self {
            bus,
            session,
            author,
            requests: Some(requests),
            status,
            drain: drain.drop_guard(),
            driver: None,
        }
    }

    pub(crate) fn driven_by(mut self, driver: JoinHandle<()>) -> Self {
        self.driver = Some(driver);
        self
    }

    /// A handle of a session that is over.
    pub(crate) fn closed(bus: Arc<dyn Bus>, session: SessionId, engine: &Engine) -> Self {
        let status = Status {
            head: engine.head(),
            at_rest: true,
            spent: engine.spent(),
            closed: engine.closed(),
            over: true,
            error: None,
            failing: None,
            state: Some(Arc::new(engine.clone())),
        };
        let author = Author::System;
        let drain = CancellationToken::new().drop_guard();
        Self {
            bus,
            session,
            author,
            requests: None,
            status: watch::Sender::new(status).subscribe(),
            drain,
            driver: None,
        }
    }

    /// The session; by this id it can be resumed.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Everything that is said in the feed, from the first message on. What a seat does not share stays
    /// in its private thread: in a forum that is all but what goes through the `share` tool. The feed of
    /// an open session has no end; [`at_rest`](Self::at_rest) tells when nobody has anything to add.
    pub fn feed(&self) -> Feed {
        Feed::new(Arc::clone(&self.bus), self.records())
    }

    /// All records of the session, from the first on: those that are there, then those that come.
    pub fn records(&self) -> Follow {
        Arc::clone(&self.bus).follow(self.session, Offset::START)
    }

    /// Says something to the party. When this returns, it is stored. Not cancel-safe: dropped, it
    /// may have been said or not.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] where the session is over, [`ErrorKind::Invalid`] for an empty message.
    pub async fn post(&self, text: &str) -> Result<()> {
        if text.trim().is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "the message is empty"));
        }
        self.input(message(&self.author, text)).await
    }

    /// Ends all running turns and closes the session as aborted. What was said is kept.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] where the session is over.
    pub async fn stop(&self) -> Result<()> {
        self.input(command(Command::Stop)).await
    }

    /// Closes the session once it has come to rest; what is said after this is not acted on.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] where the session is over.
    pub async fn close(&self) -> Result<()> {
        self.input(command(Command::Close)).await
    }

    /// Answers what a running turn's runtime asks: one of [`Engine::questions`] of
    /// [`state`](Self::state). When this returns, the answer is stored, and the runtime is told, also
    /// after a crash, as long as the attempt that asked runs. Where the question is not open any more,
    /// the log holds a `refused` record that says so. Not cancel-safe, like [`post`](Self::post).
    ///
    /// Where nobody answers, the turn ends with its timeout.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] where the session is over.
    pub async fn answer(&self, turn: TurnId, request: impl Into<String>, answer: Permission) -> Result<()> {
        self.input(command(Command::Answer { turn, request: request.into(), answer })).await
    }

    async fn input(&self, record: NewRecord) -> Result<()> {
        let over = || Error::new(ErrorKind::Closed, format!("session {} is over", self.session));
        if self.status.borrow().closed.is_some() {
            return Err(over());
        }
        let requests = self.requests.as_ref().and_then(mpsc::WeakSender::upgrade).ok_or_else(over)?;
        let (reply, answer) = oneshot::channel();
        requests.send(Request::Input { record, reply }).await.map_err(|_| over())?;
        answer.await.map_err(|_| over())?
    }

    /// Waits until the session is closed, and says why it is.
    ///
    /// # Errors
    /// What the driver failed with; [`ErrorKind::Closed`] where it was drained.
    pub async fn finished(&self) -> Result<CloseReason> {
        let mut status = self.status.clone();
        let seen = status.wait_for(|status| status.over || status.closed.is_some()).await;
        let seen = seen.map_err(|_| Error::new(ErrorKind::Closed, "the driver is gone"))?.clone();
        if let Some(reason) = seen.closed {
            return Ok(reason);
        }
        Err(seen.error.map_or_else(
            || Error::new(ErrorKind::Closed, "the party was drained"),
            |error| Error::new(error.kind(), error.in_full()),
        ))
    }

    /// Waits until nobody runs and nothing is pending, or the session is closed.
    ///
    /// # Errors
    /// What the driver failed with; [`ErrorKind::Closed`] where it was drained.
    pub async fn at_rest(&self) -> Result<()> {
        let mut status = self.status.clone();
        let seen = status.wait_for(|status| status.over || status.at_rest || status.closed.is_some()).await;
        let seen = seen.map_err(|_| Error::new(ErrorKind::Closed, "the driver is gone"))?.clone();
        match seen.error {
            Some(error) if !seen.at_rest => Err(Error::new(error.kind(), error.in_full())),
            None if !seen.at_rest && seen.closed.is_none() => {
                Err(Error::new(ErrorKind::Closed, "the party was drained"))
            }
            _ => Ok(()),
        }
    }

    /// The engine's state as the driver has it now, for inspection; the last one where the session is
    /// no longer driven here.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] where the driver is gone without a trace.
    pub async fn state(&self) -> Result<Engine> {
        let requests = self.requests.as_ref().and_then(mpsc::WeakSender::upgrade);
        if let Some(requests) = requests {
            let (reply, answer) = oneshot::channel();
            if requests.send(Request::State { reply }).await.is_ok()
                && let Ok(engine) = answer.await
            {
                return Ok(engine);
            }
        }
        let mut status = self.status.clone();
        let seen = status.wait_for(|status| status.over).await;
        let seen = seen.map_err(|_| Error::new(ErrorKind::Closed, "the driver is gone"))?;
        let state = seen.state.as_deref().cloned();
        state.ok_or_else(|| Error::new(ErrorKind::Closed, "the driver is gone"))
    }

    /// What the session has spent so far.
    pub fn spent(&self) -> Usd {
        self.status.borrow().spent
    }

    /// Why the store does not take what the driver has to write, while it does not: it is full or out of
    /// reach. The driver holds what it has and tries again, until it is written, the party is shut down
    /// or its lease is lost.
    pub fn failing(&self) -> Option<String> {
        self.status.borrow().failing.clone()
    }

    /// Ends the running attempts, lets the session go, and leaves it resumable. Returns when
    /// nothing of it runs any more.
    ///
    /// # Errors
    /// What the driver failed with.
    pub async fn shutdown(mut self) -> Result<()> {
        self.drain.disarm().cancel();
        if let Some(driver) = self.driver.take() {
            let _ = driver.await;
        }
        let error = self.status.borrow().error.clone();
        error.map_or(Ok(()), |error| Err(Error::new(error.kind(), error.in_full())))
    }
}
