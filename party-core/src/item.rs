//! Items: immutable content, stored once and referred to from any number of threads.

use crate::{ContentBlock, ItemId, Newer, Timestamp, newer::keep_unknown};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Who made an item. Storage stamps it from the writer's credential, never from a message's body.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "type", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Author {
    /// A person.
    Human {
        /// The person's name.
        name: String,
    },
    /// An agent that sits in a session.
    Agent {
        /// The seat's name.
        name: String,
    },
    /// Party itself, such as for a format or a prompt that a session stores.
    System,
    /// An author of a kind that this version does not know, kept as it came.
    #[serde(untagged)]
    Unknown(Newer),
}

keep_unknown!(Author, "author", "type": ["human", "agent", "system"]);

impl Author {
    /// A person.
    pub fn human(name: impl Into<String>) -> Self {
        Self::Human { name: name.into() }
    }

    /// An agent.
    pub fn agent(name: impl Into<String>) -> Self {
        Self::Agent { name: name.into() }
    }

    /// The agent's name, where an agent is the author.
    pub fn agent_name(&self) -> Option<&str> {
        match self {
            Self::Agent { name } => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Human { name } | Self::Agent { name } => f.write_str(name),
            Self::System => f.write_str("system"),
            Self::Unknown(_) => f.write_str("unknown"),
        }
    }
}

/// What an item is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ItemKind {
    /// Something said in the conversation.
    Message,
    /// A text that a session refers to: a format, a role's prompt.
    Document,
    /// What stands for a range of a thread that was compacted.
    Summary,
    /// A kind that a host or a newer version added.
    #[serde(untagged)]
    Other(String),
}

/// Immutable content: created once, never changed. Where it appears is the threads' business.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Item {
    /// Its name, unique in a store.
    pub id: ItemId,
    /// Who made it.
    pub author: Author,
    /// What it is for.
    pub kind: ItemKind,
    /// What it says.
    pub content: Vec<ContentBlock>,
    /// When it was made, by its author's clock.
    pub created_at: Timestamp,
    /// The item that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<ItemId>,
    /// Fields of a newer writer.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Item {
    /// A message of one block of text.
    pub fn message(id: ItemId, author: Author, created_at: Timestamp, text: impl Into<String>) -> Self {
        Self {
            id,
            author,
            kind: ItemKind::Message,
            content: vec![ContentBlock::text(text)],
            created_at,
            answers: None,
            extra: Map::new(),
        }
    }

    /// What stands for a range of a thread, of one block of text.
    pub fn summary(id: ItemId, author: Author, created_at: Timestamp, text: impl Into<String>) -> Self {
        Self { kind: ItemKind::Summary, ..Self::message(id, author, created_at, text) }
    }

    /// What is left of the item once its content is erased on request: its id, author, kind, times and
    /// links, and a hash of what it said. Erasing it again changes nothing.
    #[must_use]
    pub fn erased(&self) -> Self {
        if self.is_erased() {
            return self.clone();
        }
        let content = serde_json::to_vec(&(&self.content, &self.extra))
            .expect("invariant: items hold only what JSON can hold");
        let sha256 = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let content = vec![ContentBlock::Erased { sha256, extra: Map::new() }];
        Self { content, extra: Map::new(), author: self.author.clone(), kind: self.kind.clone(), ..*self }
    }

    /// Whether its content was erased.
    pub fn is_erased(&self) -> bool {
        matches!(self.content[..], [ContentBlock::Erased { .. }])
    }

    /// The same item with a link to the one that it answers.
    #[must_use]
    pub const fn answering(mut self, item: ItemId) -> Self {
        self.answers = Some(item);
        self
    }

    /// All its text blocks, joined by a newline.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.content.iter().filter_map(ContentBlock::as_text).collect();
        texts.join("\n")
    }
}
