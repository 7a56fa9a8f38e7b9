//! What the model said, or what tools answer it.

use super::{
    unescape::Prose,
    view::{Fields, Json},
};
use crate::RawJson;

/// A message of the model, or what tools answer it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) by_model: bool,
    pub(super) id: Option<String>,
    pub(super) blocks: Vec<Block>,
}

/// A block of content; a known kind that does not fit, and every other kind, is raw.
#[derive(Debug)]
pub(super) enum Block {
    Text(Prose),
    Thinking(Prose),
    Call { id: String, name: String, input: RawJson },
    Answer { id: String, text: Prose, is_error: bool },
    Other(RawJson),
}

impl Message {
    /// `None` where the content is no list.
    pub(super) fn of_model(message: &Fields<'_>) -> Option<Self> {
        let blocks = blocks(message, |block| !matches!(block, Block::Answer { .. }))?;
        Some(Self { by_model: true, id: message.get("id").and_then(Json::string), blocks })
    }

    /// `None` where the content is no list.
    pub(super) fn of_tools(message: &Fields<'_>) -> Option<Self> {
        let blocks = blocks(message, |block| matches!(block, Block::Answer { .. }))?;
        Some(Self { by_model: false, id: None, blocks })
    }
}

fn blocks(message: &Fields<'_>, fits: fn(&Block) -> bool) -> Option<Vec<Block>> {
    let block = |block: Json<'_>| known(block).filter(fits).unwrap_or_else(|| Block::Other(block.into()));
    Some(message.get("content")?.items()?.into_iter().map(block).collect())
}

fn known(block: Json<'_>) -> Option<Block> {
    let [mut kind, mut text, mut thinking, mut id, mut name, mut input, mut call, mut content, mut error] =
        [None; 9];
    for (field, value) in block.fields().iter() {
        match field {
            "type" => kind = Some(value),
            "text" => text = Some(value),
            "thinking" => thinking = Some(value),
            "id" => id = Some(value),
            "name" => name = Some(value),
            "input" => input = Some(value),
            "tool_use_id" => call = Some(value),
            "content" => content = Some(value),
            "is_error" => error = Some(value),
            _ => {}
        }
    }
    let prose = |value: Option<Json<'_>>| Some(value?.text()?.to_prose());
    Some(match kind?.get() {
        r#""text""# => Block::Text(prose(text)?),
        r#""thinking""# => Block::Thinking(prose(thinking)?),
        r#""tool_use""# => {
            let input = input.map_or_else(RawJson::null, RawJson::from);
            Block::Call { id: id?.string()?, name: name?.string()?, input }
        }
        r#""tool_result""# => {
            let text = content.map_or_else(|| Prose::Own(String::new()), tool_text);
            Block::Answer { id: call?.string()?, text, is_error: error.and_then(Json::bool).unwrap_or(false) }
        }
        _ => return None,
    })
}

/// The text of a tool's answer, which is a string or a list of blocks.
fn tool_text(content: Json<'_>) -> Prose {
    if let Some(text) = content.text() {
        return text.to_prose();
    }
    let Some(blocks) = content.items() else {
        let text = if content.is_filled() { content.get() } else { "" };
        return Prose::Own(text.to_owned());
    };
    let of = |block: Json<'_>| match block.field("text").and_then(Json::text) {
        Some(text) => text.to_prose(),
        None => {
            let kind = block.field("type").and_then(Json::string);
            Prose::Own(format!("[{}]", kind.as_deref().unwrap_or("unknown")))
        }
    };
    let mut blocks = blocks.into_iter();
    let Some(first) = blocks.next() else { return Prose::Own(String::new()) };
    let first = of(first);
    let Some(second) = blocks.next() else { return first };
    let mut text = first.share().to_string();
    for block in std::iter::once(second).chain(blocks) {
        text.push('\n');
        text.push_str(&of(block).share());
    }
    Prose::Own(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_answer_is_text_in_each_of_its_shapes() {
        let text = |json| tool_text(Json::read(json).unwrap()).share();
        assert_eq!(&*text(r#""plain""#), "plain");
        assert_eq!(&*text(r#"[{"type":"text","text":"a\n"},{"type":"image"},7]"#), "a\n\n[image]\n[unknown]");
        assert_eq!(&*text(r#"[{"text":"one"}]"#), "one");
        assert_eq!((&*text("null"), &*text("[]"), &*text(r#"{"a":1}"#)), ("", "", r#"{"a":1}"#));
    }
}
