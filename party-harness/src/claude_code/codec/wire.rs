//! The fields of the CLI's lines that are read; all others pass unseen.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, collections::BTreeMap};

/// What tells the kind of a line, wherever in the line it stands: the order of keys is not stable.
#[derive(Debug, Deserialize)]
pub(super) struct Head<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(super) subtype: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(super) uuid: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) session_id: Option<String>,
    #[serde(default)]
    pub(super) parent_tool_use_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Init {
    #[serde(default)]
    pub(super) tools: Vec<String>,
    #[serde(default)]
    pub(super) mcp_servers: Vec<McpServer>,
    #[serde(default)]
    pub(super) mcp_server_errors: Option<Value>,
    #[serde(default)]
    pub(super) claude_code_version: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct McpServer {
    pub(super) name: String,
    #[serde(default)]
    pub(super) status: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    pub(super) message: Message<'a>,
    #[serde(default, rename = "isSynthetic")]
    pub(super) is_synthetic: bool,
    #[serde(default, rename = "isReplay")]
    pub(super) is_replay: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default, borrow)]
    pub(super) content: Option<&'a RawValue>,
}

/// A block of content; a known kind that does not fit, and every other kind, is raw.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Text {
        text: String,
    },
    Thinking {
        thinking: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    ToolResult {
        tool_use_id: String,
        #[serde(default)]
        content: Value,
        #[serde(default)]
        is_error: Option<bool>,
    },
}

#[derive(Debug, Deserialize)]
pub(super) struct ApiRetry {
    #[serde(default)]
    pub(super) attempt: u64,
    #[serde(default)]
    pub(super) max_retries: u64,
    #[serde(default)]
    pub(super) error_status: Option<u64>,
    #[serde(default)]
    pub(super) error: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RateLimit {
    pub(super) rate_limit_info: RateLimitInfo,
}

#[derive(Debug, Deserialize)]
pub(super) struct RateLimitInfo {
    pub(super) status: String,
    #[serde(default, rename = "resetsAt")]
    pub(super) resets_at: Option<i64>,
}

/// One `result` line. Figures that do not fit are none, so that a strange figure loses no answer.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Outcome {
    #[serde(default)]
    pub(super) is_error: bool,
    #[serde(default)]
    pub(super) num_turns: Value,
    #[serde(default)]
    pub(super) result: Option<String>,
    #[serde(default)]
    pub(super) errors: Vec<String>,
    #[serde(default)]
    pub(super) subtype: Option<String>,
    #[serde(default)]
    pub(super) terminal_reason: Option<String>,
    #[serde(default)]
    pub(super) total_cost_usd: Value,
    #[serde(default)]
    pub(super) usage: Value,
    #[serde(default)]
    pub(super) model_usage_since_last_result: Option<BTreeMap<String, Value>>,
}

/// The text of a tool's answer, which is a string or a list of blocks.
pub(super) fn tool_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let text = |block: &Value| match block.get("text").and_then(Value::as_str) {
                Some(text) => text.to_owned(),
                None => format!("[{}]", block.get("type").and_then(Value::as_str).unwrap_or("unknown")),
            };
            blocks.iter().map(text).collect::<Vec<_>>().join("\n")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The line with every half of a surrogate pair that lacks its other half replaced: JavaScript
/// writes such halves where it cut a text, and they are no Unicode.
pub(super) fn without_lone_surrogates(mut line: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(next) = line[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        at += match (unit(&line, at), unit(&line, at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                line[at + 2..at + 6].copy_from_slice(b"fffd");
                6
            }
            _ => 2.min(line.len() - at),
        };
    }
    line
}

/// The code unit of the `\uXXXX` that stands at `at`.
fn unit(line: &[u8], at: usize) -> Option<u16> {
    let digits = line.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        let mended = |text: &str| String::from_utf8(without_lone_surrogates(text.into())).unwrap();
        let whole = r#""\ud83d\ude00 \\ud83d x \u12"#;
        assert_eq!(mended(whole), whole);
        assert_eq!(mended(r#""a\ud83d""#), r#""a\ufffd""#);
        assert_eq!(mended(r#""\ude00\ud83d\ude00\ud83d\n\"#), r#""\ufffd\ud83d\ude00\ufffd\n\"#);
    }

    #[test]
    fn a_tools_answer_is_text_in_each_of_its_shapes() {
        let text = |json: &str| tool_text(&serde_json::from_str(json).unwrap());
        assert_eq!(text(r#""plain""#), "plain");
        assert_eq!(text(r#"[{"type":"text","text":"a"},{"type":"image"}]"#), "a\n[image]");
        assert_eq!(text("null"), "");
    }
}
