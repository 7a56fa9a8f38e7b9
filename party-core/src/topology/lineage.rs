//! What a thread inherits, and from whom.

use super::{Ask, Compaction, Outline, Place, Span};
use crate::ThreadId;

/// How many threads a thread may descend from, one of another.
pub const MOST_LEVELS: u16 = 1_024;

/// A thread, or one that it descends from, and what is seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "storage backends build it from their rows")]
pub struct Level {
    /// The thread that holds these entries.
    pub thread: ThreadId,
    /// The first position that it holds itself.
    pub first: u64,
    /// The last position that is seen of it.
    pub last: u64,
    /// Its compactions made from here on are not seen: the branch was made before.
    pub until: Option<Place>,
}

impl Level {
    /// The part of `span` that this level holds.
    pub fn part(&self, span: Span) -> Option<Span> {
        let part = Span { first: span.first.max(self.first), last: span.last.min(self.last) };
        (part.first <= part.last).then_some(part)
    }

    /// The level of the thread that this one, made at `made`, left after `after`.
    pub fn above(&self, parent: ThreadId, first: u64, after: u64, made: Place) -> Self {
        Self { thread: parent, first, last: after.min(self.last), until: Some(made) }
    }

    /// Whether a compaction of this level's thread is seen, and not covered by another one that is.
    pub fn shows(&self, compaction: &Compaction) -> bool {
        let seen = |last: u64, made: Place| last <= self.last && self.until.is_none_or(|until| made < until);
        let covered = compaction.covered.is_some_and(|(last, made)| seen(last, made));
        seen(compaction.span.last, compaction.made) && !covered
    }
}

impl Outline {
    /// The thread and those that it descends from, itself first; `None` for one that was never opened.
    pub fn lineage(&self, thread: ThreadId) -> Option<Vec<Level>> {
        let mut outlined = self.thread(thread)?;
        let mut level = Level { thread, first: outlined.first(), last: outlined.head, until: None };
        let mut levels = vec![level];
        while let Some(origin) = outlined.origin
            && let Some(parent) = self.thread(origin.parent)
        {
            level = level.above(origin.parent, parent.first(), origin.after, outlined.made);
            levels.push(level);
            outlined = parent;
        }
        Some(levels)
    }

    /// The thread from which both descend, or which one of them is, and the last position that they
    /// share; `None` where they share nothing.
    ///
    /// Threads of one tree that share no position, such as branches after 0, have no common ancestor.
    pub fn common_ancestor(&self, one: ThreadId, other: ThreadId) -> Option<(ThreadId, u64)> {
        let (ones, others) = (self.lineage(one)?, self.lineage(other)?);
        let shared = ones.iter().find_map(|level| {
            let same = others.iter().find(|other| other.thread == level.thread)?;
            Some((level.thread, level.last.min(same.last)))
        });
        shared.filter(|(_, last)| *last > 0)
    }

    /// The compaction that a walk asks for, in any of the levels.
    pub fn compaction(&self, levels: &[Level], ask: Ask) -> Option<&Compaction> {
        let found = levels.iter().filter_map(|level| {
            let outlined = self.thread(level.thread)?;
            outlined.compactions(ask).find(|compaction| level.shows(compaction))
        });
        ask.nearest(found, |compaction| compaction.span)
    }
}
