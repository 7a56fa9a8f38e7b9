//! What a model is sent.

use crate::ContentBlock;
use serde::{Deserialize, Serialize};

/// Whose side of the exchange a message stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "every adapter must handle every role")]
pub enum MessageRole {
    /// The system prompt: at most one message, the first.
    System,
    /// What the model is told, what its tools answered included.
    User,
    /// What the model said itself; in a conversation with guests, what any agent said.
    Assistant,
}

/// One message for a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ModelMessage {
    /// Whose side it stands on.
    pub role: MessageRole,
    /// What it says.
    pub content: Vec<ContentBlock>,
    /// How many blocks at the end of `content` were put in at render time, rather than said by
    /// somebody.
    #[serde(default)]
    pub injected: usize,
    /// The agent whose words stand in an assistant message without a tag, where that is not the
    /// reader: the primary, where a guest reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
}

impl ModelMessage {
    /// A message that somebody said; more blocks may follow.
    pub(super) fn said(role: MessageRole, block: ContentBlock, speaker: Option<String>) -> Self {
        Self { role, content: vec![block], injected: 0, speaker }
    }

    /// A message that is put in at render time.
    pub(super) fn injected(role: MessageRole, text: impl Into<String>) -> Self {
        Self { role, content: vec![ContentBlock::text(text)], injected: 1, speaker: None }
    }

    /// All its text blocks, joined by an empty line.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.content.iter().filter_map(ContentBlock::as_text).collect();
        texts.join("\n\n")
    }

    /// What somebody said: the content without what was put in at render time.
    pub fn spoken(&self) -> &[ContentBlock] {
        &self.content[..self.content.len().saturating_sub(self.injected)]
    }
}

/// Makes one message of those that stand side by side and have the same role. What is put in at render
/// time comes last, so it stays at the end.
pub(super) fn merged(messages: Vec<ModelMessage>) -> Vec<ModelMessage> {
    let mut merged: Vec<ModelMessage> = Vec::with_capacity(messages.len());
    for message in messages {
        match merged.last_mut() {
            Some(last) if last.role == message.role => {
                last.content.extend(message.content);
                last.injected += message.injected;
            }
            _ => merged.push(message),
        }
    }
    merged
}
