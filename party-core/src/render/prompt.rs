//! All messages as one text, for a runtime that takes nothing else.

use super::{MessageRole, ModelMessage};
use crate::{
    ContentBlock,
    attribution::{TAG_END, closes_tag, opens_tag},
    from_tag,
};

/// Joins rendered messages into one text, for a runtime that takes a single prompt. What an agent said
/// without a tag is put between tags too: `<from yourself="earlier">` where the reader said it itself in
/// an earlier runtime session, and the primary's tag where a guest reads. Resources are named; calls of
/// tools and thinking are left out. Whatever stands outside of all tags was said by a person or put in by
/// the host; no agent's text can end its own tag.
pub fn as_one_prompt(messages: &[ModelMessage]) -> String {
    let texts: Vec<String> = messages.iter().flat_map(texts).collect();
    texts.join("\n\n")
}

fn texts(message: &ModelMessage) -> Vec<String> {
    let words = message.content.iter().filter_map(in_words).filter(|text| !text.is_empty());
    if message.role != MessageRole::Assistant {
        return words.collect();
    }
    let (mut texts, mut untagged, mut is_inside) = (Vec::new(), Vec::new(), false);
    for text in words {
        if is_inside || opens_tag(&text) {
            texts.extend(tagged(message, &mut untagged));
            is_inside = !closes_tag(&text);
            texts.push(text);
        } else {
            untagged.push(text);
        }
    }
    texts.extend(tagged(message, &mut untagged));
    texts
}

/// Takes what was said without a tag, and tags it.
fn tagged(message: &ModelMessage, untagged: &mut Vec<String>) -> Option<String> {
    let text = std::mem::take(untagged).join("\n\n");
    let tag = message.speaker.as_deref().map_or_else(|| "<from yourself=\"earlier\">".to_owned(), from_tag);
    (!text.is_empty()).then(|| format!("{tag}\n{text}\n{TAG_END}"))
}

fn in_words(block: &ContentBlock) -> Option<String> {
    match block {
        ContentBlock::Text { text, .. } => Some(text.clone()),
        ContentBlock::Resource { uri, media_type: None, .. } => Some(format!("[resource {uri}]")),
        ContentBlock::Resource { uri, media_type: Some(media_type), .. } => {
            Some(format!("[resource {uri}, {media_type}]"))
        }
        _ => None,
    }
}
