//! Documents: texts that a session refers to by their hash, so that no replay reads a file.

use crate::{Author, ContentBlock, Item, ItemId, ItemKind, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// A reference to a stored text: an item whose id follows from the text, and the text's SHA-256.
/// The same text is stored once, however many sessions use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Document {
    /// The item that holds the text.
    pub item: ItemId,
    /// SHA-256 of the text, in hexadecimal.
    pub sha256: String,
}

impl Document {
    /// Makes the item for `text` and the reference to it.
    pub fn new(text: impl Into<String>) -> (Self, Item) {
        let text = text.into();
        let digest = Sha256::digest(text.as_bytes());
        let id = ItemId::derive(&[b"document", digest.as_slice()]);
        let sha256 = digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let item = Item {
            id,
            author: Author::System,
            kind: ItemKind::Document,
            content: vec![ContentBlock::text(text)],
            created_at: Timestamp::default(),
            answers: None,
            extra: Map::new(),
        };
        (Self { item: id, sha256 }, item)
    }
}
