//! Topology: the fold of ops. A store's index of threads shows the same, for any log.
//!
//! [`Outline`] knows the rules: what may be opened, added, compacted, resolved. It holds no entries, so a
//! store can load the part of it that a batch touches. [`Walk`] finds what a window shows through
//! branches and compactions. [`Topology`] is an outline with its entries: the whole, in memory.

mod error;
mod lineage;
mod outline;
#[cfg(test)]
mod tests;
mod walk;

pub use error::TopologyError;
pub use lineage::{Level, MOST_LEVELS};
pub use outline::{Change, Compaction, Outline, Outlined, Place, Span};
pub use walk::{Ask, Layer, Piece, Side, Walk, Walked};

use crate::{How, ItemId, Offset, Op, ThreadId};
use std::collections::BTreeMap;

/// A reference to an item, in the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference {
    /// The record and the pair that put it there.
    pub place: Place,
    /// What it refers to.
    pub item: ItemId,
    /// How it came there.
    pub how: How,
}

/// All threads of a session, folded from the ops of its records in order.
///
/// ```
/// use party_core::{How, ItemId, Layer, Offset, Op, Side, ThreadId, ThreadKind, Topology};
///
/// let (feed, item) = (ThreadId::derive(&[b"feed"]), ItemId::derive(&[b"hello"]));
/// let mut topology = Topology::default();
/// let open = Op::Open { thread: feed, kind: ThreadKind::Feed };
/// let add = Op::Add { threads: vec![feed], item, how: How::Said };
/// topology.apply(Offset(1), &[open, add])?;
/// let (shown, _) = topology.view(feed, Layer::Shown, Side::Last, 10).unwrap();
/// assert_eq!(shown[0].1.item, item);
/// # Ok::<(), party_core::TopologyError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    outline: Outline,
    /// What each thread holds itself, behind what it shares.
    entries: BTreeMap<ThreadId, Vec<Reference>>,
}

impl Topology {
    /// Carries out the ops of the record at `offset`; all of them, or none.
    ///
    /// # Errors
    /// The first op that does not fit, by its thread.
    pub fn apply(&mut self, offset: Offset, ops: &[Op]) -> Result<Vec<Change>, TopologyError> {
        let changes = self.outline.apply(offset, ops)?;
        for change in &changes {
            match change {
                Change::Opened { thread, .. } => drop(self.entries.insert(*thread, Vec::new())),
                Change::Added { thread, item, how, place, .. } => {
                    let reference = Reference { place: *place, item: *item, how: how.clone() };
                    self.entries.entry(*thread).or_default().push(reference);
                }
                Change::Compacted { .. } | Change::Ended { .. } => {}
            }
        }
        Ok(changes)
    }

    /// Takes back the last changes, in the order in which [`apply`](Self::apply) gave them.
    pub fn undo(&mut self, changes: &[Change]) {
        for change in changes.iter().rev() {
            match change {
                Change::Opened { thread, .. } => drop(self.entries.remove(thread)),
                Change::Added { thread, .. } => drop(self.entries.get_mut(thread).and_then(Vec::pop)),
                Change::Compacted { .. } | Change::Ended { .. } => {}
            }
        }
        self.outline.undo(changes);
    }

    /// The threads without their entries.
    pub const fn outline(&self) -> &Outline {
        &self.outline
    }

    /// A window of a thread, oldest first, each with its position, and where it ends; `None` for a thread
    /// that was never opened.
    pub fn view(
        &self,
        thread: ThreadId,
        layer: Layer,
        side: Side,
        limit: u32,
    ) -> Option<(Vec<(u64, Reference)>, Walked)> {
        let levels = self.outline.lineage(thread)?;
        let mut walk = Walk::new(side, limit, self.outline.thread(thread)?.head);
        while let Some(ask) = walk.ask() {
            walk.answer(match layer {
                Layer::Shown => self.outline.compaction(&levels, ask).cloned(),
                Layer::Archive => None,
            });
        }
        let walked = walk.finish();
        let shown = walked.pieces.iter().flat_map(|piece| self.references(&levels, piece)).collect();
        Some((shown, walked))
    }

    fn references(&self, levels: &[Level], piece: &Piece) -> Vec<(u64, Reference)> {
        match piece {
            Piece::Summary(Compaction { span, item, made, .. }) => {
                let how = How::Summary { first: span.first, last: span.last };
                vec![(span.last, Reference { place: *made, item: *item, how })]
            }
            Piece::Entries(span) => {
                let parts = levels.iter().rev().filter_map(|level| Some((level, level.part(*span)?)));
                parts.flat_map(|(level, part)| self.own(level, part)).collect()
            }
        }
    }

    fn own(&self, level: &Level, part: Span) -> impl Iterator<Item = (u64, Reference)> {
        let own = self.entries.get(&level.thread).map_or(&[][..], Vec::as_slice);
        let place = |position: u64| usize::try_from(position - level.first).unwrap_or(usize::MAX);
        let end = place(part.last).saturating_add(1).min(own.len());
        let found = own.get(place(part.first)..end).unwrap_or_default();
        (part.first..).zip(found.iter().cloned())
    }
}
