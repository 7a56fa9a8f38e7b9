//! What an implementer brings: a stage on which agents can be told what to do.

use crate::{Capabilities, Harness, McpEndpoint, RuntimeSpec, ToolPort, ToolSpec, TurnKey};
use async_trait::async_trait;
use party_core::{SeatId, Usd};
use serde_json::Value;
use std::{collections::BTreeMap, error::Error, fmt, sync::Arc, time::Duration};

/// One thing that an agent does. A turn whose list has no [`Say`](Act::Say), [`Echo`](Act::Echo),
/// [`Fail`](Act::Fail) or [`Hang`](Act::Hang) ends without a word.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Act {
    /// It reasons.
    Think(String),
    /// It calls a tool of the host, and goes on when that has answered.
    Call {
        /// The tool's name, as the host knows it.
        tool: String,
        /// The arguments.
        arguments: Value,
    },
    /// It uses the tool of its own that [`Stage::own_tool`] names.
    Own,
    /// It goes on only when it was told something more.
    AwaitSteer,
    /// The turn has cost this much, by what the runtime reports; more or less will do, as long as a
    /// greater figure costs more.
    Spend(Usd),
    /// It says this, and ends.
    Say(String),
    /// It says exactly the message that it answers, and ends.
    Echo,
    /// The runtime, or its provider, fails.
    Fail,
    /// It never ends by itself.
    Hang,
}

/// What an agent does in one turn.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Part {
    /// Stands in the message that begins the turn, and in no message of another turn of this agent.
    /// Empty where all turns of the agent are alike. A stage may go by it or by the order of the turns.
    pub cue: String,
    /// What it does, one after another.
    pub acts: Vec<Act>,
}

/// All agents of a case by their seats, each with its turns in order.
pub type Cast = BTreeMap<SeatId, Vec<Part>>;

/// A model call as the model saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stages build it")]
pub struct Heard {
    /// The system prompt, with whatever the runtime adds to it.
    pub system: String,
    /// The model that was asked for.
    pub model: Option<String>,
    /// All that was said to the model in this conversation, oldest first: messages and the answers of
    /// tools, one entry each, and nothing of its own.
    pub said: Vec<String>,
    /// The names of the tools it was offered, as the host knows them.
    pub tools: Vec<String>,
}

/// Runs a harness with agents whose parts are known. A new one is made for each case.
///
/// The hooks with a default may be left out; each says what cannot be seen then.
#[async_trait]
pub trait Stage: Send + Sync {
    /// What the harness declares.
    fn capabilities(&self) -> Capabilities;

    /// Gives the harness, with agents that are going to do this; none where this runtime cannot be
    /// made to. Called once.
    async fn harness(&self, cast: Cast) -> Option<Arc<dyn Harness>>;

    /// What the runtime session of a seat is opened with, without a token. Two seats share neither
    /// folders nor home; the same seat gives the same again.
    fn spec(&self, seat: SeatId) -> RuntimeSpec;

    /// Serves these tools to a runtime that declares [`ToolDoor::McpHttp`](crate::ToolDoor::McpHttp):
    /// calls go to `port` under `key`. The server lives as long as the stage. Without it no case about
    /// tools can be shown for such a runtime.
    async fn serve(
        &self,
        _key: TurnKey,
        _tools: Vec<ToolSpec>,
        _port: Arc<dyn ToolPort>,
    ) -> Option<McpEndpoint> {
        None
    }

    /// The model calls of a seat's agent so far, also before there are any. Without it nobody knows
    /// what a model really saw.
    fn heard(&self, _seat: SeatId) -> Option<Vec<Heard>> {
        None
    }

    /// How many processes of a seat live. Without it nobody knows whether any is left behind.
    fn alive(&self, _seat: SeatId) -> Option<usize> {
        None
    }

    /// How many of them an open session keeps for its next turn; 0. None is kept when it is closed.
    fn kept_between_turns(&self) -> usize {
        0
    }

    /// A message was sent to the running turn of a seat. A stage whose model does not hear of it before
    /// its next call lets [`Act::AwaitSteer`] pass here.
    fn steered(&self, _seat: SeatId) {}

    /// A harmless tool of the runtime's own, and arguments for it, which [`Act::Own`] uses.
    fn own_tool(&self) -> Option<(String, Value)> {
        None
    }

    /// How long a whole case may take; 30 s.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// Why a case was not played.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third reason")]
pub enum Skipped {
    /// The harness does not declare what the case is about.
    NotDeclared(&'static str),
    /// The harness declares it, but this stage cannot show it.
    NotShown(String),
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDeclared(what) => write!(f, "the harness does not declare {what}"),
            Self::NotShown(what) => write!(f, "the stage cannot show {what}"),
        }
    }
}

impl Error for Skipped {}
