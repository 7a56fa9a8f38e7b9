//! One seat's session with the CLI.

use super::{
    inner::{Busy, Inner, blocking},
    persistent::Persistent,
    run::{Run, launch},
};
use crate::{
    Answer, Capabilities, Close, Error, ErrorKind, Recovery, RequestId, Result, RuntimeSession, RuntimeState,
    Steered, Turn, TurnControl, TurnEvent, TurnKey, TurnRequest,
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many events may wait for their reader.
pub(super) const EVENTS: usize = 64;

/// How a session's turns reach the CLI.
#[derive(Debug)]
enum Transport {
    /// A process per turn.
    PerTurn,
    /// One process for many turns.
    Persistent(Persistent),
}

#[derive(Debug)]
pub(super) struct ClaudeSession {
    inner: Arc<Inner>,
    capabilities: Capabilities,
    transport: Transport,
}

impl ClaudeSession {
    pub(super) fn new(inner: Arc<Inner>, capabilities: Capabilities) -> Self {
        let transport = match inner.setup.idle {
            Some(idle) => Transport::Persistent(Persistent::new(&inner, idle)),
            None => Transport::PerTurn,
        };
        Self { inner, capabilities, transport }
    }
}

#[async_trait]
impl RuntimeSession for ClaudeSession {
    fn state(&self) -> RuntimeState {
        self.inner.runtime_state()
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        let busy = Busy::take(&self.inner)?;
        self.capabilities.allow(&request)?;
        match &self.transport {
            Transport::PerTurn => per_turn(&self.inner, request, busy).await,
            Transport::Persistent(persistent) => persistent.turn(&self.inner, request, busy).await,
        }
    }

    async fn recover(&self, turn: TurnKey) -> Result<Recovery> {
        let busy = Busy::take(&self.inner)?;
        // A persistent process of this very session is no orphan; others were ended on opening.
        let may_be_orphaned = matches!(self.transport, Transport::PerTurn);
        blocking(move || {
            if may_be_orphaned {
                busy.0.trace().end_orphan(&busy.0.spec)?;
            }
            busy.0.recovery(turn)
        })
        .await
    }

    async fn close(&self, how: Close) -> Result<()> {
        self.inner.end(how).await;
        Ok(())
    }
}

async fn per_turn(inner: &Arc<Inner>, request: TurnRequest, busy: Busy) -> Result<Turn> {
    let launched = launch(inner, &request, inner.first_attempt(&request)).await?;
    let (events, receiver) = mpsc::channel(EVENTS);
    let stop = inner.stop.child_token();
    let run = Run { inner: Arc::clone(inner), request, events, stop: stop.clone(), busy };
    // Its end is the reader's: it lives as long as its process runs and its events are read.
    tokio::spawn(run.run(launched));
    Ok(Turn::new(stream_of(receiver), Arc::new(Stop(stop))))
}

pub(super) fn stream_of(receiver: mpsc::Receiver<TurnEvent>) -> stream::BoxStream<'static, TurnEvent> {
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).boxed()
}

#[derive(Debug)]
struct Stop(CancellationToken);

#[async_trait]
impl TurnControl for Stop {
    async fn steer(&self, _: String) -> Result<Steered> {
        Err(Error::new(ErrorKind::Unsupported, "a process per turn takes one message"))
    }

    async fn answer(&self, _: RequestId, _: Answer) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a process per turn asks nothing"))
    }

    async fn interrupt(&self) -> Result<()> {
        self.0.cancel();
        Ok(())
    }
}
