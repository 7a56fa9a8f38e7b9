//! From a view, as one reader sees it, to model messages.

mod framing;
mod message;
mod pairs;
mod prompt;
mod reader;
mod shown;

use crate::Item;
pub use framing::Framing;
pub use message::{MessageRole, ModelMessage};
pub use prompt::as_one_prompt;
pub use reader::Reader;
use shown::Part;
use std::borrow::Borrow;

/// How a view is rendered: for whom, with which system prompt and framing, and for what kind of model.
///
/// * A system prompt comes first, framing last; so what lies between stays the same from turn to turn,
///   as long as nothing but new entries come, and a provider's cache of it holds.
/// * The thinking and the tool calls of others are left out. A call of the reader's own stands with its
///   answer right behind it, in the next message; where one of the two is missing, the other is left out.
/// * What an agent said stands between `<from agent="NAME">` and `</from>`, unless it is the reader (in
///   the feed or a private thread) or the primary (in a conversation). Every other text that holds such
///   a tag is escaped, whoever wrote it: see [`unescape_tags`](crate::unescape_tags).
/// * In a conversation the reader is told about the tags: a guest always, the primary where another agent
///   spoke. Where the history holds the same text as a message of the user, nothing is put in.
///
/// ```
/// use party_core::{Author, Item, ItemId, MessageRole, Reader, Rendering, Timestamp};
///
/// let said = |n: u8, author, text| Item::message(ItemId::derive(&[&[n]]), author, Timestamp::default(), text);
/// let history = [
///     said(1, Author::human("ann"), "Is it safe?"),
///     said(2, Author::agent("Mary"), "I think so."),
///     said(3, Author::human("ann"), "Winston?"),
///     said(4, Author::agent("Winston"), "No."),
///     said(5, Author::human("ann"), "Why?"),
/// ];
/// let rendering = Rendering::new(Reader::guest("Winston", "Mary")).with_system("You are a sceptic.");
/// let messages = rendering.messages(&history);
/// assert_eq!(messages[0].role, MessageRole::System);
/// assert_eq!(messages[2].text(), "I think so.");
/// assert_eq!(messages[4].text(), "<from agent=\"Winston\">\nNo.\n</from>");
/// assert_eq!(messages[5].injected, 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendering {
    reader: Reader,
    system: Option<String>,
    framing: Option<Framing>,
    is_merged: bool,
    is_told: bool,
}

impl Rendering {
    /// For `reader`, with messages merged, without a system prompt and without framing but that of a
    /// conversation.
    pub const fn new(reader: Reader) -> Self {
        Self { reader, system: None, framing: None, is_merged: true, is_told: false }
    }

    /// Puts the system prompt first, word for word: it is the host's.
    #[must_use]
    pub fn with_system(mut self, prompt: impl Into<String>) -> Self {
        self.system = Some(prompt.into());
        self
    }

    /// Puts `framing` last, such as a turn's instruction; not where the same text stands last already.
    #[must_use]
    pub fn with_framing(mut self, framing: Framing) -> Self {
        self.framing = Some(framing);
        self
    }

    /// Makes a message, or more where roles change, of each item. Otherwise messages of one role that
    /// stand side by side are merged, so that roles alternate, as some models demand.
    #[must_use]
    pub const fn unmerged(mut self) -> Self {
        self.is_merged = false;
        self
    }

    /// Leaves out the framing of a conversation: for a runtime session that remembers being told.
    #[must_use]
    pub const fn already_told(mut self) -> Self {
        self.is_told = true;
        self
    }

    /// Renders a view's items, oldest first. Depends on nothing else, so rendering again gives the same.
    pub fn messages<I: Borrow<Item>>(&self, items: impl IntoIterator<Item = I>) -> Vec<ModelMessage> {
        let system = self.system.as_deref().filter(|prompt| !prompt.trim().is_empty());
        let mut messages: Vec<_> =
            system.map(|prompt| ModelMessage::injected(MessageRole::System, prompt)).into_iter().collect();
        messages.extend(self.said(items));
        if !self.is_told {
            let framing = framing::of_conversation(&self.reader, &messages);
            messages.extend(framing.map(Framing::into_message));
        }
        let framing = self.framing.as_ref().filter(|framing| !framing::stands_last(&messages, framing));
        let framing = framing.cloned().map(Framing::into_message);
        messages.extend(framing);
        if self.is_merged { message::merged(messages) } else { messages }
    }

    /// What was said: a message for each item, or more where roles change within it.
    fn said<I: Borrow<Item>>(&self, items: impl IntoIterator<Item = I>) -> Vec<ModelMessage> {
        let items = items.into_iter().enumerate();
        let parts = items.flat_map(|(at, item)| shown::parts(at, item.borrow(), &self.reader)).collect();
        let parts = pairs::without_idle_thinking(pairs::kept_together(parts));
        let (mut messages, mut place) = (Vec::<ModelMessage>::new(), None);
        for Part { item, role, block } in parts {
            match messages.last_mut() {
                Some(last) if place == Some((item, role)) => last.content.push(block),
                _ => messages.push(ModelMessage::said(role, block, self.speaker(role))),
            }
            place = Some((item, role));
        }
        messages
    }

    fn speaker(&self, role: MessageRole) -> Option<String> {
        self.reader.host().filter(|_| role == MessageRole::Assistant).map(str::to_owned)
    }
}

/// Renders items, oldest first, for one reader, as [`Rendering`] does without further options.
pub fn render<I: Borrow<Item>>(items: impl IntoIterator<Item = I>, reader: &Reader) -> Vec<ModelMessage> {
    Rendering::new(reader.clone()).messages(items)
}
