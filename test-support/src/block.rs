//! The pieces of an answer.

use serde::Deserialize;
use serde_json::Value;

/// A piece of content.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Block {
    /// Words.
    Text {
        /// The words.
        #[serde(default)]
        text: String,
        /// Makes a text of so many bytes instead.
        #[serde(default)]
        gen_bytes: Option<usize>,
    },
    /// Reasoning.
    Thinking {
        /// The words.
        text: String,
        /// The signature; a canned one if absent.
        #[serde(default)]
        signature: Option<String>,
    },
    /// A call of a tool.
    ToolUse {
        /// The tool.
        name: String,
        /// Its arguments.
        #[serde(default)]
        input: serde_json::Map<String, Value>,
        /// The call's id; a fresh one if absent.
        #[serde(default)]
        id: Option<String>,
        /// Streams this text as the arguments instead, to send broken JSON.
        #[serde(default)]
        raw_json: Option<String>,
    },
}

impl Block {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), gen_bytes: None }
    }

    /// Reasoning.
    pub fn thinking(text: impl Into<String>) -> Self {
        Self::Thinking { text: text.into(), signature: None }
    }

    /// A call of a tool with a fresh id; arguments that are no object count as none.
    pub fn tool_use(name: impl Into<String>, input: Value) -> Self {
        let input = match input {
            Value::Object(input) => input,
            _ => serde_json::Map::new(),
        };
        Self::ToolUse { name: name.into(), input, id: None, raw_json: None }
    }
}

/// An error in the middle of a stream.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SseError {
    /// The API's name of the error, such as `overloaded_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its text.
    #[serde(default)]
    pub message: String,
}

impl SseError {
    /// An error event.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into() }
    }
}
