//! What the fake model says: data, from JSON or built in code.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{Block, Gate, SseError};

/// The turns of a fake model.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Scenario {
    /// A request takes the first turn that fits and is not used up.
    pub turns: Vec<ModelTurn>,
    /// The answer when no turn fits.
    pub default: Option<ModelTurn>,
    /// Whether requests without tools take turns too; else they get a canned title.
    pub count_side: bool,
}

impl Scenario {
    /// A scenario without turns: every request gets the default answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a turn.
    #[must_use]
    pub fn turn(mut self, turn: ModelTurn) -> Self {
        self.turns.push(turn);
        self
    }

    /// Sets the answer for requests that fit no turn.
    #[must_use]
    pub fn default_turn(mut self, turn: ModelTurn) -> Self {
        self.default = Some(turn);
        self
    }

    /// Lets requests without tools take turns.
    #[must_use]
    pub fn count_side(mut self) -> Self {
        self.count_side = true;
        self
    }
}

/// One string or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    /// All strings.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    fn push(&mut self, text: String) {
        let mut all = self.as_slice().to_vec();
        all.push(text);
        *self = Self::Many(all);
    }
}

/// One answer of the model, the requests it fits, and how it may go wrong.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ModelTurn {
    /// Substrings that the raw request body must all hold (JSON text: quotes are escaped there).
    pub when: OneOrMany,
    /// Substrings of which the raw request body must hold none.
    pub unless: OneOrMany,
    /// How often the turn can be taken; 1 if absent.
    pub times: Option<u64>,
    /// Never used up.
    pub repeat: bool,
    /// May answer a request without tools.
    pub side: bool,
    /// The content.
    pub blocks: Vec<Block>,
    /// `tool_use` if a block calls a tool, else `end_turn`, if absent.
    pub stop_reason: Option<String>,
    /// Laid over the final usage.
    pub usage: serde_json::Map<String, Value>,
    /// The model that is named in the answer; the requested one if absent.
    pub model: Option<String>,
    /// Extra headers of the reply.
    pub headers: BTreeMap<String, String>,
    /// Pause before the reply.
    pub delay_ms: u64,
    /// Pause before each block of a stream.
    pub block_delay_ms: u64,
    /// Characters per delta of a stream; about a third of the block if absent.
    pub chunk: Option<usize>,
    /// Pause before each delta of a stream.
    pub chunk_delay_ms: u64,
    /// Sends this as the whole body, whatever else the turn says of it.
    pub raw: Option<String>,
    /// The body's media type; the API's own if absent.
    pub content_type: Option<String>,
    /// HTTP status; not 200 makes an error of `error_type` and `message`.
    pub status: Option<u16>,
    /// The API's name of the error.
    pub error_type: Option<String>,
    /// The error's text.
    pub message: Option<String>,
    /// Closes the connection without a byte.
    pub drop: bool,
    /// Sends the headers of a stream and then nothing, or nothing at all without a stream.
    pub hang: bool,
    /// Cuts a stream after so many events.
    pub truncate_after: Option<usize>,
    /// Cuts a stream after so many bytes of its body.
    pub cut_at_byte: Option<usize>,
    /// A cut stream still ends its chunked body, as a proxy would.
    pub clean_end: bool,
    /// An error event after `message_start`, after which the stream is cut.
    pub sse_error: Option<SseError>,
    /// Holds the answer until the test lets it go.
    #[serde(skip)]
    pub gate: Option<Gate>,
    /// Holds a stream before this block instead of before the headers.
    pub gate_at_block: Option<usize>,
}

impl ModelTurn {
    /// A turn without content.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A turn that says one text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::default().block(Block::text(text))
    }

    /// A turn that calls one tool.
    pub fn tool_use(name: impl Into<String>, input: Value) -> Self {
        Self::default().block(Block::tool_use(name, input))
    }

    /// A turn that fails with an HTTP status.
    pub fn error(status: u16, error_type: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status: Some(status),
            error_type: Some(error_type.into()),
            message: Some(message.into()),
            ..Self::default()
        }
    }

    /// Adds a block.
    #[must_use]
    pub fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// Adds a substring that the request must hold.
    #[must_use]
    pub fn when(mut self, text: impl Into<String>) -> Self {
        self.when.push(text.into());
        self
    }

    /// Adds a substring that the request must not hold.
    #[must_use]
    pub fn unless(mut self, text: impl Into<String>) -> Self {
        self.unless.push(text.into());
        self
    }

    /// Sets how often the turn can be taken.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Makes the turn never used up.
    #[must_use]
    pub fn repeat(mut self) -> Self {
        self.repeat = true;
        self
    }

    /// Holds the answer at a gate.
    #[must_use]
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Changes any other field in the chain.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Accepts the request, then never answers.
    #[must_use]
    pub fn hang(mut self) -> Self {
        self.hang = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_loads_from_json() {
        let json = r#"{"turns": [
            {"when": "one", "unless": ["two", "three"], "times": 2, "blocks": [
                {"type": "thinking", "text": "hm"},
                {"type": "tool_use", "name": "Bash", "input": {"command": "ls"}, "id": "toolu_1"},
                {"type": "text", "gen_bytes": 5}], "usage": {"output_tokens": 7}},
            {"status": 529, "error_type": "overloaded_error", "headers": {"retry-after": "1"}}],
            "default": {"sse_error": {"type": "overloaded_error"}}, "count_side": true}"#;
        let scenario: Scenario = serde_json::from_str(json).unwrap();
        assert_eq!(scenario.turns[0].when.as_slice(), ["one"]);
        assert_eq!(scenario.turns[0].unless.as_slice(), ["two", "three"]);
        assert_eq!(scenario.turns[0].blocks.len(), 3);
        assert_eq!(scenario.turns[1].status, Some(529));
        assert!(scenario.count_side);
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let error = serde_json::from_str::<Scenario>(r#"{"turns": [{"wen": "x"}]}"#).unwrap_err();
        assert!(error.to_string().contains("wen"), "{error}");
    }
}
