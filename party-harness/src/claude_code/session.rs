//! One seat's session with the CLI.

use super::{
    inner::{Inner, blocking},
    persistent::Persistent,
    run::{Run, launch},
};
use crate::{
    Capabilities, Close, Recovery, Result, RuntimeSession, RuntimeState, Turn, TurnKey, TurnRequest,
    session::{Busy, silent_turn},
};
use async_trait::async_trait;
use std::sync::Arc;

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
        let busy = Busy::take(&self.inner.life)?;
        self.capabilities.allow(&request)?;
        match &self.transport {
            Transport::PerTurn => per_turn(&self.inner, request, busy).await,
            Transport::Persistent(persistent) => persistent.turn(&self.inner, request, busy).await,
        }
    }

    async fn recover(&self, turn: TurnKey) -> Result<Recovery> {
        let (inner, busy) = (Arc::clone(&self.inner), Busy::take(&self.inner.life)?);
        // A persistent process of this very session is no orphan; others were ended on opening.
        let may_be_orphaned = matches!(self.transport, Transport::PerTurn);
        blocking(move || {
            if may_be_orphaned {
                inner.trace().end_orphan(&inner.spec)?;
            }
            let recovery = inner.recovery(turn);
            drop(busy);
            recovery
        })
        .await
    }

    async fn close(&self, how: Close) -> Result<()> {
        self.inner.life.end(how).await;
        Ok(())
    }
}

async fn per_turn(inner: &Arc<Inner>, request: TurnRequest, busy: Busy) -> Result<Turn> {
    let launched = launch(inner, &request, inner.first_attempt(&request)).await?;
    let stop = inner.life.stop.child_token();
    let (events, turn) = silent_turn(stop.clone(), "a process per turn");
    let run = Run { inner: Arc::clone(inner), request, events, stop, busy };
    // Its end is the reader's: it lives as long as its process runs and its events are read.
    tokio::spawn(run.run(launched));
    Ok(turn)
}
