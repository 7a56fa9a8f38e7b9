//! The driver: the one loop that joins the log, the engine and the runtimes of a session.
//!
//! It never awaits a turn, a tool's handler or a process: those run as tasks of their own and
//! report through one channel. One method per kind of thing that can happen.

mod recover;
mod tools;
mod turns;

pub(crate) use recover::recover;

use crate::{Error, Result, lease::Held, log::Log, mcp::McpServer, request::Request, seat::SeatRuntime};
use futures::future::join_all;
use party_bus::Watch;
use party_core::{CloseReason, NewRecord, Offset, TurnId, Usd};
use party_harness::ToolPort;
use std::{collections::BTreeMap, sync::Arc};
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
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) log: Log,
    pub(crate) held: Held,
    pub(crate) seats: Vec<Arc<SeatRuntime>>,
    pub(crate) mcp: Option<Arc<McpServer>>,
    pub(crate) requests: (mpsc::Sender<Request>, mpsc::Receiver<Request>),
    pub(crate) status: watch::Sender<Status>,
    pub(crate) drain: CancellationToken,
}

pub(crate) struct Driver {
    log: Log,
    held: Held,
    seats: Vec<Arc<SeatRuntime>>,
    mcp: Option<Arc<McpServer>>,
    port: Arc<dyn ToolPort>,
    inbox: mpsc::Receiver<Request>,
    outbox: mpsc::Sender<Request>,
    status: watch::Sender<Status>,
    drain: CancellationToken,
    running: BTreeMap<TurnId, Running>,
    tasks: JoinSet<()>,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let (outbox, inbox) = parts.requests;
        Self {
            log: parts.log,
            held: parts.held,
            seats: parts.seats,
            mcp: parts.mcp,
            port: Arc::new(tools::Port(outbox.downgrade())),
            inbox,
            outbox,
            status: parts.status,
            drain: parts.drain,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Drives the session until it closes, is drained, or fails; then lets it go.
    pub(crate) async fn run(mut self) {
        let outcome = self.drive().await;
        self.tasks.shutdown().await;
        join_all(self.seats.iter().map(|seat| seat.close())).await;
        self.held.release().await;
        self.status.send_modify(|status| {
            status.over = true;
            status.error = outcome.err().map(Arc::new);
        });
    }

    async fn drive(&mut self) -> Result<()> {
        // A crash between an input and the decision on it leaves something to decide.
        self.log.commit(Vec::new()).await?;
        loop {
            self.start_effects();
            self.tell_status();
            if self.log.engine.closed().is_some() {
                return Ok(());
            }
            let (bus, watch) = (
                Arc::clone(&self.log.bus),
                Watch { session: self.log.session(), after: self.log.engine.head() },
            );
            tokio::select! {
                biased;
                () = self.drain.cancelled() => return Ok(()),
                error = self.held.lost() => return Err(error),
                Some(request) = self.inbox.recv() => self.handle(request).await?,
                Some(ended) = self.tasks.join_next_with_id() => self.task_ended(&ended).await?,
                head = bus.changed(watch) => self.head_moved(head).await?,
            }
        }
    }

    async fn handle(&mut self, request: Request) -> Result<()> {
        match request {
            Request::Input { record, reply } => self.input(record, reply).await,
            Request::Event { key, event } => self.turn_event(key, event).await,
            Request::Tool { call, reply } => self.tool_call(call, reply).await,
        }
    }

    async fn input(&mut self, record: NewRecord, reply: oneshot::Sender<Result<()>>) -> Result<()> {
        let committed = self.log.commit(vec![record]).await;
        // A handle that no longer waits does not need the answer.
        match committed {
            Ok(_) => {
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
            self.log.commit(Vec::new()).await?;
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
