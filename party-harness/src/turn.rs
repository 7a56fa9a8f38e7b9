//! One run of an agent: what it is asked, what it streams, how it ends.

use crate::{McpEndpoint, Result, ResumeToken, ToolSpec};
use async_trait::async_trait;
use futures::stream::BoxStream;
use party_core::{Cost, ModelMessage, Outcome, Sent, SessionId, TurnId, Usage, Usd};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    /// The host's MCP server, for a runtime that reaches tools by it.
    pub mcp: Option<McpEndpoint>,
    /// What the turn may spend, for a runtime that can keep a limit.
    pub limit: Option<Usd>,
    /// All turns that start together on this harness, this one included, so that a harness with a
    /// timeline of its own can order them.
    pub alongside: Vec<TurnId>,
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
        text: String,
    },
    /// The model reasoned.
    Thinking {
        /// The reasoning.
        text: String,
    },
    /// The model called a tool.
    ToolUse {
        /// The runtime's id of the call.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments.
        input: Value,
    },
    /// A tool answered.
    ToolResult {
        /// The id of the call.
        id: String,
        /// The answer.
        text: String,
        /// Whether it failed.
        is_error: bool,
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
        event: Value,
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
    pub text: Option<String>,
    /// Tokens of this attempt.
    pub usage: Usage,
    /// Cost of this attempt.
    pub cost: Cost,
    /// Why, where it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the runtime was sent.
    pub sent: Sent,
    /// The token to resume by from now on; none where the runtime session is of no more use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<ResumeToken>,
}

/// What became of a turn of an earlier process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// The runtime never saw it: it has cost nothing.
    NotSeen,
    /// It was seen; how far it came and what it cost is not known.
    Unknown,
}

/// Steers a running turn.
#[async_trait]
pub trait TurnControl: fmt::Debug + Send + Sync + 'static {
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
