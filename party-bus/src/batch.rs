//! Writing: one atomic batch of records of one session.

use crate::{Error, ErrorKind, Result};
use party_core::{Author, BatchId, NewRecord, Offset, Op, RecordClass, SessionId};
use sha2::{Digest, Sha256};

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
        }
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

    /// Checks what needs no store: the same rules for every backend.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] says which record breaks which rule.
    pub fn check(&self) -> Result<()> {
        let invalid = |why: String| Err(Error::new(ErrorKind::Invalid, format!("batch {}: {why}", self.id)));
        if self.records.is_empty() {
            return invalid("holds no records".into());
        }
        if self.expect == Expect::Input && self.snapshot.is_some() {
            return invalid("brings a snapshot, which only a driver makes".into());
        }
        for (index, record) in self.records.iter().enumerate() {
            let is_input = record.class == RecordClass::Input;
            if !is_input && self.expect == Expect::Input {
                return invalid(format!("record {index} is a {}, which only a driver writes", record.class));
            }
            if is_input && !record.ops.is_empty() {
                return invalid(format!("record {index} is an input and changes topology"));
            }
            if is_input && self.author.is_none() {
                return invalid(format!("record {index} is an input without an author"));
            }
            if is_input && !matches!(self.author, Some(Author::Human { .. })) {
                return invalid(format!("record {index} is an input, and its author is not a person"));
            }
            if is_input && record.items.iter().any(|item| Some(&item.author) != self.author.as_ref()) {
                return invalid(format!("record {index} brings an item of another author"));
            }
            if record.ops.iter().any(|op| matches!(op, Op::Add { threads, .. } if threads.is_empty())) {
                return invalid(format!("record {index} adds an item to no thread"));
            }
        }
        Ok(())
    }

    /// SHA-256 of what the batch writes; its expectation and snapshot aside.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [serde_json::to_vec(&self.author), serde_json::to_vec(&self.records)] {
            let part = part.expect("invariant: records hold only what JSON can hold");
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(&part);
        }
        hash.finalize().into()
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
