//! What items tell.

use super::{
    asked::command,
    frame::{Item, plain},
    run::Run,
};
use crate::{RawJson, TurnEvent, jsonl::view::Json};
use serde_json::Value;
use std::sync::Arc;

/// What the server's own shell and editor are called here.
pub(in crate::codex) const SHELL: &str = "shell";
pub(in crate::codex) const PATCH: &str = "apply_patch";
const SEARCH: &str = "web_search";

impl Run {
    /// Whether the item's kind is known.
    pub(super) fn began(&mut self, item: &Item<'_>, out: &mut Vec<TurnEvent>) -> bool {
        match item.kind.and_then(plain) {
            Some("userMessage" | "agentMessage" | "reasoning" | "functionCallOutput" | "plan") => {}
            Some("contextCompaction") if !self.is_new(item) => {}
            Some("contextCompaction") => {
                out.push(TurnEvent::Waiting { reason: "the conversation is being compacted".to_owned() });
            }
            Some(kind) if is_tool(kind) => self.used(kind, item, out),
            _ => return false,
        }
        true
    }

    /// The same of an item that is over.
    pub(super) fn ended(&mut self, item: &Item<'_>, out: &mut Vec<TurnEvent>) -> bool {
        match item.kind.and_then(plain) {
            Some("userMessage" | "functionCallOutput" | "contextCompaction" | "plan") => {}
            Some("agentMessage") => self.said(item, out),
            Some("reasoning") => {
                if let Some(text) = thought(item).filter(|_| self.is_new(item)) {
                    out.push(TurnEvent::Thinking { text: text.into() });
                }
            }
            Some(kind) if is_tool(kind) => {
                self.used(kind, item, out);
                self.answered(kind, item, out);
            }
            _ => return false,
        }
        true
    }

    fn said(&mut self, item: &Item<'_>, out: &mut Vec<TurnEvent>) {
        let text = item.text.and_then(Json::string).filter(|text| !text.is_empty());
        let Some(text) = text.map(Arc::<str>::from).filter(|_| self.is_new(item)) else { return };
        let is_aside = matches!(item.phase.and_then(plain), Some("commentary" | "partial_answer"));
        if self.say(text.clone(), is_aside) {
            out.push(TurnEvent::Text { text });
        }
    }

    fn used(&mut self, kind: &str, item: &Item<'_>, out: &mut Vec<TurnEvent>) {
        let Some(id) = item.id.and_then(Json::string) else { return };
        if self.call(&id) {
            let (name, input) = self.call_of(kind, item);
            out.push(TurnEvent::ToolUse { id, name, input });
        }
    }

    fn answered(&mut self, kind: &str, item: &Item<'_>, out: &mut Vec<TurnEvent>) {
        let Some(id) = item.id.and_then(Json::string) else { return };
        if self.reply(&id) {
            let is_error = item.status.and_then(plain).is_some_and(|status| status != "completed")
                || item.success.and_then(Json::bool) == Some(false);
            let text = answer(kind, item).unwrap_or_default();
            out.push(TurnEvent::ToolResult { id, text: text.into(), is_error });
        }
    }

    fn call_of(&self, kind: &str, item: &Item<'_>) -> (String, RawJson) {
        let string = |json: Option<Json<'_>>| json.and_then(Json::string);
        let tool = string(item.tool).unwrap_or_default();
        let given = || item.arguments.map_or_else(RawJson::null, RawJson::from);
        match kind {
            "commandExecution" => (SHELL.to_owned(), command(item.command, item.cwd, None)),
            "fileChange" => (PATCH.to_owned(), object("changes", item.changes)),
            "webSearch" => (SEARCH.to_owned(), object("query", item.query)),
            "mcpToolCall" => (format!("mcp__{}__{tool}", string(item.server).unwrap_or_default()), given()),
            "dynamicToolCall" => match string(item.namespace) {
                Some(namespace) if *namespace != *self.namespace => (format!("{namespace}.{tool}"), given()),
                _ => (tool, given()),
            },
            // An agent of the server's own.
            _ => (format!("collaboration.{tool}"), given()),
        }
    }
}

fn is_tool(kind: &str) -> bool {
    matches!(
        kind,
        "commandExecution"
            | "fileChange"
            | "webSearch"
            | "mcpToolCall"
            | "dynamicToolCall"
            | "collabAgentToolCall"
    )
}

fn object(name: &str, value: Option<Json<'_>>) -> RawJson {
    let value = value.map(|value| RawJson::from(value).value());
    Value::Object(value.map(|value| (name.to_owned(), value)).into_iter().collect()).into()
}

/// The summary of a reasoning, or all of it where there is none.
fn thought(item: &Item<'_>) -> Option<String> {
    let texts = |list: Option<Json<'_>>| {
        let texts = list?.items()?.into_iter().filter_map(Json::string);
        Some(texts.collect::<Vec<_>>().join("\n\n")).filter(|text| !text.is_empty())
    };
    texts(item.summary).or_else(|| texts(item.content))
}

fn answer(kind: &str, item: &Item<'_>) -> Option<String> {
    match kind {
        "commandExecution" => item.aggregated_output.and_then(Json::string).or_else(|| declined(item)),
        "fileChange" => declined(item),
        "mcpToolCall" => match item.error.and_then(|error| error.field("message")) {
            Some(message) => message.string(),
            None => item.result?.field("content").and_then(texts),
        },
        "dynamicToolCall" => item.content_items.and_then(texts),
        _ => None,
    }
}

fn declined(item: &Item<'_>) -> Option<String> {
    (item.status.and_then(plain) == Some("declined")).then(|| "declined".to_owned())
}

fn texts(blocks: Json<'_>) -> Option<String> {
    let is_text = |block: &Json<'_>| {
        matches!(block.field("type").and_then(plain), Some("text" | "inputText" | "outputText"))
    };
    let texts = blocks.items()?.into_iter().filter(is_text).filter_map(|block| block.field("text")?.string());
    Some(texts.collect::<Vec<_>>().join("\n"))
}
