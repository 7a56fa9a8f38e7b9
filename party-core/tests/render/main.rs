//! Rendering: what one reader is shown of a history.
#![expect(clippy::unwrap_used, reason = "test code")]

mod estimates;
mod framing;
mod golden;
mod laws;
mod pairs;

use party_core::{Author, ContentBlock, Item, ItemId, Timestamp};
use serde_json::{Map, Value};

fn item(n: usize, author: Author, content: Vec<ContentBlock>) -> Item {
    let id = ItemId::derive(&[&n.to_be_bytes()]);
    let mut item = Item::message(id, author, Timestamp::default(), "");
    item.content = content;
    item
}

/// Messages of one text each, in order.
fn history<const N: usize>(said: [(Author, &str); N]) -> Vec<Item> {
    let items = said.into_iter().enumerate();
    items.map(|(n, (author, text))| item(n, author, vec![ContentBlock::text(text)])).collect()
}

fn ann() -> Author {
    Author::human("ann")
}

fn agent(name: &str) -> Author {
    Author::agent(name)
}

fn thinking(text: &str) -> ContentBlock {
    ContentBlock::Thinking { text: text.into(), extra: Map::new() }
}

fn call(id: &str, input: Value) -> ContentBlock {
    ContentBlock::ToolUse { id: id.into(), name: "look".into(), input, extra: Map::new() }
}

fn answer(id: &str, text: &str) -> ContentBlock {
    ContentBlock::ToolResult { tool_use_id: id.into(), text: text.into(), is_error: false, extra: Map::new() }
}

fn resource(uri: &str, media_type: Option<&str>) -> ContentBlock {
    ContentBlock::Resource { uri: uri.into(), media_type: media_type.map(str::to_owned), extra: Map::new() }
}
