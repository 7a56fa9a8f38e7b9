//! Adapters to agent runtimes behind one trait.
//!
//! A [`Harness`] is one binary, server or gateway; a [`RuntimeSession`] is one agent's own session
//! in it, which remembers earlier turns; a [`Turn`] is one run, streaming [`TurnEvent`]s that end
//! with exactly one [`TurnEvent::Ended`].
//!
//! ```text
//! Harness::open ──> RuntimeSession::turn ──> Turn { events, control }
//!      ▲                  ▲      │                     │
//!      │ resume token     └──────┘ next turn           ├─ Started … Text … ToolUse … Ended
//!      └───────────────────────────────────────────────┘
//! ```
//!
//! The tools that a host offers reach an agent through one [`ToolPort`], whichever door the
//! runtime has for it.
//!
//! Runtimes: [`scripted`] (agents from a file, for tests and first steps) and [`claude_code`] (the
//! `claude` binary, one process per turn or one for many).

pub mod claude_code;
pub mod scripted;

mod capabilities;
mod error;
mod json;
mod process;
mod tool;
mod turn;

pub use async_trait::async_trait;
pub use capabilities::{Capabilities, CostSource, Permissions, ToolDoor, ToolForce};
pub use error::{Error, ErrorKind, Result};
pub use json::RawJson;
pub use tool::{McpEndpoint, ToolCall, ToolChoice, ToolPort, ToolReply, ToolSpec};
pub use turn::{
    Answer, FullView, Recovery, RequestId, Steered, Turn, TurnControl, TurnEnd, TurnEvent, TurnKey,
    TurnRequest,
};

use party_core::{SeatId, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Debug, path::PathBuf, sync::Arc};

/// What a harness is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct HarnessInfo {
    /// Its name, such as `claude`.
    pub name: String,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// What a probe found, without a model call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct Probe {
    /// The runtime's version.
    pub version: String,
}

/// A runtime's own name of a session, with what it needs to find it again. Opaque to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "an opaque value with a name")]
pub struct ResumeToken(pub Value);

/// What a runtime session is opened with.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "drivers of other crates build it")]
pub struct RuntimeSpec {
    /// The party's session.
    pub session: SessionId,
    /// The seat that it runs.
    pub seat: SeatId,
    /// The agent's name.
    pub agent: String,
    /// The whole system prompt; the same in every turn.
    pub system_prompt: String,
    /// The model; the runtime's own default where absent.
    pub model: Option<String>,
    /// The folder that the agent works in; it exists.
    pub cwd: PathBuf,
    /// A folder of the seat for the adapter's own files, outside of `cwd`; it exists, 0700.
    pub folder: PathBuf,
    /// The runtime's whole environment. Nothing else of the host's reaches it.
    pub env: BTreeMap<String, String>,
    /// The runtime session to go on with; a fresh one where absent.
    pub resume: Option<ResumeToken>,
}

/// One binary, server or gateway that runs agents.
///
/// Implementers: there are no defaults, so that a wrapper cannot miss a method.
#[async_trait]
pub trait Harness: Debug + Send + Sync + 'static {
    /// What it is and can do.
    fn info(&self) -> &HarnessInfo;

    /// Finds out whether the runtime is there and which version, without a model call.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] says how to get it.
    async fn probe(&self) -> Result<Probe>;

    /// Opens or resumes a runtime session. No model is called before the first turn.
    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>>;

    /// Ends whatever the harness still runs.
    async fn shutdown(&self) -> Result<()>;
}

/// A harness that several parties share.
#[async_trait]
impl<H: Harness + ?Sized> Harness for Arc<H> {
    fn info(&self) -> &HarnessInfo {
        H::info(self)
    }

    async fn probe(&self) -> Result<Probe> {
        H::probe(self).await
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        H::open(self, spec, tools).await
    }

    async fn shutdown(&self) -> Result<()> {
        H::shutdown(self).await
    }
}

/// Where a runtime session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct RuntimeState {
    /// The token to resume it by, once there is one.
    pub token: Option<ResumeToken>,
    /// It goes on with what it was opened by, and remembers the turns before.
    pub resumed: bool,
    /// What it does now.
    pub health: Health,
}

/// What a runtime session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It waits for a turn.
    Idle,
    /// It runs a turn.
    Running,
    /// It was closed, and takes no further turn.
    Closed,
}

/// How a runtime session is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Close {
    /// A running turn is interrupted, and the runtime may put its own affairs in order.
    Orderly,
    /// Whatever runs is killed at once.
    Now,
}

/// One agent's session in its runtime.
#[async_trait]
pub trait RuntimeSession: Debug + Send + Sync + 'static {
    /// Where it stands: what it can be resumed by, and what it does.
    fn state(&self) -> RuntimeState;

    /// Runs one turn. One at a time: another while one runs is [`ErrorKind::Busy`]. Dropping the
    /// [`Turn`] interrupts it.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`], also where another host runs a turn in it, and [`ErrorKind::Closed`];
    /// [`ErrorKind::Invalid`] where the request asks for what the harness does not declare. Nothing was
    /// sent to a model then, so nothing was spent.
    async fn turn(&self, request: TurnRequest) -> Result<Turn>;

    /// What became of a turn that an earlier process of the host started. A runtime that cannot hand
    /// a turn over first ends whatever that process left running.
    async fn recover(&self, turn: TurnKey) -> Result<Recovery>;

    /// Ends the runtime's part of it, a running turn included, and returns when nothing of it runs
    /// any more. The session can be resumed by its token later. Safe to repeat.
    async fn close(&self, how: Close) -> Result<()>;
}
