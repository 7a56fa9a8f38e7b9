//! What a reader is told at render time, behind the history.

use super::{MessageRole, ModelMessage, Reader};
use crate::{
    ContentBlock,
    attribution::{escape_name, opens_tag},
    escape_tags,
};
use serde::{Deserialize, Serialize};

/// Text that is put in at render time and never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Framing(String);

impl Framing {
    /// Framing of the given words.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What a guest is told in the conversation of `primary`: that it joins, and what the tags mean.
    /// It names the tag without writing one, so that all tags which a model sees are real.
    pub fn guest(primary: &str) -> Self {
        Self(format!(
            "You join this conversation as a guest. Its primary agent is \"{}\"; what the assistant says without a \
             tag is that agent's. What stands between a tag `from agent=\"NAME\"` and its end was said by the agent \
             that the tag names; a tag with a backslash in it is only part of a text. Answer the latest message of \
             the user, as yourself, and write no such tag.",
            escape_name(primary)
        ))
    }

    /// What the primary of a conversation is told once another agent spoke in it: that some messages are
    /// from guests, and that it goes on as itself.
    pub fn primary() -> Self {
        Self::new(
            "Some messages of this conversation are from guests: what stands between a tag `from agent=\"NAME\"` and \
             its end was said by the agent that the tag names, not by you; a tag with a backslash in it is only part \
             of a text. Go on as yourself, and write no such tag.",
        )
    }

    /// Its words.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The framing as a message of its own, marked as injected.
    pub fn into_message(self) -> ModelMessage {
        ModelMessage::injected(MessageRole::User, self.0)
    }
}

/// What the reader of a conversation has to be told about the others in it, unless the history says it.
pub(super) fn of_conversation(reader: &Reader, said: &[ModelMessage]) -> Option<Framing> {
    let Reader::Conversation { .. } = reader else { return None };
    let framing = match reader.host() {
        Some(primary) => Framing::guest(primary),
        None if blocks(said, MessageRole::Assistant).any(opens_tag) => Framing::primary(),
        None => return None,
    };
    let is_held = blocks(said, MessageRole::User).any(|text| text == framing.text());
    (!is_held).then_some(framing)
}

/// Whether the last thing that the reader is told is the same text already.
pub(super) fn stands_last(messages: &[ModelMessage], framing: &Framing) -> bool {
    let last = messages.last().filter(|message| message.role == MessageRole::User);
    let text = last.and_then(|message| message.content.last()?.as_text());
    text.is_some_and(|text| text == framing.text() || text == escape_tags(framing.text()))
}

fn blocks(messages: &[ModelMessage], role: MessageRole) -> impl Iterator<Item = &str> {
    messages
        .iter()
        .filter(move |message| message.role == role)
        .flat_map(|message| &message.content)
        .filter_map(ContentBlock::as_text)
}
