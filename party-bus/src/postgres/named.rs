//! What a group of batches names, to be read in one go.

use super::{row::int, write::Write};
use crate::encoded::items_of;
use party_core::{BatchId, ItemId, Op, SessionId, ThreadId};
use std::collections::{BTreeMap, BTreeSet};

/// What the batches name.
#[derive(Default)]
pub(super) struct Named {
    pub(super) sessions: BTreeSet<SessionId>,
    pub(super) batches: BTreeSet<(SessionId, BatchId)>,
    /// Whether a batch brings it.
    pub(super) items: BTreeMap<ItemId, bool>,
    /// Whether all that it descends from is asked for.
    pub(super) threads: BTreeMap<(SessionId, ThreadId), bool>,
    /// Ends of ranges that are compacted.
    pub(super) ends: BTreeSet<i64>,
    /// At most so many rows with numbers of their own come of them.
    pub(super) rows: usize,
}

impl Named {
    pub(super) fn of(writes: &[Write]) -> Self {
        let mut named = Self::default();
        let ops =
            |write: &'_ Write| write.batch.records.iter().any(|record| record.ops.iter().any(is_compact));
        let compacting: BTreeSet<SessionId> =
            writes.iter().filter(|write| ops(write)).map(|write| write.batch.session).collect();
        for Write { batch, .. } in writes {
            named.sessions.insert(batch.session);
            named.batches.insert((batch.session, batch.id));
            let compacts = compacting.contains(&batch.session);
            for record in &batch.records {
                for item in &record.items {
                    named.items.insert(item.id, true);
                    named.rows += 1;
                }
                record.ops.iter().for_each(|op| named.op(batch.session, op, compacts));
            }
        }
        named
    }

    fn op(&mut self, session: SessionId, op: &Op, deep: bool) {
        for item in items_of(op) {
            self.items.entry(*item).or_default();
        }
        let threads: &[ThreadId] = match op {
            Op::Add { threads, .. } => threads,
            Op::Branch { thread, from: parent, .. } | Op::Tangent { thread, parent, .. } => {
                &[*thread, *parent]
            }
            Op::Open { thread, .. }
            | Op::Compact { thread, .. }
            | Op::Resolve { thread, .. }
            | Op::Abandon { thread }
            | Op::Close { thread } => std::slice::from_ref(thread),
            Op::Unknown(_) => &[],
        };
        for thread in threads {
            *self.threads.entry((session, *thread)).or_default() |= deep;
        }
        if let Op::Compact { first, last, .. } = op {
            self.ends.extend([int(*first), int(*last)]);
        }
        self.rows += usize::from(matches!(op, Op::Open { .. } | Op::Branch { .. } | Op::Tangent { .. }));
    }
}

const fn is_compact(op: &Op) -> bool {
    matches!(op, Op::Compact { .. })
}
