//! How long content is to a model, without a model.

use crate::{Author, ContentBlock, Item, ModelMessage, attributed};

/// Bytes of UTF-8 for each token: what code and JSON take. English takes rather four and Chinese three,
/// so the estimate is seldom too low.
const BYTES_PER_TOKEN: u64 = 3;

/// What the frame around a message takes.
const PER_MESSAGE: u64 = 4;

/// What an image takes at most, by the providers' rules of thumb.
const PER_IMAGE: u64 = 1_600;

impl Item {
    /// About how many tokens the item takes in a model's input: a token for every three bytes of its text,
    /// rounded up, 4 for the frame and 1,600 for an image. All blocks count, also those that only the
    /// author is shown, and the tag that names an agent. The same item, the same number, on every machine;
    /// 0 only where there is no content.
    pub fn estimated_tokens(&self) -> u64 {
        let tag = match &self.author {
            Author::Agent { name } => attributed(name, "").len(),
            _ => 0,
        };
        estimate(&self.content, tag)
    }
}

impl ModelMessage {
    /// About how many tokens the message takes in a model's input, counted as for
    /// [`Item::estimated_tokens`]; its tags are part of its text.
    pub fn estimated_tokens(&self) -> u64 {
        estimate(&self.content, 0)
    }
}

fn estimate(content: &[ContentBlock], tag: usize) -> u64 {
    if content.is_empty() {
        return 0;
    }
    let images = content.iter().filter(|block| is_image(block)).count() as u64;
    let bytes = content.iter().map(bytes).fold(tag as u64, u64::saturating_add);
    bytes.div_ceil(BYTES_PER_TOKEN).saturating_add(PER_MESSAGE).saturating_add(images * PER_IMAGE)
}

fn is_image(block: &ContentBlock) -> bool {
    matches!(block, ContentBlock::Resource { media_type: Some(kind), .. } if kind.starts_with("image/"))
}

fn bytes(block: &ContentBlock) -> u64 {
    let bytes = match block {
        ContentBlock::Text { text, .. } | ContentBlock::Thinking { text, .. } => text.len(),
        ContentBlock::ToolUse { id, name, input, .. } => id.len() + name.len() + input.to_string().len(),
        ContentBlock::ToolResult { tool_use_id, text, .. } => tool_use_id.len() + text.len(),
        ContentBlock::Resource { uri, media_type, .. } => {
            uri.len() + media_type.as_ref().map_or(0, String::len)
        }
        ContentBlock::Erased { sha256, .. } => sha256.len(),
        ContentBlock::Unknown(value) => value.to_string().len(),
    };
    bytes as u64
}
