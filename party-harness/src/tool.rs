//! Tools that a host offers to agents.

use crate::TurnKey;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A tool as a model is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
}

impl ToolSpec {
    /// A tool that takes arguments of this JSON Schema.
    pub fn new(name: impl Into<String>, description: impl Into<String>, input_schema: Value) -> Self {
        Self { name: name.into(), description: description.into(), input_schema }
    }
}

/// Whether the model has to call a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// Its first step calls one.
    Once,
    /// Each step calls one, until the turn is over.
    Always,
}

/// One call, tied to its turn by the launch that carried it, never by its arguments.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "drivers of other crates build it")]
pub struct ToolCall {
    /// The turn and attempt.
    pub key: TurnKey,
    /// The runtime's id of the call.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as the model gave them.
    pub arguments: Value,
}

/// What the agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolReply {
    /// The answer.
    pub text: String,
    /// Whether the call was refused or failed.
    pub is_error: bool,
}

impl ToolReply {
    /// An answer.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_error: false }
    }

    /// An answer, or a failure.
    pub fn new(text: impl Into<String>, is_error: bool) -> Self {
        Self { text: text.into(), is_error }
    }

    /// A refusal or failure.
    pub fn error(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_error: true }
    }
}

impl From<&str> for ToolReply {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for ToolReply {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

/// Where calls go, whichever door they came through. When `call` returns, what the call did is on
/// the log.
///
/// A door that can no longer pass the answer on drops `call`. What was called for may be done all the
/// same, and an equal call that follows in the same attempt is given that answer then.
#[async_trait]
pub trait ToolPort: fmt::Debug + Send + Sync + 'static {
    /// Answers a call. It always answers; refusals are error replies.
    async fn call(&self, call: ToolCall) -> ToolReply;
}

/// An MCP server of the host, for one attempt at one turn.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "drivers of other crates build it")]
pub struct McpEndpoint {
    /// The server's name in the runtime's configuration, such as `party`.
    pub name: String,
    /// Where it listens; loopback.
    pub url: String,
    /// The bearer secret of this attempt.
    pub secret: String,
}

/// The secret is left out.
impl fmt::Debug for McpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpEndpoint")
            .field("name", &self.name)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
