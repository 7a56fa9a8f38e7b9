//! Inputs: what anybody may write. They are filed, and a decision acts on them.

use crate::ItemId;
use serde::{Deserialize, Serialize};

/// Somebody said something; the item and its author stand in the record's envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct MessagePosted {
    /// What was said.
    pub item: ItemId,
}

/// Somebody asks the session to do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Commanded {
    /// What is asked for.
    pub command: Command,
}

/// What can be asked of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "the engine must handle every command: a forgotten arm must not compile"
)]
pub enum Command {
    /// End all running turns and close the session as aborted.
    Stop,
    /// Close the session once it has come to rest; messages behind it are not acted on.
    Close,
}
