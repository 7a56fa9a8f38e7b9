//! The topology of threads: who refers to which item, where, and how it came there.
//!
//! Threads are changed by [`Op`]s that travel in a record's envelope. Storage alone assigns dense
//! positions per thread, so that two writers never agree on a wrong one. Branches, compactions and
//! tangents are further ops of this one enum.

use crate::{Item, ItemId, Offset, ThreadId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a thread is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ThreadKind {
    /// The thread that all seats share.
    Feed,
    /// A seat's own thread.
    Private,
}

/// How an item came to its place in a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[non_exhaustive]
pub enum How {
    /// It was said here.
    Said,
    /// It was brought here from another thread, or from the author's message.
    #[serde(rename_all = "camelCase")]
    Delivered {
        /// The thread where it was said; absent for a message from outside.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<ThreadId>,
    },
}

/// A change of topology. A record carries its ops in its envelope, so that storage can keep an
/// index of threads without reading the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "every backend must handle every op: a forgotten arm must not compile"
)]
pub enum Op {
    /// Opens a thread. A thread is opened once.
    Open {
        /// The new thread.
        thread: ThreadId,
        /// What it is for.
        kind: ThreadKind,
    },
    /// Appends a reference to `item` to each of `threads`.
    Add {
        /// The threads, in order; the entry's index runs over (op, thread) pairs.
        threads: Vec<ThreadId>,
        /// The item referred to.
        item: ItemId,
        /// How it came there.
        how: How,
    },
}

/// A place in a thread that refers to an item, as a window returns it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Entry {
    /// Its position in the thread: 1 is the first, without holes.
    pub position: u64,
    /// The record that put it there.
    pub offset: Offset,
    /// Which (op, thread) pair of that record.
    pub index: u32,
    /// How it came there.
    pub how: How,
    /// What it refers to.
    pub item: Arc<Item>,
}

impl Entry {
    /// An entry as a store has it.
    pub const fn new(position: u64, offset: Offset, index: u32, how: How, item: Arc<Item>) -> Self {
        Self { position, offset, index, how, item }
    }
}
