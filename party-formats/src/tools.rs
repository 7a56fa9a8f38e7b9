//! Tools that the engine itself answers.

use serde_json::{Value, json};

/// A tool that the engine answers by a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the engine must answer every tool")]
pub enum EngineTool {
    /// Says something to the others.
    Share,
}

const ALL: [EngineTool; 1] = [EngineTool::Share];

/// The engine tool of this name.
pub fn engine_tool(name: &str) -> Option<EngineTool> {
    ALL.into_iter().find(|tool| tool.name() == name)
}

/// Whether a tool can have this name: 1 to 64 of `A-Z a-z 0-9 _ -`, which every runtime takes.
pub fn is_tool_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().map(EngineTool::name)
}

impl EngineTool {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
        }
    }

    /// What it does, for a model.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Share => {
                "Say something to everyone in the conversation. What you do not share stays private."
            }
        }
    }

    /// JSON Schema of its arguments.
    pub fn input_schema(self) -> Value {
        match self {
            Self::Share => json!({
                "type": "object",
                "properties": { "text": { "type": "string", "description": "What you say to everyone." } },
                "required": ["text"],
                "additionalProperties": false
            }),
        }
    }
}
