//! What of an item one reader is shown, block by block.

use super::{MessageRole, Reader};
use crate::{Author, ContentBlock, Item, ItemKind, attribution::TAG_END, escape_tags, from_tag};
use serde_json::{Map, Value};

/// What stands in front of a summary's text.
const SUMMARY: &str = "Summary of earlier messages:\n";

/// What is shown in the place of erased content.
const ERASED: &str = "[erased on request]";

/// A block with its role, and the place of the item that it comes from.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) item: usize,
    pub(super) role: MessageRole,
    pub(super) block: ContentBlock,
}

/// The parts of the item at place `at`. Only the reader's own thinking and calls are shown. Every string
/// but thinking, which a provider may have signed, is escaped.
pub(super) fn parts(at: usize, item: &Item, reader: &Reader) -> Vec<Part> {
    let role = reader.role_of(&item.author);
    let tag = reader.tag_of(&item.author);
    let own = reader.is_author(&item.author);
    let mut parts = Vec::new();
    for block in &item.content {
        let (role, block) = match block {
            ContentBlock::Text { text, .. } if text.trim().is_empty() => continue,
            ContentBlock::Text { .. } => (role, introduced(&item.kind, escaped(block, own))),
            ContentBlock::Resource { .. } => (role, escaped(block, own)),
            ContentBlock::Erased { .. } => (role, ContentBlock::text(ERASED)),
            ContentBlock::Thinking { .. } if own => (role, block.clone()),
            ContentBlock::ToolUse { .. } if own => (role, escaped(block, own)),
            ContentBlock::ToolResult { .. } if own || item.author == Author::System => {
                (MessageRole::User, escaped(block, own))
            }
            // What others think and call is theirs; no adapter could say what an unknown block means.
            _ => continue,
        };
        let blocks = match tag {
            Some(name) => attributed(name, block),
            None => vec![block],
        };
        parts.extend(blocks.into_iter().map(|block| Part { item: at, role, block }));
    }
    parts
}

/// An escaped text behind a line that says what it is, where it is no message.
fn introduced(kind: &ItemKind, block: ContentBlock) -> ContentBlock {
    match block {
        ContentBlock::Text { text, extra } if *kind == ItemKind::Summary => {
            ContentBlock::Text { text: format!("{SUMMARY}{text}"), extra }
        }
        other => other,
    }
}

/// An escaped block between its author's tag and the tag's end.
fn attributed(name: &str, block: ContentBlock) -> Vec<ContentBlock> {
    match block {
        ContentBlock::Text { text, extra } => {
            vec![ContentBlock::Text { text: format!("{}\n{text}\n{TAG_END}", from_tag(name)), extra }]
        }
        ContentBlock::Resource { .. } => {
            vec![ContentBlock::text(from_tag(name)), block, ContentBlock::text(TAG_END)]
        }
        own => vec![own],
    }
}

/// The block without would-be tags. Fields of a newer writer stay with what is the reader's `own`, since
/// a provider may want them back.
fn escaped(block: &ContentBlock, own: bool) -> ContentBlock {
    let kept = |extra: &Map<String, Value>| if own { extra.clone() } else { Map::new() };
    match block {
        ContentBlock::Text { text, extra } => {
            ContentBlock::Text { text: escape_tags(text), extra: kept(extra) }
        }
        ContentBlock::ToolUse { id, name, input, extra } => ContentBlock::ToolUse {
            id: escape_tags(id),
            name: escape_tags(name),
            input: escaped_value(input),
            extra: kept(extra),
        },
        ContentBlock::ToolResult { tool_use_id, text, is_error, extra } => ContentBlock::ToolResult {
            tool_use_id: escape_tags(tool_use_id),
            text: escape_tags(text),
            is_error: *is_error,
            extra: kept(extra),
        },
        ContentBlock::Resource { uri, media_type, extra } => ContentBlock::Resource {
            uri: escape_tags(uri),
            media_type: media_type.as_deref().map(escape_tags),
            extra: kept(extra),
        },
        other => other.clone(),
    }
}

fn escaped_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(escape_tags(text)),
        Value::Array(values) => values.iter().map(escaped_value).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (escape_tags(key), escaped_value(value))).collect()
        }
        other => other.clone(),
    }
}
