//! One run of an agent: what it is asked, what it streams, how it ends.

use crate::{McpEndpoint, RawJson, Result, ResumeToken, ToolChoice, ToolSpec};
use async_trait::async_trait;
use futures::stream::BoxStream;
use party_core::{Cost, Failure, ModelMessage, Outcome, Sent, SessionId, TurnId, Usage, Usd};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Names one attempt at one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "drivers of other crates build it")]
pub struct TurnKey {
    /// The party's session.
    pub session: SessionId,
    /// The turn.
    pub turn: TurnId,
    /// The attempt at it, counted from 1.
    pub attempt: u32,
}

/// Loads the whole view of the thread, for a runtime session that remembers nothing.
#[async_trait]
pub trait FullView: fmt::Debug + Send + Sync + 'static {
    /// The view, oldest message first.
    async fn load(&self) -> Result<Vec<ModelMessage>>;
}

/// What a turn is asked to do.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "drivers of other crates build it")]
pub struct TurnRequest {
    /// The turn and attempt.
    pub key: TurnKey,
    /// What came since the last turn that this runtime session answered: for one that remembers. A
    /// later attempt is given it again.
    pub delta: Vec<ModelMessage>,
    /// The whole view: for one that is fresh.
    pub full: Arc<dyn FullView>,
    /// How to go on, for a later attempt in a runtime session that turns out to have the message.
    pub continuation: Option<String>,
    /// The tools of this turn; no others are offered.
    pub tools: Vec<ToolSpec>,
    /// Whether the model has to call one of them, for a runtime that can see to it.
    pub tool_choice: ToolChoice,
    /// When the turn is done.
    pub completion: Completion,
    /// How many steps it may take; one that needs more fails. The runtime's own limit where absent.
    pub most_steps: Option<u32>,
    /// The host's MCP server, for a runtime that reaches tools by it.
    pub mcp: Option<McpEndpoint>,
    /// The runtime's own tools of this turn, such as `Bash`; no others of its own are offered.
    pub own_tools: Vec<String>,
    /// Whether the runtime asks ([`TurnEvent::PermissionAsked`]) before it uses one of those;
    /// it uses them freely otherwise.
    pub ask: bool,
    /// What the turn may spend, for a runtime that can keep a limit.
    pub limit: Option<Usd>,
    /// All turns that start together on this harness, this one included, so that a harness with a
    /// timeline of its own can order them.
    pub alongside: Vec<TurnId>,
}

/// When a turn is done. A step, which is one model call with the calls of tools in its answer, that calls
/// none is always the last: nothing is left to answer. The calls of the last step are answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Completion {
    /// After the first step that calls no tool: what every runtime does by itself.
    #[default]
    NoToolCall,
    /// After its first step.
    FirstStep,
    /// After the step in which this tool was called, and answered without an error.
    ToolCall(String),
    /// After so many steps.
    Steps(u32),
}

/// Something that a running turn streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum TurnEvent {
    /// The runtime session is known by name.
    Started {
        /// The token to resume it by.
        token: ResumeToken,
        /// What it was sent.
        sent: Sent,
    },
    /// The model wrote text.
    Text {
        /// The text.
        text: Arc<str>,
    },
    /// The model reasoned.
    Thinking {
        /// The reasoning.
        text: Arc<str>,
    },
    /// The model called a tool.
    ToolUse {
        /// The runtime's id of the call.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments.
        input: RawJson,
    },
    /// A tool answered.
    ToolResult {
        /// The id of the call.
        id: String,
        /// The answer.
        text: Arc<str>,
        /// Whether it failed.
        is_error: bool,
    },
    /// The runtime asks whether it may use a tool of its own, and waits for
    /// [`TurnControl::answer`].
    PermissionAsked {
        /// Names the question.
        request: RequestId,
        /// The tool's name.
        tool: String,
        /// Its arguments.
        input: RawJson,
    },
    /// The runtime no longer waits for an answer.
    PermissionWithdrawn {
        /// The question.
        request: RequestId,
    },
    /// What the turn used and cost so far.
    Spent {
        /// Tokens of this attempt so far.
        usage: Usage,
        /// Cost of this attempt so far.
        cost: Cost,
    },
    /// The runtime waits by itself, such as for a retry; a sign of life.
    Waiting {
        /// Why.
        reason: String,
    },
    /// The provider limits the credential.
    RateLimit {
        /// Whether calls are refused now.
        rejected: bool,
        /// When the limit is lifted, in seconds since the epoch.
        resets_at: Option<i64>,
    },
    /// Something that the adapter does not know, as it came.
    Raw {
        /// The runtime's own event.
        event: RawJson,
    },
    /// The end; always the last event, exactly once.
    Ended(TurnEnd),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct TurnEnd {
    /// How.
    pub outcome: Outcome,
    /// What the agent said last, where it said something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Arc<str>>,
    /// Tokens of this attempt.
    pub usage: Usage,
    /// Cost of this attempt.
    pub cost: Cost,
    /// Why, in words, where it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What kind of failure it was, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What the runtime was sent.
    pub sent: Sent,
    /// The token to resume by from now on; none where the runtime session is of no more use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<ResumeToken>,
}

/// What became of a turn of an earlier process.
#[derive(Debug)]
#[non_exhaustive]
pub enum Recovery {
    /// It ended meanwhile.
    Ended(TurnEnd),
    /// It still runs, and goes on here.
    Running(Turn),
    /// The runtime never saw it: it has cost nothing.
    NotSeen,
    /// It was seen; how far it came and what it cost is not known.
    Unknown,
}

/// Names a question of the runtime within its turn.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "a value with a name")]
pub struct RequestId(pub String);

/// The answer to a runtime's question.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// It may.
    Allow,
    /// It may not; the model is told why.
    Deny {
        /// Why, for the model.
        why: String,
    },
}

/// What became of a message to a running turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Steered {
    /// The runtime takes it into this turn, which ends once it has answered.
    Taken,
    /// The turn is over; nothing was sent.
    TooLate,
}

/// Steers a running turn, while its events are read.
#[async_trait]
pub trait TurnControl: fmt::Debug + Send + Sync + 'static {
    /// Tells the agent something more. Safe to cancel; it may have been told then.
    ///
    /// For a host that runs a harness by itself. A party never steers: what is said while a turn runs
    /// waits for the next one, so that a turn answers what it was shown.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) unless
    /// [`Capabilities::steer`](crate::Capabilities::steer) is declared.
    async fn steer(&self, text: String) -> Result<Steered>;

    /// Answers a question of the runtime. An answer to one that is withdrawn or unknown does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the runtime never asks.
    async fn answer(&self, request: RequestId, answer: Answer) -> Result<()>;

    /// Asks the runtime to stop; the stream still ends with its `Ended`. Safe to repeat.
    async fn interrupt(&self) -> Result<()>;
}

/// A running turn. Dropping it interrupts the run.
#[non_exhaustive]
pub struct Turn {
    /// What it streams, ending with one [`TurnEvent::Ended`].
    pub events: BoxStream<'static, TurnEvent>,
    /// Usable while the events are read.
    pub control: Arc<dyn TurnControl>,
}

impl Turn {
    /// A turn from its two halves.
    pub fn new(events: BoxStream<'static, TurnEvent>, control: Arc<dyn TurnControl>) -> Self {
        Self { events, control }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("control", &self.control).finish_non_exhaustive()
    }
}
