//! Content blocks: what an item is made of.

use crate::newer::keep_unknown;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One piece of an item's content. Fields and kinds that this version does not know survive a
/// round trip: fields in `extra`, kinds as [`ContentBlock::Unknown`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum ContentBlock {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// Fields of a newer writer.
        #[serde(flatten)]
        extra: Map<String, Value>,
    },
    /// A model's reasoning; never shown to others.
    Thinking {
        /// The reasoning.
        text: String,
        /// Fields of a newer writer.
        #[serde(flatten)]
        extra: Map<String, Value>,
    },
    /// A model's wish to call a tool.
    ToolUse {
        /// The runtime's id of this call.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments, as the model gave them.
        input: Value,
        /// Fields of a newer writer.
        #[serde(flatten)]
        extra: Map<String, Value>,
    },
    /// What a tool answered.
    ToolResult {
        /// The id of the call that this answers.
        tool_use_id: String,
        /// The answer as text.
        text: String,
        /// Whether the tool failed.
        #[serde(default)]
        is_error: bool,
        /// Fields of a newer writer.
        #[serde(flatten)]
        extra: Map<String, Value>,
    },
    /// A reference to a resource or an image; the bytes live elsewhere.
    Resource {
        /// Where it is.
        uri: String,
        /// Its media type, such as `image/png`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        media_type: Option<String>,
        /// Fields of a newer writer.
        #[serde(flatten)]
        extra: Map<String, Value>,
    },
    /// What stands in the place of content that was erased on request.
    Erased {
        /// SHA-256 of the content as it was, in hexadecimal digits.
        sha256: String,
        /// Fields of a newer writer.
        #[serde(flatten)]
        extra: Map<String, Value>,
    },
    /// A kind of block that this version does not know, kept as it came.
    #[serde(untagged)]
    Unknown(Value),
}

impl ContentBlock {
    /// A block of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), extra: Map::new() }
    }

    /// The text of a text block.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            _ => None,
        }
    }
}

keep_unknown!(ContentBlock, "content block", "type": ["text", "thinking", "toolUse", "toolResult", "resource", "erased"]);

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(json: &str) -> Value {
        let block: ContentBlock = serde_json::from_str(json).unwrap();
        serde_json::to_value(block).unwrap()
    }

    #[test]
    fn unknown_kinds_and_fields_survive_a_round_trip() {
        for json in [r#"{"type":"hologram","depth":3}"#, r#"{"type":"text","text":"hi","mood":"calm"}"#] {
            assert_eq!(round_trip(json), serde_json::from_str::<Value>(json).unwrap());
        }
    }

    #[test]
    fn a_known_kind_that_does_not_fit_is_an_error() {
        let error = serde_json::from_str::<ContentBlock>(r#"{"type":"text","text":7}"#).unwrap_err();
        assert!(error.to_string().contains("a `text` content block does not fit"), "{error}");
    }
}
