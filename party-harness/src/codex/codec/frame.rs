//! What is read of a frame: found in one pass, and left in its text.

use crate::claude_code::codec::view::Json;
use serde::{Deserialize, Deserializer};

/// A line: a frame as it came, or one within a recording's line.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) dir: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) msg: Option<Frame<'a>>,
    #[serde(borrow)]
    method: Option<Json<'a>>,
    #[serde(borrow)]
    id: Option<Json<'a>>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
    #[serde(borrow)]
    result: Option<Json<'a>>,
    #[serde(borrow)]
    error: Option<Json<'a>>,
}

impl<'a> Line<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The line as the frame that it is.
    pub(super) fn into_frame(self) -> Frame<'a> {
        let Self { method, id, params, result, error, .. } = self;
        Frame { method, id, params: params.unwrap_or_default(), result, error }
    }
}

/// A message of the protocol. All fields are there, whatever the message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::codex) struct Frame<'a> {
    #[serde(borrow)]
    pub(in crate::codex) method: Option<Json<'a>>,
    #[serde(borrow)]
    pub(in crate::codex) id: Option<Json<'a>>,
    #[serde(borrow, deserialize_with = "or_none")]
    pub(in crate::codex) params: Params<'a>,
    #[serde(borrow)]
    pub(in crate::codex) result: Option<Json<'a>>,
    #[serde(borrow)]
    pub(in crate::codex) error: Option<Json<'a>>,
}

impl<'a> Frame<'a> {
    /// Reads a frame; `None` where the text is no JSON object, or none of a message's shape.
    pub(in crate::codex) fn read(text: &'a str) -> Option<Self> {
        Line::read(text).map(Line::into_frame)
    }

    /// The method as it is written; none of those that are known needs an escape.
    pub(in crate::codex) fn method(&self) -> Option<&'a str> {
        plain(self.method?)
    }
}

/// The inside of a text that needs no escape to be compared.
pub(super) fn plain(json: Json<'_>) -> Option<&str> {
    json.get().strip_prefix('"')?.strip_suffix('"')
}

/// Null is as good as nothing.
fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Params<'de>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// What messages are about.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::codex) struct Params<'a> {
    #[serde(borrow)]
    pub(in crate::codex) thread_id: Option<Json<'a>>,
    #[serde(borrow)]
    pub(in crate::codex) turn_id: Option<Json<'a>>,
    #[serde(borrow)]
    pub(in crate::codex) turn: Option<TurnView<'a>>,
    #[serde(borrow)]
    pub(super) item: Option<Item<'a>>,
    #[serde(borrow)]
    pub(super) token_usage: Option<TokenUsage<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<Trouble<'a>>,
    #[serde(borrow)]
    pub(super) will_retry: Option<Json<'a>>,
    #[serde(borrow)]
    pub(in crate::codex) request_id: Option<Json<'a>>,
    /// Of questions.
    #[serde(borrow)]
    pub(super) item_id: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) call_id: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) namespace: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) tool: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) arguments: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) command: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) cwd: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) reason: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) server_name: Option<Json<'a>>,
    #[serde(borrow, rename = "_meta")]
    pub(super) meta: Option<Json<'a>>,
}

/// A turn in a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::codex) struct TurnView<'a> {
    #[serde(borrow)]
    pub(in crate::codex) id: Option<Json<'a>>,
    #[serde(borrow)]
    pub(in crate::codex) status: Option<Json<'a>>,
    #[serde(borrow)]
    pub(in crate::codex) error: Option<Trouble<'a>>,
    #[serde(borrow)]
    pub(in crate::codex) items: Option<Json<'a>>,
}

impl<'a> TurnView<'a> {
    pub(in crate::codex) fn status(&self) -> Option<&'a str> {
        plain(self.status?)
    }
}

/// An error of a turn.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::codex) struct Trouble<'a> {
    #[serde(borrow)]
    pub(super) message: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) codex_error_info: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) additional_details: Option<Json<'a>>,
}

/// Tokens of a thread so far, and of its last model call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenUsage<'a> {
    #[serde(borrow)]
    pub(super) total: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) last: Option<Json<'a>>,
}

/// Something that a turn consists of.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::codex) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) id: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) text: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) phase: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) summary: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) content: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) command: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) cwd: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) aggregated_output: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) changes: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) server: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) namespace: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) tool: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) arguments: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) result: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) content_items: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) success: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) query: Option<Json<'a>>,
}
