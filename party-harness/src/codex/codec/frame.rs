//! What is read of a message: found in its text, and left there.

use crate::jsonl::view::Json;
use serde::{Deserialize, Deserializer};

/// A line: a message as it came, or one within a recording's line.
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
    #[serde(borrow, deserialize_with = "or_default")]
    params: Params<'a>,
    #[serde(borrow)]
    result: Option<Json<'a>>,
    #[serde(borrow)]
    error: Option<Json<'a>>,
}

impl<'a> Line<'a> {
    /// The line as the message that it is.
    pub(super) fn into_frame(self) -> Frame<'a> {
        let Self { method, id, params, result, error, .. } = self;
        Frame { method, id, params, result, error }
    }
}

/// A message of the protocol. All fields are there, whatever the message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::codex) struct Frame<'a> {
    #[serde(borrow)]
    method: Option<Json<'a>>,
    #[serde(borrow)]
    pub(in crate::codex) id: Option<Json<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub(in crate::codex) params: Params<'a>,
    #[serde(borrow)]
    pub(in crate::codex) result: Option<Json<'a>>,
    #[serde(borrow)]
    pub(in crate::codex) error: Option<Json<'a>>,
}

impl<'a> Frame<'a> {
    /// Reads a frame; `None` where the text is no JSON object, or none of a message's shape.
    pub(in crate::codex) fn read(text: &'a str) -> Option<Self> {
        Json::read_as(text)
    }

    /// The method as it is written; none of those that are known needs an escape.
    pub(in crate::codex) fn method(&self) -> Option<&'a str> {
        plain(self.method?)
    }
}

/// Null is nothing.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(json: D) -> Result<T, D::Error> {
    Option::deserialize(json).map(Option::unwrap_or_default)
}

/// Whether a method tells of a piece of a text, which is told whole later.
pub(in crate::codex) fn is_delta(method: &str) -> bool {
    method.ends_with("elta")
}

/// The inside of a text that needs no escape to be compared.
pub(super) fn plain(json: Json<'_>) -> Option<&str> {
    json.get().strip_prefix('"')?.strip_suffix('"')
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
    turn: Option<Json<'a>>,
    #[serde(borrow)]
    item: Option<Json<'a>>,
    #[serde(borrow)]
    token_usage: Option<Json<'a>>,
    #[serde(borrow)]
    error: Option<Json<'a>>,
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

impl<'a> Params<'a> {
    /// The name of the turn that it is about.
    pub(in crate::codex) fn turn_name(&self) -> Option<&'a str> {
        plain(self.turn_id.or_else(|| self.turn()?.id)?)
    }

    pub(super) fn turn(&self) -> Option<TurnView<'a>> {
        of(self.turn)
    }

    pub(super) fn item(&self) -> Option<Item<'a>> {
        of(self.item)
    }

    /// The item's kind where that is told first, as servers do.
    pub(super) fn item_kind(&self) -> Option<&'a str> {
        Some(self.item?.get().strip_prefix(r#"{"type":""#)?.split_once('"')?.0)
    }

    pub(super) fn token_usage(&self) -> Option<TokenUsage<'a>> {
        of(self.token_usage)
    }

    pub(super) fn error(&self) -> Option<Trouble<'a>> {
        of(self.error)
    }
}

/// A part of a message, where it is of a known shape.
fn of<'a, T: Deserialize<'a>>(json: Option<Json<'a>>) -> Option<T> {
    serde_json::from_str(json?.get()).ok()
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

/// Tokens as a server counts them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Counts<'a> {
    #[serde(borrow)]
    pub(super) input_tokens: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) cached_input_tokens: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) cache_write_input_tokens: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) output_tokens: Option<Json<'a>>,
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
