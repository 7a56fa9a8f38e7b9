//! Reading: records, sessions, windows of threads.

use crate::Snapshot;
use party_core::{Offset, RecordClass, SessionId, ThreadId, Timestamp};

/// What a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends declare each of them")]
pub struct Capabilities {
    /// What was acknowledged outlives the process.
    pub durable: bool,
    /// Several processes may use one store.
    pub cross_process: bool,
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
    #[cfg(feature = "sqlite")]
    pub(crate) const fn mask(self) -> u8 {
        self.0
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
}

impl Read {
    /// Up to 1,000 records, 4 MiB, of any class.
    pub const fn new(session: SessionId, after: Offset) -> Self {
        Self { session, after, limit: 1_000, max_bytes: 4 << 20, classes: Classes::ALL }
    }

    /// The same, at most `limit` records.
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
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
    /// for a list of sessions, how many to skip. A window that looks back goes on before it.
    pub scanned_to: u64,
    /// Whether there is more behind it now.
    pub more: bool,
}

/// Waits for records of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "two plain fields")]
pub struct Watch {
    /// The session.
    pub session: SessionId,
    /// The last record known.
    pub after: Offset,
}

/// Asks for sessions that have records, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionQuery {
    /// Only this one.
    pub session: Option<SessionId>,
    /// Leaves out so many from the front.
    pub skip: u64,
    /// At most so many.
    pub limit: u32,
}

impl SessionQuery {
    /// The newest 100 sessions.
    pub const fn newest() -> Self {
        Self { session: None, skip: 0, limit: 100 }
    }

    /// One session.
    pub const fn one(session: SessionId) -> Self {
        Self { session: Some(session), skip: 0, limit: 1 }
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
    /// Its snapshot, where [`SessionQuery::session`] asked for it alone.
    pub snapshot: Option<Snapshot>,
}

/// Which part of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle every side")]
pub enum Side {
    /// The last entries.
    Last,
    /// Entries before a position.
    Before(u64),
    /// Entries after a position.
    After(u64),
}

/// Asks for a window of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// The thread.
    pub thread: ThreadId,
    /// Which part of it.
    pub side: Side,
    /// At most so many entries.
    pub limit: u32,
}

impl Window {
    /// The last `limit` entries.
    pub const fn last(thread: ThreadId, limit: u32) -> Self {
        Self { thread, side: Side::Last, limit }
    }

    /// Up to `limit` entries before `position`.
    pub const fn before(thread: ThreadId, position: u64, limit: u32) -> Self {
        Self { thread, side: Side::Before(position), limit }
    }

    /// Up to `limit` entries after `position`.
    pub const fn after(thread: ThreadId, position: u64, limit: u32) -> Self {
        Self { thread, side: Side::After(position), limit }
    }
}

/// The positions that a window shows of a thread of `head` entries. They are dense, so no entry
/// need be read to know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first position shown.
    pub(crate) first: u64,
    /// The last position shown; before `first` where nothing is.
    pub(crate) last: u64,
    scanned_to: u64,
    more: bool,
}

impl Window {
    pub(crate) fn span(&self, head: u64) -> Span {
        let limit = u64::from(self.limit);
        let backwards = |last: u64| {
            let first = last.saturating_sub(limit) + 1;
            Span { first, last, scanned_to: first, more: first > 1 }
        };
        match self.side {
            Side::Last => backwards(head),
            Side::Before(position) => backwards(head.min(position.saturating_sub(1))),
            Side::After(position) => {
                let last = head.min(position.saturating_add(limit));
                Span {
                    first: position.saturating_add(1),
                    last,
                    scanned_to: position.max(last),
                    more: last < head,
                }
            }
        }
    }
}

impl Span {
    pub(crate) fn contains(self, position: u64) -> bool {
        (self.first..=self.last).contains(&position)
    }

    pub(crate) fn page<T>(self, entries: Vec<T>) -> Page<T> {
        Page { entries, scanned_to: self.scanned_to, more: self.more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_cut_at_both_ends_of_the_thread() {
        let thread = ThreadId::derive(&[]);
        let shown = |window: Window, head| {
            let span = window.span(head);
            (span.first, span.last, span.scanned_to, span.more)
        };
        assert_eq!(shown(Window::last(thread, 3), 10), (8, 10, 8, true));
        assert_eq!(shown(Window::last(thread, 30), 10), (1, 10, 1, false));
        assert_eq!(shown(Window::last(thread, 3), 0), (1, 0, 1, false));
        assert_eq!(shown(Window::before(thread, 4, 3), 10), (1, 3, 1, false));
        assert_eq!(shown(Window::before(thread, 0, 3), 10), (1, 0, 1, false));
        assert_eq!(shown(Window::after(thread, 4, 3), 10), (5, 7, 7, true));
        assert_eq!(shown(Window::after(thread, 12, 3), 10), (13, 10, 12, false));
    }
}
