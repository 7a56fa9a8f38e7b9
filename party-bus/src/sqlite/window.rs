//! Windows of threads, each inside a transaction of its own.

use super::{
    code::Decoder,
    failure::Failure,
    item,
    parts::{self, Listed, ListedEntry},
    row::{self, int, parse, uint},
    thread::{Lineage, Names, Stored},
};
use crate::{Page, Window, refusal};
use party_core::{Compaction, Entry, How, Item, Layer, Piece, Span, Walk};
use rusqlite::{Connection, Statement, params};
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

/// A thread and those that it descends from, as far as they hold entries up to ?3 from ?2: one statement for
/// all of them, because a statement for each level costs several times what the level does.
const LEVELS: &str = "WITH RECURSIVE level (thread, parent, after, last) AS (
         SELECT id, parent, after, ?3 FROM thread WHERE id = ?1
         UNION ALL
         SELECT thread.id, thread.parent, thread.after, min(level.last, level.after)
         FROM level JOIN thread ON thread.id = level.parent WHERE level.after >= ?2)
     SELECT level.thread, level.after, level.last, thread.head, thread.tail
     FROM level JOIN thread ON thread.id = level.thread";

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
        let begin = self.entries.len();
        if level.first <= span.first {
            let own = Own { row: thread.row, first: level.first, head: thread.head, tail: &thread.tail };
            self.push_own(&own, span)?;
        } else {
            let mut select = self.conn.prepare_cached(LEVELS)?;
            let mut rows = select.query(params![thread.row, int(span.first), int(span.last)])?;
            while let Some(row) = rows.next()? {
                let tail = row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?;
                let first = uint("after", row.get(1)?)? + 1;
                let own = Own { row: row.get(0)?, first, head: uint("head", row.get(3)?)?, tail };
                let (first, last) = (span.first.max(first), uint("last", row.get(2)?)?);
                self.push_own(&own, Span { first, last })?;
            }
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

    /// Entries that a thread holds itself.
    fn push_own(&mut self, own: &Own<'_>, span: Span) -> Result<(), Failure> {
        let count = (own.head + 1).saturating_sub(own.first);
        let mut find = self.conn.prepare_cached(item::BODY)?;
        let mut position = span.first;
        while position <= span.last {
            let place = position - own.first;
            let list = Listed::Entries.from(self.conn, own.row, (count, own.tail), place)?;
            let entries = parts::entries(&list)?;
            let behind = entries.get(parts::within(place)..).unwrap_or_default();
            if behind.is_empty() {
                break;
            }
            for entry in behind.iter().take((span.last - position + 1) as usize) {
                let entry = self.entry(&mut find, position, entry)?;
                self.entries.push(entry);
                position += 1;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        find: &mut Statement<'_>,
        position: u64,
        listed: &ListedEntry,
    ) -> Result<Entry, Failure> {
        let what = || format!("entry {position} of thread {}", self.window.thread);
        let mut rows = find.query([listed.item])?;
        let row = rows.next()?.ok_or_else(|| Failure::corrupt(format!("the item of {} is gone", what())))?;
        let item: Item = match row.get_ref(0)?.as_str_or_null().map_err(rusqlite::Error::from)? {
            Some(body) => parse(body, what)?,
            None => parse(&item::large(self.conn, listed.item)?, what)?,
        };
        let how = match listed.way()? {
            None => How::Said,
            Some(how) => Decoder::new(&how, |row| self.names.get(row)).how()?,
        };
        Ok(Entry::new(position, listed.offset, listed.index, how, Arc::new(item)))
    }
}

/// A thread, as far as its own entries are found by it.
struct Own<'a> {
    row: i64,
    first: u64,
    head: u64,
    tail: &'a str,
}
