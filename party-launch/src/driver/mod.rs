//! The driver: the one loop that joins the log, the engine and the runtimes of a session.
//!
//! It never awaits a turn, a tool's handler or a process: those run as tasks of their own and
//! report through one channel. One method per kind of thing that can happen.

mod calls;
mod handler;
mod moves;
mod permissions;
mod recover;
mod tools;
mod turns;

pub(crate) use recover::recover;
pub(crate) use tools::Port;

use crate::{
    Error, Result, attempt::CallCounts, lease::Held, log::Log, mcp::McpServer, request::Request,
    seat::SeatRuntime, tool::Toolbox,
};
use calls::{CallKey, OpenCall};
use futures::future::join_all;
use moves::Moves;
use party_core::{CloseReason, NewRecord, Offset, TurnId, Usd};
use party_formats::Engine;
use party_harness::{ToolPort, ToolReply, Turn, TurnKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use turns::Running;

/// Where the session stands, for whoever waits on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    pub(crate) head: Offset,
    pub(crate) at_rest: bool,
    pub(crate) spent: Usd,
    pub(crate) closed: Option<CloseReason>,
    /// The driver is gone; with an error where it failed.
    pub(crate) over: bool,
    pub(crate) error: Option<Arc<Error>>,
    /// Why the store does not take what the driver holds for it.
    pub(crate) failing: Option<String>,
    /// The engine as the driver left it.
    pub(crate) state: Option<Arc<Engine>>,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) log: Log,
    pub(crate) seats: Vec<Arc<SeatRuntime>>,
    pub(crate) mcp: Option<Arc<McpServer>>,
    pub(crate) tools: Toolbox,
    pub(crate) port: Arc<Port>,
    /// Turns of the last driver that runtimes handed over.
    pub(crate) handed_over: BTreeMap<TurnKey, Turn>,
    pub(crate) requests: (mpsc::Sender<Request>, mpsc::Receiver<Request>),
    pub(crate) status: watch::Sender<Status>,
    pub(crate) drain: CancellationToken,
}

pub(crate) struct Driver {
    log: Log,
    seats: Vec<Arc<SeatRuntime>>,
    mcp: Option<Arc<McpServer>>,
    tools: Toolbox,
    port: Arc<dyn ToolPort>,
    call_counts: Arc<CallCounts>,
    handed_over: BTreeMap<TurnKey, Turn>,
    inbox: mpsc::Receiver<Request>,
    outbox: mpsc::Sender<Request>,
    status: watch::Sender<Status>,
    drain: CancellationToken,
    running: BTreeMap<TurnId, Running>,
    tasks: JoinSet<()>,
    /// Tool calls that are not answered yet.
    calls: BTreeMap<CallKey, OpenCall>,
    /// Calls of running attempts that are answered, and nobody heard it.
    unheard: BTreeSet<CallKey>,
    /// The host's tools that run.
    handlers: JoinSet<ToolReply>,
    /// Runtime sessions that are of no more use, and are being closed.
    closing: JoinSet<()>,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let (outbox, inbox) = parts.requests;
        let mut log = parts.log;
        log.hold(parts.drain.clone(), parts.status.clone());
        Self {
            log,
            seats: parts.seats,
            mcp: parts.mcp,
            tools: parts.tools,
            call_counts: Arc::clone(parts.port.counts()),
            port: parts.port,
            handed_over: parts.handed_over,
            inbox,
            outbox,
            status: parts.status,
            drain: parts.drain,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            calls: BTreeMap::new(),
            unheard: BTreeSet::new(),
            handlers: JoinSet::new(),
            closing: JoinSet::new(),
        }
    }

    /// Drives the session until it closes, is drained, fails, or loses its lease; then lets it go.
    pub(crate) async fn run(mut self, mut held: Held) {
        let outcome = tokio::select! {
            biased;
            // Whatever the driver waits for: another may have the session.
            error = held.lost() => Err(error),
            outcome = self.drive() => outcome,
        };
        self.calls.values().for_each(OpenCall::cancel);
        self.tasks.shutdown().await;
        self.calls.clear();
        // Each ends within its grace; what it gives comes too late.
        while self.handlers.join_next().await.is_some() {}
        join_all(self.seats.iter().map(|seat| seat.close())).await;
        while self.closing.join_next().await.is_some() {}
        held.release().await;
        self.tell_status();
        self.status.send_modify(|status| {
            status.over = true;
            status.error = outcome.err().map(Arc::new);
            status.state = Some(Arc::new(self.log.engine.clone()));
        });
    }

    async fn drive(&mut self) -> Result<()> {
        let mut moves = Moves::default();
        loop {
            // An input that came while something else was written waits for its decision.
            if !self.log.engine.decide().is_empty() {
                self.log.commit(Vec::new()).await?;
            }
            self.answer_calls();
            self.start_effects();
            self.tell_status();
            if self.log.engine.closed().is_some() {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = self.drain.cancelled() => return Ok(()),
                // What agents stream comes last: a seat may stream faster than the log takes it.
                Some(ended) = self.tasks.join_next_with_id() => self.task_ended(&ended).await?,
                Some(ended) = self.handlers.join_next_with_id() => self.tool_ended(ended).await?,
                Some(_) = self.closing.join_next() => {}
                head = moves.next(&self.log) => self.head_moved(head).await?,
                Some(request) = self.inbox.recv() => self.handle(request).await?,
            }
        }
    }

    async fn handle(&mut self, request: Request) -> Result<()> {
        match request {
            Request::Input { record, reply } => self.input(record, reply).await,
            Request::Event { key, event } => self.turn_event(key, event).await,
            Request::Trace { key, event } => self.trace(key, event).await,
            Request::Tool { call, reply } => self.tool_call(call, reply).await,
            Request::State { reply } => {
                let _ = reply.send(self.log.engine.clone());
                Ok(())
            }
        }
    }

    async fn input(&mut self, record: NewRecord, reply: oneshot::Sender<Result<()>>) -> Result<()> {
        let committed = self.log.commit(vec![record]).await;
        // A handle that no longer waits does not need the answer.
        match committed {
            Ok(_) => {
                // Whoever asks then finds the session as the input has left it.
                self.tell_status();
                let _ = reply.send(Ok(()));
                Ok(())
            }
            Err(error) => {
                let told = Error::new(error.kind(), error.in_full());
                let _ = reply.send(Err(told));
                Err(error)
            }
        }
    }

    /// Somebody else wrote an input.
    async fn head_moved(&mut self, head: Result<Offset, party_bus::Error>) -> Result<()> {
        if head? > self.log.engine.head() {
            self.log.catch_up().await?;
        }
        Ok(())
    }

    fn tell_status(&self) {
        let engine = &self.log.engine;
        self.status.send_modify(|status| {
            status.head = engine.head();
            status.at_rest = engine.is_quiescent();
            status.spent = engine.spent();
            status.closed = engine.closed();
        });
    }
}
