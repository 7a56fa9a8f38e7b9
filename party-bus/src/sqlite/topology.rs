//! The threads that batches change: read from their rows as far as the rules need them, changed by the
//! rules, written back.

use super::{
    code::Coder,
    failure::Failure,
    item,
    parts::{Listed, ListedEntry},
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

/// What is known of the threads of a session; the writer keeps it from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Threads {
    outline: Outline,
    held: BTreeMap<ThreadId, Held>,
    /// Those whose rows lag behind.
    changed: Vec<ThreadId>,
    /// Whether compactions were read, some of those that there are.
    has_compactions: bool,
}

/// What is known of a thread of the outline beside what the rules need.
#[derive(Debug)]
struct Held {
    row: i64,
    /// The first position that it holds itself.
    first: u64,
    /// As [`Stored::compactions`].
    compactions: i64,
    tail: String,
    is_changed: bool,
}

impl Threads {
    /// Whether it has become more than is worth keeping.
    pub(super) fn is_much(&self) -> bool {
        const MOST: usize = 1_024;
        self.has_compactions || self.held.len() > MOST
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Writes what changed to the rows of the threads themselves.
    pub(super) fn write_back(&mut self, conn: &Connection) -> Result<(), Failure> {
        for thread in self.changed.drain(..) {
            let (Some(held), Some(outlined)) = (self.held.get_mut(&thread), self.outline.thread(thread))
            else {
                continue;
            };
            held.is_changed = false;
            let sql = "UPDATE thread SET head = ?2, state = ?3, compactions = ?4, tail = ?5 WHERE id = ?1";
            conn.prepare_cached(sql)?.execute(params![
                held.row,
                int(outlined.head),
                thread_state_number(outlined.state),
                held.compactions,
                held.tail
            ])?;
        }
        Ok(())
    }

    fn row(&self, thread: ThreadId) -> Option<i64> {
        self.held.get(&thread).map(|held| held.row)
    }

    /// A thread that the rules found, which is to be written back.
    fn touch(&mut self, thread: ThreadId) -> Result<&mut Held, Failure> {
        let held = self.held.get_mut(&thread);
        let held = held.ok_or_else(|| Failure::corrupt(format!("thread {thread} has no row")))?;
        if !held.is_changed {
            held.is_changed = true;
            self.changed.push(thread);
        }
        Ok(held)
    }
}

/// A batch that changes threads.
pub(super) struct Placing<'a> {
    conn: &'a Connection,
    session: i64,
    threads: &'a mut Threads,
    /// The rows of items that the batch brings or names.
    items: BTreeMap<ItemId, i64>,
    /// Whether it brings an item that was there, and may have been erased.
    pub(super) knows_items: bool,
}

impl<'a> Placing<'a> {
    /// One of the session of that row, whose threads are known so far.
    pub(super) const fn new(conn: &'a Connection, session: i64, threads: &'a mut Threads) -> Self {
        Self { conn, session, threads, items: BTreeMap::new(), knows_items: false }
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
            let changes = self.threads.outline.apply_op(op, &mut place);
            for change in changes.map_err(|error| refusal::topology(session, error))? {
                self.write(change)?;
            }
        }
        let items: Vec<ItemId> = record.items.iter().map(|item| item.id).collect();
        Ok(Some(Coder::new(|thread| self.threads.row(thread)).ops(&record.ops, &items)))
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
                let origin = self.threads.outline.thread(*thread).and_then(|outlined| outlined.origin);
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
        if self.threads.held.contains_key(&thread) {
            return Ok(());
        }
        if let Some(stored) = Stored::find(self.conn, self.session, thread)? {
            self.threads.outline.load(thread, stored.outlined());
            let (row, first, compactions) = (stored.row, stored.first(), stored.compactions);
            let held = Held { row, first, compactions, tail: stored.tail, is_changed: false };
            self.threads.held.insert(thread, held);
        }
        Ok(())
    }

    /// Reads a thread with those that it descends from, and of their compactions, as far as it shows any,
    /// those that `span` may cut or cover: the next one that begins before it, and all that begin in it.
    fn load_compacted(&mut self, thread: ThreadId, span: Span) -> Result<(), Failure> {
        self.threads.has_compactions = true;
        // What follows reads rows.
        self.threads.write_back(self.conn)?;
        self.load(thread)?;
        let Some(stored) = Stored::find(self.conn, self.session, thread)? else { return Ok(()) };
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
        let Some(mut outlined) = self.threads.outline.thread(thread).cloned() else { return };
        found.into_iter().for_each(|compaction| outlined.load(compaction));
        self.threads.outline.load(thread, outlined);
    }

    fn write(&mut self, change: Change) -> Result<(), Failure> {
        match change {
            Change::Opened { thread, kind, origin, made, depth } => {
                self.open(thread, &kind, origin, made, depth)
            }
            Change::Added { thread, position, item, how, place } => {
                self.add(thread, position, item, &how, place)
            }
            Change::Compacted { thread, span, item, made } => self.compact(thread, span, item, made),
            Change::Ended { thread, .. } => self.threads.touch(thread).map(drop),
        }
    }

    fn add(
        &mut self,
        thread: ThreadId,
        position: u64,
        item: ItemId,
        how: &How,
        place: Place,
    ) -> Result<(), Failure> {
        let row = self.items.get(&item).copied();
        let row = row.ok_or_else(|| Failure::corrupt(format!("item {item} has no row")))?;
        let way = Coder::new(|thread| self.threads.row(thread)).way(how);
        let entry = ListedEntry::new(row, place.offset, place.index, way.as_deref());
        let held = self.threads.touch(thread)?;
        let count = position.saturating_sub(held.first);
        Listed::Entries.push(self.conn, held.row, count, &mut held.tail, &entry)
    }

    fn open(
        &mut self,
        thread: ThreadId,
        kind: &ThreadKind,
        origin: Option<Origin>,
        made: Place,
        depth: u16,
    ) -> Result<(), Failure> {
        let parent = origin.and_then(|origin| self.threads.held.get(&origin.parent));
        let after = origin.map_or(0, |origin| origin.after);
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
                int(after),
                int(made.packed()),
                depth,
                compactions
            ])?;
        let (row, tail) = (self.conn.last_insert_rowid(), String::new());
        let held = Held { row, first: after + 1, compactions, tail, is_changed: false };
        self.threads.held.insert(thread, held);
        Ok(())
    }

    fn compact(&mut self, thread: ThreadId, span: Span, item: ItemId, made: Place) -> Result<(), Failure> {
        let held = self.threads.touch(thread)?;
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
}
