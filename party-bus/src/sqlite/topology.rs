//! The threads that a batch changes: read from their rows as far as the rules need them, changed by the
//! rules, written back.

use super::{
    code::Coder,
    failure::Failure,
    item,
    row::{int, thread_state_number},
    thread::{Lineage, Stored, shown, within},
};
use crate::{encoded::items_of, refusal};
use party_core::{
    Ask, Change, Compaction, How, ItemId, NewRecord, Offset, Op, Origin, Outline, Place, SessionId, Span,
    ThreadId, ThreadKind,
};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

pub(super) struct Threads<'a> {
    conn: &'a Connection,
    session: i64,
    outline: Outline,
    held: BTreeMap<ThreadId, Held>,
    /// The rows of items that the batch brings or names.
    items: BTreeMap<ItemId, i64>,
    /// Whether it brings an item that was there, and may have been erased.
    pub(super) knows_items: bool,
}

/// What is known of a thread of the outline beside what the rules need.
struct Held {
    row: i64,
    /// As [`Stored::compactions`].
    compactions: i64,
    is_changed: bool,
}

impl<'a> Threads<'a> {
    /// Those of the session of that row.
    pub(super) fn new(conn: &'a Connection, session: i64) -> Self {
        let outline = Outline::default();
        Self { conn, session, outline, held: BTreeMap::new(), items: BTreeMap::new(), knows_items: false }
    }

    /// Puts the items of a record in, and finds those that its ops name; the rows of its own.
    pub(super) fn take_items(&mut self, record: &NewRecord, texts: &[String]) -> Result<Vec<i64>, Failure> {
        let mut rows = Vec::with_capacity(texts.len());
        for (item, text) in record.items.iter().zip(texts) {
            let (row, is_new) = item::put(self.conn, item, text)?;
            self.knows_items |= !is_new;
            self.items.insert(item.id, row);
            rows.push(row);
        }
        for named in record.ops.iter().flat_map(items_of) {
            if !self.items.contains_key(named) {
                let row = item::find(self.conn, *named)?;
                self.items.insert(*named, row.ok_or_else(|| refusal::add_of_unknown_item(*named))?);
            }
        }
        Ok(rows)
    }

    /// Carries out the ops of the record at `offset`, and gives them as the record keeps them.
    pub(super) fn apply(
        &mut self,
        session: SessionId,
        offset: Offset,
        record: &NewRecord,
    ) -> Result<Option<Vec<u8>>, Failure> {
        if record.ops.is_empty() {
            return Ok(None);
        }
        let mut place = Place { offset, index: 0 };
        for op in &record.ops {
            self.load_for(op)?;
            let changes = self.outline.apply_op(op, &mut place);
            for change in changes.map_err(|error| refusal::topology(session, error))? {
                self.write(change)?;
            }
        }
        let items: Vec<ItemId> = record.items.iter().map(|item| item.id).collect();
        Ok(Some(Coder::new(|thread| self.row(thread)).ops(&record.ops, &items)))
    }

    /// Writes what all of it came to in the rows of the threads themselves.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        for (thread, held) in self.held.iter().filter(|(_, held)| held.is_changed) {
            let Some(outlined) = self.outline.thread(*thread) else { continue };
            self.conn
                .prepare_cached("UPDATE thread SET head = ?2, state = ?3, compactions = ?4 WHERE id = ?1")?
                .execute(params![
                    held.row,
                    int(outlined.head),
                    thread_state_number(outlined.state),
                    held.compactions
                ])?;
        }
        Ok(())
    }

    /// Reads what the rules look at to judge an op.
    fn load_for(&mut self, op: &Op) -> Result<(), Failure> {
        match op {
            Op::Add { threads, how, .. } => {
                if let How::Delivered { from: Some(from) } = how {
                    self.load(*from)?;
                }
                threads.iter().try_for_each(|thread| self.load(*thread))
            }
            Op::Branch { thread, from: other, .. } | Op::Tangent { thread, parent: other, .. } => {
                self.load(*thread)?;
                self.load(*other)
            }
            Op::Resolve { thread, .. } => {
                self.load(*thread)?;
                let origin = self.outline.thread(*thread).and_then(|outlined| outlined.origin);
                origin.map_or(Ok(()), |origin| self.load(origin.parent))
            }
            Op::Compact { thread, first, last, .. } => {
                self.load_compacted(*thread, Span { first: *first, last: *last })
            }
            Op::Open { thread, .. } | Op::Abandon { thread } | Op::Close { thread } => self.load(*thread),
            Op::Unknown(_) => Ok(()),
        }
    }

    fn load(&mut self, thread: ThreadId) -> Result<(), Failure> {
        if self.held.contains_key(&thread) {
            return Ok(());
        }
        if let Some(stored) = Stored::find(self.conn, self.session, thread)? {
            self.outline.load(thread, stored.outlined());
            let held = Held { row: stored.row, compactions: stored.compactions, is_changed: false };
            self.held.insert(thread, held);
        }
        Ok(())
    }

    /// Reads a thread with those that it descends from, and of their compactions, as far as it shows any,
    /// those that `span` may cut or cover: the next one that begins before it, and all that begin in it.
    fn load_compacted(&mut self, thread: ThreadId, span: Span) -> Result<(), Failure> {
        self.load(thread)?;
        let Some(mut stored) = Stored::find(self.conn, self.session, thread)? else { return Ok(()) };
        if let (Some(held), Some(outlined)) = (self.held.get(&thread), self.outline.thread(thread)) {
            // Its row lags behind until the batch is finished.
            (stored.head, stored.compactions) = (outlined.head, held.compactions);
        }
        let (mut lineage, mut above) = (Lineage::new(self.conn, stored), 0);
        while let Some((level, stored)) = lineage.level(above)?
            && stored.compactions > 0
        {
            let mut found = within(self.conn, stored.row, span)?;
            let before = Ask::Below(span.first.saturating_sub(1));
            found.extend(shown(self.conn, stored.row, level, before)?);
            let id = stored.id;
            self.load(id)?;
            self.load_compactions(id, found);
            above += 1;
        }
        Ok(())
    }

    /// The rows of compactions never lag behind, so what was read before is read over.
    fn load_compactions(&mut self, thread: ThreadId, found: Vec<Compaction>) {
        let Some(mut outlined) = self.outline.thread(thread).cloned() else { return };
        found.into_iter().for_each(|compaction| outlined.load(compaction));
        self.outline.load(thread, outlined);
    }

    fn write(&mut self, change: Change) -> Result<(), Failure> {
        match change {
            Change::Opened { thread, kind, origin, made, depth } => {
                self.open(thread, &kind, origin, made, depth)
            }
            Change::Added { thread, position, item, how, place } => {
                let row = self.touch(thread)?.row;
                let item = self.items.get(&item).copied();
                let how = Coder::new(|thread| self.row(thread)).way(&how);
                self.conn
                    .prepare_cached(
                        "INSERT INTO entry (thread, position, item, \"offset\", idx, how)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    )?
                    .execute(params![row, int(position), item, int(place.offset.0), place.index, how])?;
                Ok(())
            }
            Change::Compacted { thread, span, item, made } => self.compact(thread, span, item, made),
            Change::Ended { thread, .. } => self.touch(thread).map(drop),
        }
    }

    fn open(
        &mut self,
        thread: ThreadId,
        kind: &ThreadKind,
        origin: Option<Origin>,
        made: Place,
        depth: u16,
    ) -> Result<(), Failure> {
        let parent = origin.and_then(|origin| self.held.get(&origin.parent));
        let after = origin.map_or(0, |origin| int(origin.after));
        let compactions = parent.map_or(0, |parent| parent.compactions);
        self.conn
            .prepare_cached(
                "INSERT INTO thread (session, uid, kind, parent, after, made, depth, head, compactions)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?5, ?8)",
            )?
            .execute(params![
                self.session,
                thread.as_bytes(),
                kind.to_string(),
                parent.map(|parent| parent.row),
                after,
                int(made.packed()),
                depth,
                compactions
            ])?;
        let row = self.conn.last_insert_rowid();
        self.held.insert(thread, Held { row, compactions, is_changed: false });
        Ok(())
    }

    fn compact(&mut self, thread: ThreadId, span: Span, item: ItemId, made: Place) -> Result<(), Failure> {
        let held = self.touch(thread)?;
        held.compactions += 1;
        let row = held.row;
        let (first, last, made) = (int(span.first), int(span.last), int(made.packed()));
        self.conn
            .prepare_cached(
                "UPDATE compaction SET covered_last = ?3, covered_made = ?4
                 WHERE thread = ?1 AND first BETWEEN ?2 AND ?3 AND last <= ?3 AND covered_last IS NULL",
            )?
            .execute(params![row, first, last, made])?;
        self.conn
            .prepare_cached(
                "INSERT INTO compaction (thread, first, made, last, item) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![row, first, made, last, item.as_bytes()])?;
        Ok(())
    }

    /// A thread that the rules found, which is to be written back.
    fn touch(&mut self, thread: ThreadId) -> Result<&mut Held, Failure> {
        let held = self.held.get_mut(&thread);
        let held = held.ok_or_else(|| Failure::corrupt(format!("thread {thread} has no row")))?;
        held.is_changed = true;
        Ok(held)
    }

    fn row(&self, thread: ThreadId) -> Option<i64> {
        self.held.get(&thread).map(|held| held.row)
    }
}
