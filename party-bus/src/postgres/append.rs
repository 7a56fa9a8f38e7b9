//! A group of batches in one transaction: what is there is locked and read in one round trip, each batch
//! is checked against it in memory, and what those that stand come to is written with the next.

use super::{
    columns::Compacted,
    failure::Failure,
    fetch::{Known, Numbers, Session, Stored, fetch},
    held::Outcome,
    link::Link,
    rows::Rows,
    write::Write,
};
use crate::{Batch, Durability, Expect, Receipt, Result, encoded::items_of, refusal};
use party_core::{Change, Item, ItemId, Offset, SessionId, ThreadId};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// Writes the batches, but those of sessions that somebody else has locked; each gets its own answer, in
/// order.
pub(super) async fn run(
    link: &mut Link,
    writes: &mut [Write],
    numbers: &mut Numbers,
) -> Result<Vec<Outcome<Result<Receipt>>>, Failure> {
    let is_synced = writes.iter().any(|write| write.batch.durability == Durability::Synced);
    // The lock of a session that is there makes the commit of a repeated batch a synced one, too.
    let begin = match is_synced {
        true => "BEGIN; SET LOCAL synchronous_commit = on",
        false => "BEGIN; SET LOCAL synchronous_commit = off",
    };
    let known = fetch(link, begin, writes, numbers).await?;
    let mut group =
        Group { known, numbers, rows: Rows::default(), opened: BTreeSet::new(), changed: BTreeSet::new() };
    let mut receipts = Vec::with_capacity(writes.len());
    for write in &*writes {
        if group.known.held.contains(&write.batch.session) {
            receipts.push(Outcome::Held);
            continue;
        }
        receipts.push(match group.append(write) {
            Ok(receipt) => Outcome::Done(Ok(receipt)),
            Err(Failure::Refused(error)) => Outcome::Done(Err(error)),
            Err(failure) => return Err(failure),
        });
    }
    let rows = group.finish();
    if rows.is_empty() && !is_synced {
        link.undo().await?;
        return Ok(receipts);
    }
    let outcome = rows.write(link).await;
    drop(rows);
    if let Err(Failure::Broken(_)) = &outcome {
        for (write, receipt) in writes.iter_mut().zip(&receipts) {
            if let Outcome::Done(Ok(receipt)) = receipt
                && !receipt.repeated
            {
                write.tried = Some(*receipt);
            }
        }
    }
    outcome.map(|()| receipts)
}

struct Group<'w, 'n> {
    known: Known<'w>,
    numbers: &'n mut Numbers,
    rows: Rows<'w>,
    opened: BTreeSet<(SessionId, ThreadId)>,
    changed: BTreeSet<(SessionId, ThreadId)>,
}

impl<'w> Group<'w, '_> {
    fn append(&mut self, write: &'w Write) -> Result<Receipt, Failure> {
        let batch = &write.batch;
        if let Some(receipt) = self.repeated(write)? {
            return Ok(receipt);
        }
        let (id, head) = self.expected_head(batch)?;
        let fresh = self.check_items(write)?;
        let first = head.plus(1);
        let last = head.plus(batch.records.len() as u64);
        let changes = self.change_topology(batch, first)?;
        self.put_items(id, first, fresh)?;
        self.put_changes(batch.session, changes)?;
        self.put_records(id, first, write)?;
        self.rows.batches.push(id, batch.id, &write.encoded.hash, first, last);
        self.rows.sessions.take(id, batch, last);
        if let Some(session) = self.known.sessions.get_mut(&batch.session) {
            session.head = last;
            session.partial = batch.partial;
        }
        self.known.batches.insert((batch.session, batch.id), (write.encoded.hash, first, last));
        Ok(Receipt { first, last, durability: batch.durability, repeated: false })
    }

    /// The receipt of the same batch, where it was written before.
    fn repeated(&self, write: &Write) -> Result<Option<Receipt>, Failure> {
        let batch = &write.batch;
        match self.known.batches.get(&(batch.session, batch.id)) {
            None => Ok(None),
            Some((hash, first, last)) if *hash == write.encoded.hash => {
                let (first, last) = (*first, *last);
                // An earlier try of this very call wrote it.
                let is_own = write.tried.is_some_and(|tried| (tried.first, tried.last) == (first, last));
                Ok(Some(Receipt { first, last, durability: batch.durability, repeated: !is_own }))
            }
            Some(_) => Err(refusal::batch_conflict(batch.id).into()),
        }
    }

    /// The session's row and head, where the batch may be written behind it.
    fn expected_head(&self, batch: &Batch) -> Result<(i64, Offset), Failure> {
        let session = self.known.sessions.get(&batch.session);
        let head = session.map_or(Offset::START, |session| session.head);
        let token = session.and_then(|session| session.token);
        match batch.expect {
            Expect::Input if head == Offset::START => return Err(refusal::no_session(batch.session).into()),
            Expect::Input if session.is_some_and(|session| session.partial) => {
                return Err(refusal::partial(batch.session).into());
            }
            Expect::Driver { fencing_token, .. } if token != Some(fencing_token) => {
                return Err(refusal::fenced(batch.session, fencing_token).into());
            }
            Expect::Driver { head: expected, .. } if expected != head => {
                return Err(refusal::stale_head(batch.session, expected, head).into());
            }
            Expect::Input | Expect::Driver { .. } => {}
        }
        let id = session.map(|session| session.id);
        Ok((id.ok_or_else(|| refusal::no_session(batch.session))?, head))
    }

    /// Every item is new or the same, and every op refers to one that is there by then. Gives the new
    /// ones, each with its text and which record brings it.
    fn check_items(&self, write: &'w Write) -> Result<BTreeMap<ItemId, Fresh<'w>>, Failure> {
        let mut fresh: BTreeMap<ItemId, Fresh<'w>> = BTreeMap::new();
        for (index, (record, texts)) in (0..).zip(write.batch.records.iter().zip(&write.encoded.items)) {
            for (item, text) in record.items.iter().zip(texts) {
                let stored = self.known.items.get(&item.id).and_then(|stored| stored.body.as_deref());
                let before = stored.or_else(|| fresh.get(&item.id).map(|fresh| fresh.text));
                match before {
                    None => drop(fresh.insert(item.id, Fresh { text, record: index })),
                    Some(before) => expect_same(before, item, text)?,
                }
            }
            let mut named = record.ops.iter().flat_map(items_of);
            if let Some(unknown) =
                named.find(|id| !self.known.items.contains_key(id) && !fresh.contains_key(id))
            {
                return Err(refusal::add_of_unknown_item(*unknown).into());
            }
        }
        Ok(fresh)
    }

    fn change_topology(&mut self, batch: &Batch, first: Offset) -> Result<Vec<Change>, Failure> {
        let mut changes: Vec<Change> = Vec::new();
        let Some(session) = self.known.sessions.get_mut(&batch.session) else { return Ok(changes) };
        for (offset, record) in (first.0..).map(Offset).zip(&batch.records) {
            match session.outline.apply(offset, &record.ops) {
                Ok(more) => changes.extend(more),
                Err(error) => {
                    session.outline.undo(&changes);
                    return Err(refusal::topology(batch.session, error).into());
                }
            }
        }
        Ok(changes)
    }

    /// Gives the new items rows.
    fn put_items(
        &mut self,
        session: i64,
        first: Offset,
        fresh: BTreeMap<ItemId, Fresh<'w>>,
    ) -> Result<(), Failure> {
        for (item, Fresh { text, record }) in fresh {
            let id = self.numbers.next()?;
            self.rows.items.insert(item, (id, session, first.plus(record), text));
            self.known.items.insert(item, Stored { id, session, body: Some(Cow::Borrowed(text)) });
        }
        Ok(())
    }

    /// The row of an item that `session` refers to.
    fn item(&mut self, session: i64, item: ItemId) -> Result<i64, Failure> {
        let stored = self.known.items.get(&item).ok_or_else(|| refusal::add_of_unknown_item(item))?;
        if stored.session != session {
            self.rows.shared.insert((stored.id, session));
        }
        Ok(stored.id)
    }

    fn put_changes(&mut self, id: SessionId, changes: Vec<Change>) -> Result<(), Failure> {
        let row = self.known.sessions.get(&id).map_or(0, |session| session.id);
        for change in changes {
            let item = match &change {
                Change::Added { item, .. } | Change::Compacted { item, .. } => self.item(row, *item)?,
                Change::Opened { .. } | Change::Ended { .. } => 0,
            };
            let number = match change {
                Change::Opened { .. } => self.numbers.next()?,
                _ => 0,
            };
            let Some(session) = self.known.sessions.get_mut(&id) else { continue };
            let row_of =
                |session: &Session, thread| session.threads.get(&thread).copied().unwrap_or_default();
            match change {
                Change::Opened { thread, .. } => {
                    session.threads.insert(thread, number);
                    self.opened.insert((id, thread));
                }
                Change::Added { thread, position, how, place, .. } => {
                    self.rows.entries.push(row_of(session, thread), position, item, place, &how);
                    self.changed.insert((id, thread));
                }
                Change::Compacted { thread, span, made, .. } => {
                    let thread_row = row_of(session, thread);
                    self.rows.compactions.push(Compacted { thread: thread_row, span, item, made });
                    self.changed.insert((id, thread));
                }
                Change::Ended { thread, .. } => drop(self.changed.insert((id, thread))),
            }
        }
        Ok(())
    }

    fn put_records(&mut self, id: i64, first: Offset, write: &'w Write) -> Result<(), Failure> {
        let Write { batch, encoded, .. } = write;
        for (index, record) in batch.records.iter().enumerate() {
            let mut items = Vec::with_capacity(record.items.len());
            // What was erased does not count as it was.
            let mut bytes = record.body.get().len();
            for item in &record.items {
                items.push(self.item(id, item.id)?);
                let stored = self.known.items.get(&item.id).and_then(|stored| stored.body.as_deref());
                bytes += stored.map_or(0, str::len);
            }
            let offset = first.plus(index as u64);
            let author = batch.author.as_ref();
            self.rows.records.push(
                (id, offset, bytes as u64),
                record,
                author,
                items,
                encoded.ops[index].as_deref(),
            );
        }
        Ok(())
    }

    /// The rows of threads as they are after all batches.
    fn finish(mut self) -> Rows<'w> {
        for (session, thread) in &self.changed {
            if !self.opened.contains(&(*session, *thread))
                && let Some(session) = self.known.sessions.get(session)
                && let Some(outlined) = session.outline.thread(*thread)
                && let Some(row) = session.threads.get(thread)
            {
                let compactions = self.rows.compactions_of(*row);
                self.rows.threads.push(*row, compactions, outlined);
            }
        }
        for (session, thread) in &self.opened {
            if let Some(session) = self.known.sessions.get(session)
                && let Some(outlined) = session.outline.thread(*thread)
                && let Some(row) = session.threads.get(thread)
            {
                let parent = outlined.origin.and_then(|origin| session.threads.get(&origin.parent).copied());
                let compactions = self.rows.compactions_of(*row);
                self.rows.opened.push((*row, session.id, *thread), parent, compactions, outlined);
            }
        }
        self.rows
    }
}

struct Fresh<'w> {
    text: &'w str,
    record: u64,
}

/// The same item again, or one that was erased, is no write.
fn expect_same(stored: &str, item: &Item, text: &str) -> Result<(), Failure> {
    // Equal items may differ in the order of unknown fields.
    let is_same = stored == text
        || serde_json::from_str::<Item>(stored)
            .is_ok_and(|stored| stored == *item || stored.is_erased() && stored == item.erased());
    if is_same { Ok(()) } else { Err(refusal::item_conflict(item.id).into()) }
}
