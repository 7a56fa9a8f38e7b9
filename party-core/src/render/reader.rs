//! For whom a thread is rendered.

use super::MessageRole;
use crate::Author;

/// Who reads, and what kind of thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reader {
    /// An agent that reads its private thread or the feed: its own items are `assistant`, all
    /// others `user`, and every other agent is named by a tag.
    Agent {
        /// The agent's name.
        name: String,
    },
    /// An agent that reads a conversation which belongs to a primary agent: whoever reads, humans are
    /// `user` and all agents `assistant`, and every agent but the primary is named by a tag.
    Conversation {
        /// The name of the agent that reads: the primary's own, or else a guest's.
        name: String,
        /// The primary's name.
        primary: String,
    },
}

impl Reader {
    /// An agent that reads its private thread or the feed.
    pub fn agent(name: impl Into<String>) -> Self {
        Self::Agent { name: name.into() }
    }

    /// The primary agent of a conversation.
    pub fn primary(name: impl Into<String>) -> Self {
        let name = name.into();
        Self::Conversation { primary: name.clone(), name }
    }

    /// A guest in the conversation of `primary`.
    pub fn guest(name: impl Into<String>, primary: impl Into<String>) -> Self {
        Self::Conversation { name: name.into(), primary: primary.into() }
    }

    /// The name of the agent that reads.
    pub fn name(&self) -> &str {
        let (Self::Agent { name } | Self::Conversation { name, .. }) = self;
        name
    }

    /// Whether the reader made what `author` made.
    pub fn is_author(&self, author: &Author) -> bool {
        author.agent_name() == Some(self.name())
    }

    /// The primary, where a guest reads.
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Self::Conversation { name, primary } if name != primary => Some(primary),
            _ => None,
        }
    }

    /// Whose side the author's words stand on.
    pub(super) fn role_of(&self, author: &Author) -> MessageRole {
        let assistant = match self {
            Self::Agent { .. } => self.is_author(author),
            Self::Conversation { .. } => author.agent_name().is_some(),
        };
        if assistant { MessageRole::Assistant } else { MessageRole::User }
    }

    /// The name that the author's words are tagged with: that of an agent which is not the one whose
    /// thread it is. An author of a newer kind may be no person, so it does not pass for one.
    pub(super) fn tag_of<'a>(&self, author: &'a Author) -> Option<&'a str> {
        let (Self::Agent { name: untagged } | Self::Conversation { primary: untagged, .. }) = self;
        match author {
            Author::Unknown(_) => Some("unknown"),
            author => author.agent_name().filter(|name| name != untagged),
        }
    }
}
