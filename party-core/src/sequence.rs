//! Sequences: the fold of ops. A store's index of threads shows the same, for any log.

use crate::{How, ItemId, Offset, Op, ThreadId, ThreadKind};
use std::collections::{BTreeMap, BTreeSet};

/// Ops that do not fit the threads that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// A thread is opened once.
    #[error("thread {0} is open already")]
    AlreadyOpen(ThreadId),
    /// An entry goes to a thread that was opened.
    #[error("thread {0} was never opened")]
    NotOpen(ThreadId),
}

/// A reference to an item, in the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference {
    /// The record that put it there.
    pub offset: Offset,
    /// Which (add, thread) pair of that record.
    pub index: u32,
    /// What it refers to.
    pub item: ItemId,
    /// How it came there.
    pub how: How,
}

/// The topology of one thread: an append-only, dense order of references. Position 1 is the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    kind: ThreadKind,
    entries: Vec<Reference>,
}

impl Sequence {
    /// What the thread is for.
    pub const fn kind(&self) -> ThreadKind {
        self.kind
    }

    /// Its references in order; position `n` stands at index `n - 1`.
    pub fn entries(&self) -> &[Reference] {
        &self.entries
    }
}

/// All threads of a session, folded from the ops of its records in order.
///
/// ```
/// use party_core::{How, ItemId, Offset, Op, ThreadId, ThreadKind, Topology};
///
/// let (feed, item) = (ThreadId::derive(&[b"feed"]), ItemId::derive(&[b"hello"]));
/// let mut topology = Topology::default();
/// let open = Op::Open { thread: feed, kind: ThreadKind::Feed };
/// let add = Op::Add { threads: vec![feed], item, how: How::Said };
/// topology.apply(Offset(1), &[open, add])?;
/// assert_eq!(topology.thread(feed).map(|thread| thread.entries().len()), Some(1));
/// # Ok::<(), party_core::TopologyError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    threads: BTreeMap<ThreadId, Sequence>,
}

impl Topology {
    /// Carries out the ops of the record at `offset`; all of them, or none.
    ///
    /// # Errors
    /// The first op that does not fit, by its thread.
    pub fn apply(&mut self, offset: Offset, ops: &[Op]) -> Result<(), TopologyError> {
        self.check(ops)?;
        let mut index = 0;
        for op in ops {
            match op {
                Op::Open { thread, kind } => {
                    self.threads.insert(*thread, Sequence { kind: *kind, entries: Vec::new() });
                }
                Op::Add { threads, item, how } => {
                    for thread in threads {
                        if let Some(sequence) = self.threads.get_mut(thread) {
                            sequence.entries.push(Reference { offset, index, item: *item, how: how.clone() });
                        }
                        index += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn check(&self, ops: &[Op]) -> Result<(), TopologyError> {
        let mut opened = BTreeSet::new();
        for op in ops {
            match op {
                Op::Open { thread, .. } => {
                    if self.threads.contains_key(thread) || !opened.insert(*thread) {
                        return Err(TopologyError::AlreadyOpen(*thread));
                    }
                }
                Op::Add { threads, .. } => {
                    let is_open =
                        |thread: &&ThreadId| self.threads.contains_key(thread) || opened.contains(thread);
                    if let Some(thread) = threads.iter().find(|thread| !is_open(thread)) {
                        return Err(TopologyError::NotOpen(*thread));
                    }
                }
            }
        }
        Ok(())
    }

    /// A thread.
    pub fn thread(&self, thread: ThreadId) -> Option<&Sequence> {
        self.threads.get(&thread)
    }

    /// All threads, by id.
    pub fn threads(&self) -> impl Iterator<Item = (ThreadId, &Sequence)> {
        self.threads.iter().map(|(id, sequence)| (*id, sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn thread(n: u8) -> ThreadId {
        ThreadId::derive(&[&[n]])
    }

    /// Numbers stand for threads and items, so that the model below needs no ids.
    #[derive(Debug, Clone)]
    enum Act {
        Open(u8),
        Add(Vec<u8>, u8),
    }

    impl Act {
        fn op(&self) -> Op {
            match self {
                Self::Open(n) => Op::Open { thread: thread(*n), kind: ThreadKind::Private },
                Self::Add(threads, item) => Op::Add {
                    threads: threads.iter().map(|n| thread(*n)).collect(),
                    item: ItemId::derive(&[&[*item]]),
                    how: How::Said,
                },
            }
        }
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            1 => (0..4u8).prop_map(Act::Open),
            4 => (proptest::collection::vec(0..4u8, 0..4), 0..9u8).prop_map(|(threads, item)| Act::Add(threads, item)),
        ]
    }

    type Model = BTreeMap<u8, Vec<u8>>;

    /// The same batch on plain lists; `None` where it does not fit.
    fn on_lists(model: &Model, acts: &[Act]) -> Option<Model> {
        let mut model = model.clone();
        for act in acts {
            match act {
                Act::Open(n) if model.contains_key(n) => return None,
                Act::Open(n) => drop(model.insert(*n, Vec::new())),
                Act::Add(threads, item) => {
                    threads.iter().try_for_each(|n| model.get_mut(n).map(|list| list.push(*item)))?;
                }
            }
        }
        Some(model)
    }

    proptest! {
        #[test]
        fn a_sequence_is_the_list_of_what_was_added_and_a_record_is_carried_out_whole_or_not(
            records in proptest::collection::vec(proptest::collection::vec(act(), 0..4), 0..20),
        ) {
            let (mut topology, mut model) = (Topology::default(), Model::new());
            for (offset, acts) in (1..).zip(&records) {
                let ops: Vec<Op> = acts.iter().map(Act::op).collect();
                let before = topology.clone();
                match on_lists(&model, acts) {
                    Some(after) => {
                        prop_assert_eq!(topology.apply(Offset(offset), &ops), Ok(()));
                        model = after;
                    }
                    None => {
                        prop_assert!(topology.apply(Offset(offset), &ops).is_err());
                        prop_assert_eq!(&topology, &before);
                    }
                }
            }
            for (n, items) in &model {
                let sequence = topology.thread(thread(*n)).unwrap();
                let ids: Vec<ItemId> = sequence.entries().iter().map(|entry| entry.item).collect();
                let expected: Vec<ItemId> = items.iter().map(|item| ItemId::derive(&[&[*item]])).collect();
                prop_assert_eq!(ids, expected);
                prop_assert!(sequence.entries().is_sorted_by_key(|entry| (entry.offset, entry.index)));
            }
        }
    }
}
