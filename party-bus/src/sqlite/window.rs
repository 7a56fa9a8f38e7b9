//! Windows of threads, each inside a transaction of its own.

use super::{
    code::Decoder,
    failure::Failure,
    item,
    row::{self, blob, int, parse, uint},
    thread::{Lineage, Names, Stored},
};
use crate::{Page, Window, refusal};
use party_core::{Compaction, Entry, How, Item, Layer, Offset, Piece, Span, Walk};
use rusqlite::{Connection, Row, params};
use std::sync::Arc;

pub(super) fn window(conn: &Connection, window: &Window) -> Result<Page<Entry>, Failure> {
    let thread = match row::session(conn, window.session)? {
        Some(session) => Stored::find(conn, session, window.thread)?,
        None => None,
    };
    let thread = thread.ok_or_else(|| refusal::no_thread(window.thread))?;
    let mut walk = Walk::new(window.side, window.limit, thread.head);
    let mut lineage = Lineage::new(conn, thread);
    while let Some(ask) = walk.ask() {
        walk.answer(match window.layer {
            Layer::Shown => lineage.compaction(ask)?,
            Layer::Archive => None,
        });
    }
    let walked = walk.finish();
    let mut view = View { conn, window, names: Names::new(conn), entries: Vec::new() };
    for piece in &walked.pieces {
        match piece {
            Piece::Summary(compaction) => view.push_summary(compaction)?,
            Piece::Entries(span) => view.push_entries(*span, &mut lineage)?,
        }
    }
    Ok(Page { entries: view.entries, scanned_to: walked.scanned_to, more: walked.more })
}

/// Entries that a thread holds itself.
const OWN: &str = "SELECT position, entry.\"offset\", idx, how, item.body, item.id
     FROM entry JOIN item ON item.id = entry.item
     WHERE thread = ?1 AND position BETWEEN ?2 AND ?3 ORDER BY position";

/// Entries that are held by a thread and by those that it descends from: one statement for all of them,
/// because a statement for each level costs several times what the level does.
const INHERITED: &str = "WITH RECURSIVE level (thread, parent, first, last) AS (
         SELECT id, parent, after + 1, ?3 FROM thread WHERE id = ?1
         UNION ALL
         SELECT thread.id, thread.parent, thread.after + 1, min(level.last, level.first - 1)
         FROM level JOIN thread ON thread.id = level.parent WHERE level.first > ?2)
     SELECT position, entry.\"offset\", idx, how, item.body, item.id
     FROM level CROSS JOIN entry ON entry.thread = level.thread AND position BETWEEN ?2 AND level.last
     JOIN item ON item.id = entry.item";

struct View<'a> {
    conn: &'a Connection,
    window: &'a Window,
    names: Names<'a>,
    entries: Vec<Entry>,
}

impl View<'_> {
    fn push_summary(&mut self, compaction: &Compaction) -> Result<(), Failure> {
        let Compaction { span, item, made, .. } = compaction;
        let found = item::named(self.conn, *item)?;
        let found = found.ok_or_else(|| Failure::corrupt(format!("the summary {item} is not there")))?;
        let how = How::Summary { first: span.first, last: span.last };
        self.entries.push(Entry::new(span.last, made.offset, made.index, how, Arc::new(found)));
        Ok(())
    }

    /// Entries of the thread and of those that it descends from, as far up as the span reaches.
    fn push_entries(&mut self, span: Span, lineage: &mut Lineage<'_>) -> Result<(), Failure> {
        let Some((level, thread)) = lineage.level(0)? else { return Ok(()) };
        let sql = if level.first <= span.first { OWN } else { INHERITED };
        let begin = self.entries.len();
        let mut select = self.conn.prepare_cached(sql)?;
        let mut rows = select.query(params![thread.row, int(span.first), int(span.last)])?;
        while let Some(row) = rows.next()? {
            let entry = self.entry(row)?;
            self.entries.push(entry);
        }
        let found = &mut self.entries[begin..];
        // The thread's own come first, then its parent's, and so on.
        found.sort_by_key(|entry| entry.position);
        if found.len() as u64 != span.last - span.first + 1 {
            let (thread, Span { first, last }) = (self.window.thread, span);
            return Err(Failure::corrupt(format!(
                "thread {thread} lacks some of its entries {first} to {last}"
            )));
        }
        Ok(())
    }

    fn entry(&mut self, row: &Row<'_>) -> Result<Entry, Failure> {
        let position = uint("position", row.get(0)?)?;
        let what = || format!("entry {position} of thread {}", self.window.thread);
        let item: Item = match row.get_ref(4)?.as_str_or_null().map_err(rusqlite::Error::from)? {
            Some(body) => parse(body, what)?,
            None => parse(&item::large(self.conn, row.get(5)?)?, what)?,
        };
        let how = match blob(row, 3)? {
            [] => How::Said,
            how => Decoder::new(how, |row| self.names.get(row)).how()?,
        };
        let offset = Offset(uint("offset", row.get(1)?)?);
        Ok(Entry::new(position, offset, row.get(2)?, how, Arc::new(item)))
    }
}
