//! Reading: records, sessions, windows of threads.

use crate::{Label, Snapshot, Wake};
use party_core::{
    Layer, Offset, Origin, Record, RecordClass, SessionId, Side, ThreadId, ThreadKind, ThreadState, Timestamp,
};
use std::sync::Arc;

/// What a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends declare each of them")]
pub struct Capabilities {
    /// What was acknowledged outlives the process.
    pub durable: bool,
    /// Several processes may use one store.
    pub cross_process: bool,
    /// [`BusAdmin::backup`](crate::BusAdmin::backup) works.
    pub backup: bool,
    /// [`BusAdmin::prune`](crate::BusAdmin::prune) works.
    pub prune: bool,
    /// [`BusAdmin::erase`](crate::BusAdmin::erase) works.
    pub erase: bool,
    /// [`BusAdmin::search`](crate::BusAdmin::search) works.
    pub search: bool,
}

/// What a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct BusInfo {
    /// The backend's name, such as `sqlite`.
    pub backend: &'static str,
    /// The store's own name, the same as long as the store lives.
    pub store: String,
    /// Raised when the store may have lost what it showed before.
    pub epoch: u64,
    /// What the backend can do.
    pub capabilities: Capabilities,
}

/// A set of record classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classes(u8);

impl Classes {
    /// Every class.
    pub const ALL: Self = Self(0b1111);
    /// What a replay folds: all but trace.
    pub const FOLDED: Self = Self(0b0111);

    /// Whether `class` belongs to the set.
    pub const fn contains(self, class: RecordClass) -> bool {
        self.0 & (1 << class as u8) != 0
    }

    /// The bit of each class is that of its place in [`RecordClass`].
    #[cfg(feature = "postgres")]
    pub(crate) const fn mask(self) -> u8 {
        self.0
    }
}

impl FromIterator<RecordClass> for Classes {
    fn from_iter<I: IntoIterator<Item = RecordClass>>(classes: I) -> Self {
        Self(classes.into_iter().fold(0, |set, class| set | 1 << class as u8))
    }
}

/// Asks for records of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Read {
    /// The session.
    pub session: SessionId,
    /// Records behind this one.
    pub after: Offset,
    /// At most so many records.
    pub limit: u32,
    /// Stops once bodies and items make so many bytes; at least one record comes.
    pub max_bytes: u64,
    /// Only records of these classes.
    pub classes: Classes,
    /// The epoch in which `after` was learned; another one than the store's is refused.
    pub epoch: Option<u64>,
}

impl Read {
    /// Up to 1,000 records, 4 MiB, of any class.
    pub const fn new(session: SessionId, after: Offset) -> Self {
        Self { session, after, limit: 1_000, max_bytes: 4 << 20, classes: Classes::ALL, epoch: None }
    }

    /// The same, at most `limit` records.
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// The same, of a reader that learned `after` in `epoch`.
    #[must_use]
    pub const fn in_epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// The same, only records of `classes`.
    #[must_use]
    pub const fn classes(mut self, classes: Classes) -> Self {
        self.classes = classes;
        self
    }
}

/// A page of an answer.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct Page<T> {
    /// What was found, in order.
    pub entries: Vec<T>,
    /// Where to go on: the last offset or position looked at, those left out by a filter included;
    /// for a list, how many to skip. A window that looks back goes on before it.
    pub scanned_to: u64,
    /// Whether there is more behind it now; of records also where the store has not looked.
    pub more: bool,
}

/// A page of records that many hold at once.
pub type SharedPage = Arc<Page<Arc<Record>>>;

/// Waits for records: of one session, or of any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle both")]
pub enum Watch {
    /// Of this session.
    Session {
        /// The session.
        session: SessionId,
        /// The last record known.
        after: Offset,
    },
    /// Of any session.
    Any {
        /// [`Changed::mark`] of the last answer; 0 for all that there are.
        since: u64,
    },
}

/// Sessions that may have grown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct Changed {
    /// Each with its last offset; at most 1,000, unless the mark cannot move and the next call could not go
    /// on behind them. More than did grow is allowed, fewer is not: what is left out here comes with the
    /// next call.
    pub sessions: Vec<(SessionId, Offset)>,
    /// What to give [`Watch::Any`] next; of no meaning to [`Watch::Session`].
    pub mark: u64,
}

impl Changed {
    /// The last offset of `session`, where it may have grown.
    pub fn head_of(&self, session: SessionId) -> Option<Offset> {
        self.sessions.iter().find(|(id, _)| *id == session).map(|(_, head)| *head)
    }
}

/// Asks for sessions that have records: newest first, or those that are due, the longest due first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionQuery {
    /// Only this one.
    pub session: Option<SessionId>,
    /// Only those of this kind; see [`Label`].
    pub kind: Option<String>,
    /// Only those below this one; see [`Label`].
    pub parent: Option<SessionId>,
    /// Only those that want to be driven now, by the store's clock, and that nobody drives.
    pub due: bool,
    /// Leaves out so many from the front.
    pub skip: u64,
    /// At most so many.
    pub limit: u32,
}

impl SessionQuery {
    /// The newest 100 sessions.
    pub const fn newest() -> Self {
        Self { session: None, kind: None, parent: None, due: false, skip: 0, limit: 100 }
    }

    /// One session.
    pub fn one(session: SessionId) -> Self {
        Self { session: Some(session), limit: 1, ..Self::newest() }
    }

    /// At most `limit` sessions that are due and free.
    pub fn due(limit: u32) -> Self {
        Self { due: true, limit, ..Self::newest() }
    }
}

/// A session as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct SessionInfo {
    /// The session.
    pub session: SessionId,
    /// Its last offset.
    pub head: Offset,
    /// When its first record was made.
    pub opened_at: Timestamp,
    /// Who drives it now, where somebody does.
    pub driver: Option<crate::Owner>,
    /// What it is called, where its first batch said so.
    pub label: Option<Label>,
    /// When it wants to be driven.
    pub wake: Wake,
    /// Whether it is a copy that is not complete yet: nobody may drive it, nobody posts to it.
    pub partial: bool,
    /// Its snapshot, where [`SessionQuery::session`] asked for it alone.
    pub snapshot: Option<Snapshot>,
}

impl SessionInfo {
    /// Whether `query` asks for it at `now`, its place in the list aside: the rule of every backend.
    pub fn fits(&self, query: &SessionQuery, now: Timestamp) -> bool {
        let label = self.label.as_ref();
        query.session.is_none_or(|only| only == self.session)
            && query.kind.as_ref().is_none_or(|kind| label.is_some_and(|label| label.kind == *kind))
            && query.parent.is_none_or(|parent| label.is_some_and(|label| label.parent == Some(parent)))
            && !(query.due && (self.driver.is_some() || self.partial || self.wake > Wake::At(now)))
    }
}

/// Asks for threads of a session, by their age.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadQuery {
    /// The session.
    pub session: SessionId,
    /// Only this one.
    pub thread: Option<ThreadId>,
    /// Only branches and tangents of this one.
    pub parent: Option<ThreadId>,
    /// Only those of this kind.
    pub kind: Option<ThreadKind>,
    /// Leaves out so many from the front.
    pub skip: u64,
    /// At most so many.
    pub limit: u32,
}

impl ThreadQuery {
    /// The first 1,000 threads of a session.
    pub const fn all(session: SessionId) -> Self {
        Self { session, thread: None, parent: None, kind: None, skip: 0, limit: 1_000 }
    }

    /// One thread.
    pub fn one(session: SessionId, thread: ThreadId) -> Self {
        Self { thread: Some(thread), limit: 1, ..Self::all(session) }
    }

    /// The first 1,000 branches and tangents of a thread.
    pub fn children(session: SessionId, parent: ThreadId) -> Self {
        Self { parent: Some(parent), ..Self::all(session) }
    }
}

/// A thread as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends build it")]
pub struct ThreadInfo {
    /// The thread.
    pub thread: ThreadId,
    /// What it is for.
    pub kind: ThreadKind,
    /// Whether it takes entries.
    pub state: ThreadState,
    /// Where it begins, of a branch or a tangent.
    pub origin: Option<Origin>,
    /// Its last position.
    pub head: u64,
}

impl ThreadInfo {
    /// Whether `query` asks for it, its place in the list aside: the rule of every backend.
    pub fn fits(&self, query: &ThreadQuery) -> bool {
        query.thread.is_none_or(|thread| thread == self.thread)
            && query.parent.is_none_or(|parent| self.origin.is_some_and(|origin| origin.parent == parent))
            && query.kind.as_ref().is_none_or(|kind| *kind == self.kind)
    }
}

/// Asks for a window of a thread. Threads are named within their session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// The session.
    pub session: SessionId,
    /// The thread.
    pub thread: ThreadId,
    /// Which part of it.
    pub side: Side,
    /// At most so many entries.
    pub limit: u32,
    /// With summaries in the place of what they stand for, or all that was ever added.
    pub layer: Layer,
}

impl Window {
    /// The last `limit` entries.
    pub const fn last(session: SessionId, thread: ThreadId, limit: u32) -> Self {
        Self { session, thread, side: Side::Last, limit, layer: Layer::Shown }
    }

    /// Up to `limit` entries before `position`.
    pub const fn before(session: SessionId, thread: ThreadId, position: u64, limit: u32) -> Self {
        Self { side: Side::Before(position), ..Self::last(session, thread, limit) }
    }

    /// Up to `limit` entries after `position`.
    pub const fn after(session: SessionId, thread: ThreadId, position: u64, limit: u32) -> Self {
        Self { side: Side::After(position), ..Self::last(session, thread, limit) }
    }

    /// The same of all entries, those that are compacted included.
    #[must_use]
    pub const fn archive(mut self) -> Self {
        self.layer = Layer::Archive;
        self
    }
}
