//! Care for a store: what its owner does, not its users.

use crate::{Bus, Page, Result, async_trait};
use party_core::{ItemId, Offset, SessionId};
use serde_json::value::RawValue;
use std::path::Path;

/// The owner's side of a store. A store that cannot do one of these answers
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), and its
/// [`Capabilities`](crate::Capabilities) say so.
#[async_trait]
pub trait BusAdmin: Bus {
    /// Checks that the store holds what it should: offsets without holes, items that are there, windows
    /// that equal the fold of the log, and whatever the backend can check of its files. It only reads.
    ///
    /// # Errors
    /// Those of reading. What it finds is no error but a [`Problem`].
    async fn verify(&self, scope: Scope) -> Result<Report>;

    /// Writes a copy of the whole store, as of one moment, to a new file that only its owner may read.
    /// Readers and writers go on meanwhile. Dropped, it leaves no file.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) where there is a file already.
    async fn backup(&self, to: &Path) -> Result<()>;

    /// Gives space back: what trace says, or whole sessions with all that no other session refers to.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) for a session that somebody drives.
    async fn prune(&self, prune: Prune) -> Result<Pruned>;

    /// Takes content back for good: items become tombstones, records get other bodies; it is gone from
    /// the files as far as the backend reaches. Snapshots of the sessions are dropped.
    /// A driver at work knows what it knows: it may write it again, in a snapshot or as words of its
    /// agents. Erase what nobody drives.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) names what is not there; then nothing is erased.
    async fn erase(&self, erase: Erase) -> Result<Erased>;

    /// Finds messages by their words. What was acknowledged before the call is found.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a text without a word.
    async fn search(&self, search: Search) -> Result<Page<Found>>;
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle both")]
pub enum Scope {
    /// All of it.
    Store,
    /// One session.
    Session(SessionId),
}

/// What [`BusAdmin::verify`] looked at, and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct Report {
    /// Sessions looked at.
    pub sessions: u64,
    /// Records looked at.
    pub records: u64,
    /// What is wrong; at most 1,000.
    pub problems: Vec<Problem>,
}

impl Report {
    /// At most so many problems are told.
    const MOST_PROBLEMS: usize = 1_000;

    /// Takes in a problem, unless there are enough of them.
    pub fn problem(&mut self, session: Option<SessionId>, what: impl Into<String>) {
        if self.problems.len() < Self::MOST_PROBLEMS {
            self.problems.push(Problem { session, what: what.into() });
        }
    }
}

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct Problem {
    /// The session, where it is about one.
    pub session: Option<SessionId>,
    /// What is wrong, in one line that names the record, thread or item.
    pub what: String,
}

/// What to give up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle both")]
pub enum Prune {
    /// What trace of a session says, up to a record. The records stay, of kind [`PRUNED`] and with the
    /// body `{}`, so that offsets have no holes; items that they brought, too.
    Trace {
        /// The session.
        session: SessionId,
        /// The last record that is pruned.
        up_to: Offset,
    },
    /// Whole sessions; those that are not there are left out. Their ids are free again, and tokens of
    /// their leases still grow.
    Sessions(Vec<SessionId>),
}

/// The kind of a trace record whose body was pruned.
pub const PRUNED: &str = "pruned";

/// What was given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct Pruned {
    /// Records emptied or removed now.
    pub records: u64,
    /// Items removed.
    pub items: u64,
}

/// What to take back.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain lists")]
pub struct Erase {
    /// Items that become tombstones, wherever they stand.
    pub items: Vec<ItemId>,
    /// Records that get another body.
    pub bodies: Vec<(SessionId, Offset, Box<RawValue>)>,
}

/// How much was taken back; what was erased before counts again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct Erased {
    /// Items that are tombstones now.
    pub items: u64,
    /// Records that have another body now.
    pub bodies: u64,
}

/// Asks for messages by their words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Search {
    /// Words, all of which a message holds, in any case and order.
    pub text: String,
    /// Only in this session.
    pub session: Option<SessionId>,
    /// Leaves out so many from the front.
    pub skip: u64,
    /// At most so many.
    pub limit: u32,
}

impl Search {
    /// The first 100 messages that hold the words of `text`, newest first.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), session: None, skip: 0, limit: 100 }
    }

    /// The same, in `session` only.
    #[must_use]
    pub const fn in_session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct Found {
    /// The session that brought it first.
    pub session: SessionId,
    /// The record that brought it.
    pub offset: Offset,
    /// The item.
    pub item: ItemId,
    /// A piece of its text around the first word found; at most 200 characters.
    pub excerpt: String,
}
