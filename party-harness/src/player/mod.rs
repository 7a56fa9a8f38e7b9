//! Agents whose parts are fixed before they play: what [`scripted`](crate::scripted) and
//! [`replay`](crate::replay) have in common.

mod inbox;
mod run;
mod session;
mod timeline;

use crate::{
    Error, Harness, HarnessInfo, Probe, Result, RuntimeSession, RuntimeSpec, ToolPort, TurnEvent, TurnKey,
};
use async_trait::async_trait;
use party_core::{Cost, Failure, Outcome, SeatId, SessionId, Usage};
use serde_json::Value;
use session::PlayerSession;
use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};
use timeline::Timeline;
use tokio_util::sync::CancellationToken;

/// The parts of all agents.
pub(crate) trait Parts: Debug + Send + Sync + 'static {
    /// Why there is no part for an agent, if there is none.
    fn missing(&self, agent: &str) -> Option<Error>;

    /// What an agent does in the turn after `done` others.
    fn part(&self, agent: &str, done: u64) -> Part;
}

/// What an agent does in one turn, and what that costs.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) acts: Vec<Act>,
    pub(crate) usage: Usage,
    pub(crate) cost: Cost,
}

/// One thing that a playing agent does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Lets so many milliseconds pass since the turn's start, and everything that is due earlier.
    Wait(u64),
    /// Tells its runtime session's name.
    Start,
    /// Streams an event as it is.
    Event(TurnEvent),
    /// Writes a text, its placeholders filled, and completes the turn with it.
    Say(String),
    /// Calls a tool of the host, the placeholders of its arguments filled.
    Call { id: String, name: String, arguments: Value },
    /// Has a call answered that was told.
    Answered { id: String, name: String, arguments: Value },
    /// Uses a tool of its own, for which it may have to ask.
    Own { id: String, name: String, input: Value },
    /// Has a question answered that was asked.
    Permitted { id: String },
    /// Waits until it is told something more.
    AwaitSteer,
    /// Does nothing any more.
    Hang,
    /// Ends.
    End(Ending),
}

/// How a part ends.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) text: Option<Arc<str>>,
    pub(crate) reason: Option<String>,
    pub(crate) failure: Option<Failure>,
}

impl Ending {
    pub(crate) const fn of(outcome: Outcome) -> Self {
        Self { outcome, text: None, reason: None, failure: None }
    }

    pub(crate) fn because(outcome: Outcome, reason: impl Into<String>) -> Self {
        let failure = (outcome == Outcome::Failed).then_some(Failure::Other);
        Self { reason: Some(reason.into()), failure, ..Self::of(outcome) }
    }
}

/// A harness of such agents.
#[derive(Debug)]
pub(crate) struct Player {
    info: HarnessInfo,
    parts: Arc<dyn Parts>,
    timeline: Arc<Timeline>,
    /// The last turn of each seat.
    seen: Arc<Seen>,
    stop: Mutex<CancellationToken>,
}

/// Which turn each seat played last.
type Seen = Mutex<BTreeMap<(SessionId, SeatId), TurnKey>>;

impl Player {
    pub(crate) fn new(info: HarnessInfo, parts: impl Parts) -> Self {
        Self {
            info,
            parts: Arc::new(parts),
            timeline: Arc::default(),
            seen: Arc::default(),
            stop: Mutex::default(),
        }
    }
}

#[async_trait]
impl Harness for Player {
    fn info(&self) -> &HarnessInfo {
        &self.info
    }

    async fn probe(&self) -> Result<Probe> {
        Ok(Probe::new(env!("CARGO_PKG_VERSION")))
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        if let Some(error) = self.parts.missing(&spec.agent) {
            return Err(error);
        }
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).child_token();
        Ok(Arc::new(PlayerSession::new(self, spec, tools, stop)))
    }

    async fn shutdown(&self) -> Result<()> {
        std::mem::take(&mut *self.stop.lock().unwrap_or_else(PoisonError::into_inner)).cancel();
        Ok(())
    }
}
