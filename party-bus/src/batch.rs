//! Writing: one atomic batch of records of one session.

use party_core::{Author, BatchId, NewRecord, Offset, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a batch expects of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle both ways to write")]
pub enum Expect {
    /// Nothing: the batch holds inputs only, and goes behind whatever is there.
    Input,
    /// The writer drives the session: the head is where it thinks, and its lease still holds.
    Driver {
        /// The session's last offset; [`Offset::START`] for a session that begins.
        head: Offset,
        /// The token of its lease.
        fencing_token: u64,
    },
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle both")]
pub enum Durability {
    /// Once it is on the disk.
    Synced,
    /// At once; it is on the disk with the next synced batch. For trace, and what can be redone.
    Buffered,
}

/// A cache of an engine's state, so that recovery need not fold the whole log. Never a truth: an
/// engine of another build ignores it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "storage backends build it from their rows")]
pub struct Snapshot {
    /// The build of the engine that made it.
    pub engine: String,
    /// The last record that it has folded.
    pub offset: Offset,
    /// The state, as that engine writes it.
    pub state: Vec<u8>,
}

/// When a session wants to be driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle every case")]
pub enum Wake {
    /// As soon as somebody can: something is to be done. Every input says so.
    Now,
    /// Once this time has come.
    At(Timestamp),
    /// Not before somebody writes to it.
    Idle,
}

/// What a session is called, for whoever looks for it. Given with its first batch, it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "storage backends build it from their rows")]
pub struct Label {
    /// What kind of session it is, such as `ledger`.
    pub kind: String,
    /// Which one of its kind, such as a date.
    pub key: String,
    /// The session that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SessionId>,
}

/// Records of one session that are written together or not at all.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// The session.
    pub session: SessionId,
    /// The batch's name; the same again is the same write.
    pub id: BatchId,
    /// What it expects of the log.
    pub expect: Expect,
    /// Who writes: the credential of the handle. Inputs are stamped with it; only a person writes them,
    /// so that no agent's words come from anywhere but its turns.
    pub author: Option<Author>,
    /// When it is acknowledged.
    pub durability: Durability,
    /// The records, in order; at least one.
    pub records: Vec<NewRecord>,
    /// A new snapshot of the session, which replaces the last one.
    pub snapshot: Option<Snapshot>,
    /// When the session wants to be driven next; as before where the batch does not say.
    pub wake: Option<Wake>,
    /// What the session is called; of its first batch only.
    pub label: Option<Label>,
    /// More of a copy is to come: until a batch without this mark nobody may post to the session, and
    /// [`SessionInfo::partial`](crate::SessionInfo::partial) says so. Of a driver's batches only.
    pub partial: bool,
}

impl Batch {
    /// A synced batch of inputs by `author`.
    pub const fn input(session: SessionId, id: BatchId, author: Author, records: Vec<NewRecord>) -> Self {
        Self {
            session,
            id,
            expect: Expect::Input,
            author: Some(author),
            durability: Durability::Synced,
            records,
            snapshot: None,
            wake: Some(Wake::Now),
            label: None,
            partial: false,
        }
    }

    /// A synced batch by the session's driver.
    pub const fn driver(
        session: SessionId,
        id: BatchId,
        head: Offset,
        fencing_token: u64,
        records: Vec<NewRecord>,
    ) -> Self {
        Self {
            session,
            id,
            expect: Expect::Driver { head, fencing_token },
            author: None,
            durability: Durability::Synced,
            records,
            snapshot: None,
            wake: None,
            label: None,
            partial: false,
        }
    }

    /// The same batch, after which the session wants to be driven at `wake`.
    #[must_use]
    pub const fn waking(mut self, wake: Wake) -> Self {
        self.wake = Some(wake);
        self
    }

    /// The same batch, the first of a session that is called so.
    #[must_use]
    pub fn labelled(mut self, label: Label) -> Self {
        self.label = Some(label);
        self
    }

    /// The same batch, with more of a copy to come.
    #[must_use]
    pub const fn partial(mut self) -> Self {
        self.partial = true;
        self
    }

    /// The same batch under the credential of a handle, whose inputs it carries.
    #[must_use]
    pub fn by(mut self, author: Author) -> Self {
        self.author = Some(author);
        self
    }

    /// The same batch, buffered.
    #[must_use]
    pub const fn buffered(mut self) -> Self {
        self.durability = Durability::Buffered;
        self
    }

    /// The same batch with a snapshot.
    #[must_use]
    pub fn with_snapshot(mut self, snapshot: Option<Snapshot>) -> Self {
        self.snapshot = snapshot;
        self
    }
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "storage backends build it")]
pub struct Receipt {
    /// The offset of its first record.
    pub first: Offset,
    /// The offset of its last record.
    pub last: Offset,
    /// What is promised of it.
    pub durability: Durability,
    /// Whether the batch had been written before, and nothing was written now.
    pub repeated: bool,
}
