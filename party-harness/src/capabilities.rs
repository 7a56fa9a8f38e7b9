//! What a runtime can do: declared by its adapter, never guessed.

use crate::{Completion, Error, ErrorKind, Result, TurnRequest};

/// How well a host knows what a runtime spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CostSource {
    /// The runtime reports what it spent, and keeps [`TurnRequest::limit`](crate::TurnRequest::limit).
    Enforced,
    /// The runtime reports what it spent.
    Reported,
    /// The adapter works it out from tokens and prices.
    Estimated,
    /// Nobody knows.
    Unknown,
}

/// How a host's tools reach a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolDoor {
    /// Not at all: the agent only writes text.
    None,
    /// The adapter calls the [`ToolPort`](crate::ToolPort) itself.
    InProcess,
    /// The runtime calls an MCP server over HTTP, which the host runs:
    /// [`TurnRequest::mcp`](crate::TurnRequest::mcp).
    McpHttp,
}

/// How long a runtime keeps the list of the host's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolScope {
    /// Each turn has a list of its own.
    Turn,
    /// The list is fixed when the runtime session is opened: all its turns need the same.
    Session,
}

/// Whether a runtime can be made to call a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolForce {
    /// A step can be made to call one: the model's provider sees to it.
    Forced,
    /// The model can only be told to. A host that needs the call asks again when it did not come.
    Told,
}

/// Whether a runtime asks before it uses a tool of its own, and what becomes of a question when its
/// connection or process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Permissions {
    /// It never asks: what is not allowed is refused.
    Never,
    /// It asks; a question ends with the process that asked.
    Lost,
    /// It asks, and asks again after a restart.
    Reissued,
}

/// What a runtime can do. A host refuses before the start what is not declared here; the conformance
/// suite tests what is, but for a forced tool choice and questions that are asked again.
///
/// Fields may be added: an adapter names those that differ from [`TEXT_ONLY`](Self::TEXT_ONLY), and
/// takes the rest from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "every adapter declares each of them")]
pub struct Capabilities {
    /// A runtime session remembers its turns and can be resumed by token after a restart.
    pub resume: bool,
    /// How the host's tools reach it.
    pub tools: ToolDoor,
    /// How long it keeps their list.
    pub tool_scope: ToolScope,
    /// Whether it can be made to call one.
    pub tool_choice: ToolForce,
    /// It counts steps: a turn ends by its [`Completion`](crate::Completion), and takes no more than
    /// [`TurnRequest::most_steps`](crate::TurnRequest::most_steps).
    pub steps: bool,
    /// It has tools of its own, such as a shell, that a turn can be given by name.
    pub own_tools: bool,
    /// Whether it asks before it uses those.
    pub permissions: Permissions,
    /// A running turn takes further messages.
    pub steer: bool,
    /// It can say what became of a turn whose host went away, or hand the turn over.
    pub recover: bool,
    /// Where its cost figures come from.
    pub cost: CostSource,
}

impl Capabilities {
    /// A runtime that only answers with text, remembers nothing and knows no cost: what an adapter
    /// starts its own declaration from.
    pub const TEXT_ONLY: Self = Self {
        resume: false,
        tools: ToolDoor::None,
        tool_scope: ToolScope::Turn,
        tool_choice: ToolForce::Told,
        steps: false,
        own_tools: false,
        permissions: Permissions::Never,
        steer: false,
        recover: false,
        cost: CostSource::Unknown,
    };

    /// Whether a turn asks for no more than this: for adapters, before they begin one.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] names what is not declared.
    pub fn allow(&self, request: &TurnRequest) -> Result<()> {
        let why = if !request.tools.is_empty() && self.tools == ToolDoor::None {
            "takes no tools of the host"
        } else if !request.own_tools.is_empty() && !self.own_tools {
            "has no tools of its own"
        } else if request.ask && self.permissions == Permissions::Never {
            "never asks before it uses a tool"
        } else if !self.steps
            && (request.completion != Completion::NoToolCall || request.most_steps.is_some())
        {
            "does not count its steps"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Unsupported, format!("the runtime {why}")))
    }
}
