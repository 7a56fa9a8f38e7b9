//! The rules of topology.

use super::{Ask, MOST_LEVELS, TopologyError};
use crate::{How, ItemId, Offset, Op, Origin, ThreadId, ThreadKind, ThreadState};
use std::{collections::BTreeMap, fmt};

/// Which (op, thread) pair of which record. Later ones are greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "storage backends build it from their rows")]
pub struct Place {
    /// The record.
    pub offset: Offset,
    /// The pair.
    pub index: u32,
}

impl Place {
    /// At most so many pairs in one record.
    pub const MOST_PAIRS: u32 = 1 << 20;

    /// One number, in the same order, for a column.
    pub const fn packed(self) -> u64 {
        self.offset.0.saturating_mul(Self::MOST_PAIRS as u64).saturating_add(self.index as u64)
    }

    /// The place that a column holds.
    pub const fn unpacked(number: u64) -> Self {
        let pairs = Self::MOST_PAIRS as u64;
        Self { offset: Offset(number / pairs), index: (number % pairs) as u32 }
    }
}

/// Positions of a thread, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "storage backends build it from their rows")]
pub struct Span {
    /// The first one.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

impl Span {
    /// Whether `position` is one of them.
    pub const fn contains(self, position: u64) -> bool {
        self.first <= position && position <= self.last
    }

    const fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.first, self.last)
    }
}

/// A range that is shown as a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "storage backends build it from their rows")]
pub struct Compaction {
    /// The range.
    pub span: Span,
    /// The summary.
    pub item: ItemId,
    /// When it was made.
    pub made: Place,
    /// Where the range of the next larger one of the same thread ends, and when that was made.
    pub covered: Option<(u64, Place)>,
}

/// A thread without its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlined {
    /// What it is for.
    pub kind: ThreadKind,
    /// Its last position, that of what it shares included.
    pub head: u64,
    /// Whether it takes entries.
    pub state: ThreadState,
    /// Where it begins.
    pub origin: Option<Origin>,
    /// When it was opened.
    pub made: Place,
    /// How many threads it descends from.
    pub depth: u16,
    /// By the first position, then by age.
    compactions: BTreeMap<(u64, Place), Compaction>,
}

impl Outlined {
    /// A thread as a store has it, its compactions aside.
    pub const fn new(kind: ThreadKind, origin: Option<Origin>, made: Place, depth: u16) -> Self {
        let head = match origin {
            Some(origin) => origin.after,
            None => 0,
        };
        Self { kind, head, state: ThreadState::Open, origin, made, depth, compactions: BTreeMap::new() }
    }

    /// The first position that it holds itself.
    pub fn first(&self) -> u64 {
        self.origin.map_or(0, |origin| origin.after) + 1
    }

    /// Takes in a compaction that a store has.
    pub fn load(&mut self, compaction: Compaction) {
        self.compactions.insert((compaction.span.first, compaction.made), compaction);
    }

    /// Its compactions on the side that is asked for, nearest and newest first.
    pub(super) fn compactions(&self, ask: Ask) -> Box<dyn Iterator<Item = &Compaction> + '_> {
        let newest = Place { offset: Offset(u64::MAX), index: u32::MAX };
        match ask {
            Ask::Below(position) => Box::new(
                self.compactions.range(..=(position, newest)).rev().map(|(_, compaction)| compaction),
            ),
            Ask::Above(position) => Box::new(
                self.compactions
                    .range((position.saturating_add(1), Place::default())..)
                    .map(|(_, compaction)| compaction),
            ),
        }
    }

    fn expect_open(&self, thread: ThreadId) -> Result<(), TopologyError> {
        match self.state {
            ThreadState::Open => Ok(()),
            state => Err(TopologyError::Ended { thread, state }),
        }
    }

    fn expect_entry(&self, thread: ThreadId, position: u64) -> Result<(), TopologyError> {
        if (1..=self.head).contains(&position) {
            return Ok(());
        }
        Err(TopologyError::NoEntry { thread, position, head: self.head })
    }
}

/// What an op comes to, as a store carries it out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must carry out every change")]
pub enum Change {
    /// A thread begins.
    Opened {
        /// The thread.
        thread: ThreadId,
        /// What it is for.
        kind: ThreadKind,
        /// Where it begins.
        origin: Option<Origin>,
        /// When.
        made: Place,
        /// How many threads it descends from.
        depth: u16,
    },
    /// An entry is appended.
    Added {
        /// The thread.
        thread: ThreadId,
        /// Its position there.
        position: u64,
        /// What it refers to.
        item: ItemId,
        /// How it came there.
        how: How,
        /// Its place.
        place: Place,
    },
    /// A range is shown as a summary. Compactions of the same thread within it are covered from now on,
    /// where they were not.
    Compacted {
        /// The thread.
        thread: ThreadId,
        /// The range.
        span: Span,
        /// The summary.
        item: ItemId,
        /// When.
        made: Place,
    },
    /// A thread ends.
    Ended {
        /// The thread.
        thread: ThreadId,
        /// How.
        state: ThreadState,
    },
}

/// The threads of a session, or those of them that a batch touches and descends from, without entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    threads: BTreeMap<ThreadId, Outlined>,
}

impl Outline {
    /// A thread.
    pub fn thread(&self, thread: ThreadId) -> Option<&Outlined> {
        self.threads.get(&thread)
    }

    /// All threads, by id.
    pub fn threads(&self) -> impl Iterator<Item = (ThreadId, &Outlined)> {
        self.threads.iter().map(|(id, outlined)| (*id, outlined))
    }

    /// Takes in a thread that a store has.
    pub fn load(&mut self, thread: ThreadId, outlined: Outlined) {
        self.threads.insert(thread, outlined);
    }

    /// Carries out the ops of the record at `offset`; all of them, or none. What they come to, in order.
    ///
    /// # Errors
    /// The first op that does not fit, by its thread.
    pub fn apply(&mut self, offset: Offset, ops: &[Op]) -> Result<Vec<Change>, TopologyError> {
        let mut changes = Vec::new();
        let mut place = Place { offset, index: 0 };
        for op in ops {
            if let Err(error) = self.carry_out(op, &mut place, &mut changes) {
                self.undo(&changes);
                return Err(error);
            }
        }
        Ok(changes)
    }

    /// Carries out one op at `place`, which moves on behind it: for a store that loads before each op what
    /// it needs. All of it, or nothing.
    ///
    /// # Errors
    /// Why the op does not fit, by its thread.
    pub fn apply_op(&mut self, op: &Op, place: &mut Place) -> Result<Vec<Change>, TopologyError> {
        let mut changes = Vec::new();
        if let Err(error) = self.carry_out(op, place, &mut changes) {
            self.undo(&changes);
            return Err(error);
        }
        Ok(changes)
    }

    /// Takes back the last changes, given in the order in which they were made.
    pub fn undo(&mut self, changes: &[Change]) {
        for change in changes.iter().rev() {
            match change {
                Change::Opened { thread, .. } => drop(self.threads.remove(thread)),
                Change::Added { thread, .. } => self.change(*thread, |thread| thread.head -= 1),
                Change::Ended { thread, .. } => {
                    self.change(*thread, |thread| thread.state = ThreadState::Open);
                }
                Change::Compacted { thread, span, made, .. } => self.change(*thread, |thread| {
                    thread.compactions.remove(&(span.first, *made));
                    let covered = thread
                        .compactions
                        .values_mut()
                        .filter(|inner| inner.covered == Some((span.last, *made)));
                    covered.for_each(|inner| inner.covered = None);
                }),
            }
        }
    }

    fn carry_out(
        &mut self,
        op: &Op,
        place: &mut Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        match op {
            Op::Open { thread, kind } => self.open(*thread, kind, None, place, changes),
            Op::Branch { thread, kind, from, after } => {
                let outlined = self.expect(*from)?;
                if *after > 0 {
                    outlined.expect_entry(*from, *after)?;
                }
                self.open(*thread, kind, Some(Origin { parent: *from, after: *after }), place, changes)
            }
            Op::Tangent { thread, parent, anchor } => {
                let outlined = self.expect(*parent)?;
                outlined.expect_open(*parent)?;
                outlined.expect_entry(*parent, *anchor)?;
                let origin = Origin { parent: *parent, after: *anchor };
                self.open_any(*thread, &ThreadKind::Tangent, Some(origin), place, changes)
            }
            Op::Add { threads, item, how } => {
                for thread in threads {
                    if matches!(how, How::Summary { .. } | How::Resolved { .. }) {
                        return Err(TopologyError::NotAdded(*thread));
                    }
                    self.add(*thread, *item, how.clone(), place, changes)?;
                }
                Ok(())
            }
            Op::Compact { thread, first, last, item } => {
                self.compact(*thread, Span { first: *first, last: *last }, *item, place, changes)
            }
            Op::Resolve { thread, items } => self.resolve(*thread, items, place, changes),
            Op::Abandon { thread } => {
                self.expect_tangent(*thread)?;
                self.end(*thread, ThreadState::Abandoned, place, changes)
            }
            Op::Close { thread } => {
                if self.expect(*thread)?.kind == ThreadKind::Tangent {
                    return Err(TopologyError::IsTangent(*thread));
                }
                self.end(*thread, ThreadState::Closed, place, changes)
            }
            Op::Unknown(newer) => Err(TopologyError::Unknown(newer.json().chars().take(200).collect())),
        }
    }

    fn open(
        &mut self,
        thread: ThreadId,
        kind: &ThreadKind,
        origin: Option<Origin>,
        place: &mut Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        if *kind == ThreadKind::Tangent {
            return Err(TopologyError::IsTangent(thread));
        }
        self.open_any(thread, kind, origin, place, changes)
    }

    fn open_any(
        &mut self,
        thread: ThreadId,
        kind: &ThreadKind,
        origin: Option<Origin>,
        place: &mut Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        if self.threads.contains_key(&thread) {
            return Err(TopologyError::AlreadyOpen(thread));
        }
        let depth = match origin {
            Some(origin) => self.expect(origin.parent)?.depth + 1,
            None => 0,
        };
        if depth > MOST_LEVELS {
            return Err(TopologyError::TooDeep(thread));
        }
        let made = next(place);
        self.threads.insert(thread, Outlined::new(kind.clone(), origin, made, depth));
        changes.push(Change::Opened { thread, kind: kind.clone(), origin, made, depth });
        Ok(())
    }

    fn add(
        &mut self,
        thread: ThreadId,
        item: ItemId,
        how: How,
        place: &mut Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        let outlined = self.threads.get_mut(&thread).ok_or(TopologyError::NotOpen(thread))?;
        outlined.expect_open(thread)?;
        outlined.head += 1;
        let position = outlined.head;
        changes.push(Change::Added { thread, position, item, how, place: next(place) });
        Ok(())
    }

    fn compact(
        &mut self,
        thread: ThreadId,
        span: Span,
        item: ItemId,
        place: &mut Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        let outlined = self.expect(thread)?;
        if span.first == 0 || span.first > span.last {
            return Err(TopologyError::EmptyRange { thread, first: span.first, last: span.last });
        }
        outlined.expect_entry(thread, span.last)?;
        let levels = self.lineage(thread).unwrap_or_default();
        for end in [span.first, span.last] {
            let shown = self.compaction(&levels, Ask::Below(end)).map(|compaction| compaction.span);
            if let Some(within) = shown.filter(|shown| shown.contains(end) && !span.covers(*shown)) {
                return Err(TopologyError::Cut { thread, range: span, within });
            }
        }
        let made = next(place);
        self.change(thread, |outlined| {
            let within = outlined.compactions.values_mut();
            let within = within.filter(|inner| inner.covered.is_none() && span.covers(inner.span));
            within.for_each(|inner| inner.covered = Some((span.last, made)));
            outlined.load(Compaction { span, item, made, covered: None });
        });
        changes.push(Change::Compacted { thread, span, item, made });
        Ok(())
    }

    fn resolve(
        &mut self,
        thread: ThreadId,
        items: &[ItemId],
        place: &mut Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        let origin = self.expect_tangent(thread)?;
        if items.is_empty() {
            return Err(TopologyError::NoResult(thread));
        }
        self.end(thread, ThreadState::Resolved, &mut place.clone(), changes)?;
        let how = How::Resolved { tangent: thread, anchor: origin.after };
        items.iter().try_for_each(|item| self.add(origin.parent, *item, how.clone(), place, changes))
    }

    fn end(
        &mut self,
        thread: ThreadId,
        state: ThreadState,
        place: &mut Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), TopologyError> {
        self.expect(thread)?.expect_open(thread)?;
        self.change(thread, |outlined| outlined.state = state);
        next(place);
        changes.push(Change::Ended { thread, state });
        Ok(())
    }

    fn expect(&self, thread: ThreadId) -> Result<&Outlined, TopologyError> {
        self.thread(thread).ok_or(TopologyError::NotOpen(thread))
    }

    fn expect_tangent(&self, thread: ThreadId) -> Result<Origin, TopologyError> {
        let outlined = self.expect(thread)?;
        let origin = outlined.origin.filter(|_| outlined.kind == ThreadKind::Tangent);
        origin.ok_or(TopologyError::NoTangent(thread))
    }

    fn change(&mut self, thread: ThreadId, change: impl FnOnce(&mut Outlined)) {
        if let Some(outlined) = self.threads.get_mut(&thread) {
            change(outlined);
        }
    }
}

/// This place; the next one is the next.
fn next(place: &mut Place) -> Place {
    let this = *place;
    place.index = place.index.saturating_add(1);
    this
}
