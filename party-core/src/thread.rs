//! The topology of threads: who refers to which item, where, and how it came there.
//!
//! Threads are changed by [`Op`]s that travel in a record's envelope. Storage alone assigns dense
//! positions per thread, so that two writers never agree on a wrong one.

use crate::{Item, ItemId, Newer, Offset, ThreadId, newer::keep_unknown};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// What a thread is for. Storage treats all kinds alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ThreadKind {
    /// The thread that all seats share.
    Feed,
    /// A seat's own thread.
    Private,
    /// A sub-thread anchored to one entry of another.
    Tangent,
    /// A person's standing conversation with the manager.
    OfficeManager,
    /// A session's conversation with its project's lead.
    Project,
    /// A person's conversation with their proxy.
    Proxy,
    /// One agent's request to another.
    Dispatch,
    /// A conversation with whoever keeps the configuration.
    ConfigLead,
    /// A party inside another.
    SubParty,
    /// An agent's conversation with one sender, in which guests may answer.
    Guest,
    /// A kind that a host or a newer version added.
    #[serde(untagged)]
    Other(String),
}

impl ThreadKind {
    /// The id of the conversation of this kind that `key` names within its session, such as the
    /// sender's name: the same kind and key, the same thread.
    ///
    /// ```
    /// use party_core::ThreadKind;
    ///
    /// let ann = ThreadKind::OfficeManager.id_of(&["ann"]);
    /// assert_eq!(ann, ThreadKind::OfficeManager.id_of(&["ann"]));
    /// assert_ne!(ann, ThreadKind::Proxy.id_of(&["ann"]));
    /// ```
    pub fn id_of(&self, key: &[&str]) -> ThreadId {
        let kind = self.to_string();
        let parts: Vec<&[u8]> =
            std::iter::once(kind.as_str()).chain(key.iter().copied()).map(str::as_bytes).collect();
        ThreadId::derive(&parts)
    }
}

/// The name that stands on the wire.
impl fmt::Display for ThreadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Feed => "feed",
            Self::Private => "private",
            Self::Tangent => "tangent",
            Self::OfficeManager => "officeManager",
            Self::Project => "project",
            Self::Proxy => "proxy",
            Self::Dispatch => "dispatch",
            Self::ConfigLead => "configLead",
            Self::SubParty => "subParty",
            Self::Guest => "guest",
            Self::Other(name) => name,
        })
    }
}

/// How an item came to its place in a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "type", rename_all = "camelCase")]
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
    /// It stands for entries that were compacted. No [`Op::Add`] says so, [`Op::Compact`] does.
    #[serde(rename_all = "camelCase")]
    Summary {
        /// The first position that it stands for.
        first: u64,
        /// The last position that it stands for; its own position, too.
        last: u64,
    },
    /// It is a result of a tangent. No [`Op::Add`] says so, [`Op::Resolve`] does.
    #[serde(rename_all = "camelCase")]
    Resolved {
        /// The tangent.
        tangent: ThreadId,
        /// The position that the tangent was anchored to.
        anchor: u64,
    },
    /// A way of a newer writer, kept as it came.
    #[serde(untagged)]
    Unknown(Newer),
}

keep_unknown!(How, "way into a thread", "type": ["said", "delivered", "summary", "resolved"]);

/// A change of topology. A record carries its ops in its envelope, so that storage can keep an
/// index of threads without reading the body. Threads are named within their session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
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
        /// How it came there: said, or delivered.
        how: How,
    },
    /// Opens a thread that begins with the first `after` positions of another, and goes on by itself.
    Branch {
        /// The new thread.
        thread: ThreadId,
        /// What it is for.
        kind: ThreadKind,
        /// The thread that it leaves.
        from: ThreadId,
        /// The last position that both share; 0 for none.
        after: u64,
    },
    /// Shows `item` in the place of positions `first` to `last` of a thread. They stay in the archive.
    Compact {
        /// The thread.
        thread: ThreadId,
        /// The first position; neither end may lie within a range that is compacted already, unless
        /// this one covers it whole.
        first: u64,
        /// The last position.
        last: u64,
        /// The summary.
        item: ItemId,
    },
    /// Opens a thread anchored to an entry: it sees its parent up to the anchor.
    Tangent {
        /// The new thread, of kind [`ThreadKind::Tangent`].
        thread: ThreadId,
        /// The thread that it belongs to.
        parent: ThreadId,
        /// The position that it is anchored to.
        anchor: u64,
    },
    /// Ends a tangent: its results are appended to its parent.
    Resolve {
        /// The tangent.
        thread: ThreadId,
        /// What came of it, at least one item; one entry each.
        items: Vec<ItemId>,
    },
    /// Ends a tangent without a result.
    Abandon {
        /// The tangent.
        thread: ThreadId,
    },
    /// Closes a thread that is no tangent: nothing is added to it any more.
    Close {
        /// The thread.
        thread: ThreadId,
    },
    /// A change of a newer writer, kept as it came. No store writes it: it would not know what to do.
    #[serde(untagged)]
    Unknown(Newer),
}

keep_unknown!(Op, "change of topology", "op": ["open", "add", "branch", "compact", "tangent", "resolve", "abandon", "close"]);

/// Whether a thread still takes entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle every state")]
pub enum ThreadState {
    /// It does.
    Open,
    /// It was closed.
    Closed,
    /// A tangent whose results stand in its parent.
    Resolved,
    /// A tangent without a result.
    Abandoned,
}

impl fmt::Display for ThreadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Resolved => "resolved",
            Self::Abandoned => "abandoned",
        })
    }
}

/// Where a thread begins that is a branch or a tangent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "storage backends build it from their rows")]
pub struct Origin {
    /// The thread whose first positions it shares.
    pub parent: ThreadId,
    /// The last position shared; a tangent's anchor.
    pub after: u64,
}

/// A place in a thread that refers to an item, as a window returns it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Entry {
    /// Its position in the thread: 1 is the first, without holes. A branch counts on behind what it
    /// shares. A summary stands at the last position that it stands for.
    pub position: u64,
    /// The record that put it there.
    pub offset: Offset,
    /// Which (op, thread) pair of that record; of [`Op::Resolve`], which (op, item) pair.
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
