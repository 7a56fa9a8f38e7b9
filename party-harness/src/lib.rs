//! Adapters to agent runtimes behind one trait, for hosts that let agents talk with each other.
//!
//! A runtime is whatever runs an agent: a program such as `claude`, a server, a model API. A
//! [`Harness`] adapts one of them; a host sees the same few calls, whichever it is:
//!
//! ```
//! use futures::StreamExt as _;
//! use party_harness::{Harness, TurnEvent, scripted::{Script, Scripted, Step}};
//! # use party_harness::{
//! #     FullView, Result, RuntimeSpec, ToolCall, ToolChoice, ToolPort, ToolReply, TurnKey, TurnRequest,
//! #     async_trait, core::{ModelMessage, Offset, SeatId, SessionId, TurnId},
//! # };
//! # #[derive(Debug)]
//! # struct Nothing;
//! # #[async_trait]
//! # impl ToolPort for Nothing {
//! #     async fn call(&self, _: ToolCall) -> ToolReply { ToolReply::error("no tools") }
//! # }
//! # #[async_trait]
//! # impl FullView for Nothing {
//! #     async fn load(&self) -> Result<Vec<ModelMessage>> { Ok(Vec::new()) }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (id, turn) = (SessionId::from_bytes([1; 16]), TurnId(Offset(1)));
//! # let spec = RuntimeSpec {
//! #     session: id, seat: SeatId(0), agent: "Mary".into(), system_prompt: String::new(), model: None,
//! #     cwd: "/".into(), folder: "/".into(), env: Default::default(), resume: None,
//! # };
//! # let request = TurnRequest {
//! #     key: TurnKey { session: id, turn, attempt: 1 }, delta: Vec::new(),
//! #     full: std::sync::Arc::new(Nothing), continuation: None, tools: Vec::new(),
//! #     tool_choice: ToolChoice::Auto, mcp: None, own_tools: Vec::new(), ask: false, limit: None,
//! #     completion: Default::default(), most_steps: None,
//! #     alongside: vec![turn],
//! # };
//! # let tools = std::sync::Arc::new(Nothing);
//! let script = Script::default().agent("Mary", [Step::say(0, "Ship it.")]);
//! let harness = Scripted::new(script);              // or ClaudeCode::new("claude")
//! let session = harness.open(spec, tools).await?;   // Mary's, in her runtime
//! let mut turn = session.turn(request).await?;      // what she is asked
//! while let Some(event) = turn.events.next().await {
//!     match event {
//!         TurnEvent::Text { text } => println!("Mary: {text}"),
//!         TurnEvent::Ended(end) => println!("{:?}, for {:?}", end.outcome, end.cost),
//!         _ => {}
//!     }
//! }
//! session.close(party_harness::Close::Orderly).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The life of a turn
//!
//! ```text
//! Harness::open ──> RuntimeSession::turn ──> Turn { events, control }
//!   ▲    │              ▲       │                │        │
//!   │    │              │     Busy               │        ├─ steer, answer: while it runs
//!   │    ▼              │                        │        └─ interrupt, or the Turn is dropped
//!   │  Idle ──turn──> Running ──Ended──> Idle    ▼
//!   │    │               │                     Started{token} … Text … ToolUse ─> ToolPort
//!   │    └────close──────┴──> Closed           … PermissionAsked … ToolResult … Ended{outcome, cost}
//!   │                                                                             │
//!   └──────────────── the token opens the session again, after a restart too ─────┘
//! ```
//!
//! * **One end.** Each turn ends with exactly one [`TurnEvent::Ended`], the last event, with usage and
//!   cost also where it failed or was stopped. When it has been read, the session is free.
//! * **One turn at a time.** Another is [`ErrorKind::Busy`]: an adapter never queues.
//! * **Exactly what was said.** The model is told exactly the text of a request; nothing in it is a
//!   command to a runtime.
//! * **Memory.** A session that remembers is sent what is new, a fresh one the whole view, and the end
//!   says which. A token that means nothing is no error: the session is fresh.
//! * **Tools.** Calls reach the host through one [`ToolPort`], under the turn's key, with the runtime's
//!   id and the model's arguments; only tools that the turn lists, and none after the end.
//! * **Nothing is left.** A turn that is interrupted or dropped, a session that is closed and a harness
//!   that is shut down leave no process behind; a session that is open may keep one for its next turn.
//! * **Declared, not guessed.** What a runtime cannot do its [`Capabilities`] say.
//!
//! Each of these is a case of the [conformance suite](#conformance).
//!
//! # Where to go
//!
//! Runtimes: [`scripted`] (agents from a file, for tests and first steps), [`replay`] (recordings of a
//! real runtime as agents), [`claude_code`] (the `claude` binary), [`codex`] (an app-server of Codex),
//! [`openclaw`] (a gateway), and with the feature `model` the module `model` (the APIs of models, without a
//! runtime between).
//!
//! ## An adapter of one's own
//!
//! Implement [`Harness`], [`RuntimeSession`] and [`TurnControl`], starting from
//! [`Capabilities::TEXT_ONLY`]. A task per turn that owns the runtime's process and sends events into a
//! bounded channel keeps most of the promises by itself; `tests/third_party` is one with nothing but
//! public items.
//!
//! ## Conformance
//!
//! The feature `conformance` brings the promises as tests, by one line for each harness:
//! `harness_conformance!`. Its module says what it needs.

pub mod claude_code;
pub mod codex;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "model")]
pub mod model;
pub mod openclaw;
pub mod prices;
pub mod replay;
pub mod scripted;

mod capabilities;
mod environment;
mod error;
mod json;
mod jsonl;
mod player;
mod process;
mod session;
mod socket;
mod tool;
mod turn;

pub use async_trait::async_trait;
pub use capabilities::{Capabilities, CostSource, Permissions, ToolDoor, ToolForce, ToolScope};
pub use environment::Environment;
pub use error::{Error, ErrorKind, Result};
pub use json::RawJson;
pub use party_core as core;
pub use prices::Pricing;
pub use tool::{McpEndpoint, ToolCall, ToolChoice, ToolPort, ToolReply, ToolSpec};
pub use turn::{
    Answer, Completion, FullView, Recovery, RequestId, Steered, Turn, TurnControl, TurnEnd, TurnEvent,
    TurnKey, TurnRequest,
};

use party_core::{SeatId, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt::Debug, path::PathBuf, sync::Arc};

/// What a harness is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HarnessInfo {
    /// Its name, such as `claude`.
    pub name: String,
    /// What it can do.
    pub capabilities: Capabilities,
    /// By what it works costs out, where it [estimates](CostSource::Estimated) them.
    pub pricing: Option<Pricing>,
}

impl HarnessInfo {
    /// A harness of this name.
    pub fn new(name: impl Into<String>, capabilities: Capabilities) -> Self {
        Self { name: name.into(), capabilities, pricing: None }
    }
}

/// What a probe found, without a model call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// The runtime's version.
    pub version: String,
}

impl Probe {
    /// A runtime of this version is there.
    pub fn new(version: impl Into<String>) -> Self {
        Self { version: version.into() }
    }
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
    pub env: Environment,
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

    /// Ends whatever the harness still runs, and returns when nothing of it does. Sessions that are open
    /// are closed. Safe to repeat.
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
    /// [`ErrorKind::Unsupported`] where the request asks for what the harness does not declare, and
    /// [`ErrorKind::Invalid`] for what it cannot carry. Nothing was sent to a model then, so nothing was
    /// spent.
    async fn turn(&self, request: TurnRequest) -> Result<Turn>;

    /// What became of a turn that an earlier process of the host started. A runtime that cannot hand
    /// a turn over first ends whatever that process left running.
    async fn recover(&self, turn: TurnKey) -> Result<Recovery>;

    /// Ends the runtime's part of it, a running turn included, and returns when nothing of it runs
    /// any more. The session can be resumed by its token later. Safe to repeat.
    async fn close(&self, how: Close) -> Result<()>;
}
