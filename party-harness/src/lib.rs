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
//! `claude` binary, one process per turn).

pub mod claude_code;
pub mod scripted;

mod error;
mod tool;
mod turn;

pub use async_trait::async_trait;
pub use error::{Error, ErrorKind, Result};
pub use tool::{McpEndpoint, ToolCall, ToolPort, ToolReply, ToolSpec};
pub use turn::{FullView, Recovery, Turn, TurnControl, TurnEnd, TurnEvent, TurnKey, TurnRequest};

use party_core::{SeatId, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Debug, path::PathBuf, sync::Arc};

/// Where a runtime's cost figures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CostSource {
    /// The runtime reports what it spent.
    Reported,
    /// Nobody knows.
    Unknown,
}

/// How a host's tools reach a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolDoor {
    /// The adapter calls the [`ToolPort`] itself.
    InProcess,
    /// The runtime calls an MCP server over HTTP, which the host runs: [`TurnRequest::mcp`].
    McpHttp,
}

/// What a runtime can do; declared, never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "every adapter declares each of them")]
pub struct Capabilities {
    /// A runtime session remembers its turns and can be resumed by token after a restart.
    pub resume: bool,
    /// How tools reach it.
    pub tools: ToolDoor,
    /// Where its cost comes from.
    pub cost: CostSource,
}

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

/// One agent's session in its runtime.
#[async_trait]
pub trait RuntimeSession: Debug + Send + Sync + 'static {
    /// The token to resume it by, once there is one.
    fn token(&self) -> Option<ResumeToken>;

    /// Runs one turn. One at a time: another while one runs is [`ErrorKind::Busy`]. Dropping the
    /// [`Turn`] interrupts it.
    async fn turn(&self, request: TurnRequest) -> Result<Turn>;

    /// What became of a turn that an earlier process of the host started. Whatever that process
    /// left running is ended first.
    async fn recover(&self, turn: TurnKey) -> Result<Recovery>;

    /// Ends the runtime's part of it, a running turn included, and returns when nothing of it runs
    /// any more. The session can be resumed by its token later.
    async fn close(&self) -> Result<()>;
}
