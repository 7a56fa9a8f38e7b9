//! One batch, inside the writer's transaction.

use super::{
    failure::Failure,
    item,
    known::{Known, Session},
    name,
    row::{int, json, uint, wake_number},
    topology::Placing,
};
use crate::{Batch, Encoded, Expect, Receipt, Result, refusal, tail::Fresh};
use party_core::{NewRecord, Offset, RecordClass, SessionId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::{cell::Cell, sync::Arc};

/// A batch with all that can be worked out before the writer's turn comes.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) batch: Batch,
    pub(super) encoded: Encoded,
    /// Whether what is stored may differ from what it says: an item that it brings may have been erased.
    is_known: Cell<bool>,
}

impl Write {
    pub(super) fn new(batch: Batch) -> Result<Self> {
        Ok(Self { encoded: batch.encode()?, batch, is_known: Cell::new(false) })
    }

    /// Writes the batch, or gives the receipt of the same one written before. The rows of the session and
    /// its threads lag behind until what is known is written back.
    pub(super) fn run(&self, conn: &Connection, known: &mut Known) -> Result<Receipt, Failure> {
        let batch = &self.batch;
        let Some((session, _)) = known.session(conn, batch.session)? else {
            return Err(match batch.expect {
                Expect::Input => refusal::no_session(batch.session),
                Expect::Driver { fencing_token, .. } => refusal::fenced(batch.session, fencing_token),
            }
            .into());
        };
        if let Some(receipt) = self.repeated(conn, session.id)? {
            return Ok(receipt);
        }
        session.check(batch)?;
        let first = session.head.plus(1);
        let last = session.head.plus(batch.records.len() as u64);
        self.put(conn, known, first)?;
        Ok(Receipt { first, last, durability: batch.durability, repeated: false })
    }

    fn repeated(&self, conn: &Connection, session: i64) -> Result<Option<Receipt>, Failure> {
        let id = self.batch.id;
        let Some(piece) = name::find(conn, id.as_bytes(), session)? else { return Ok(None) };
        let sql = "SELECT hash, \"offset\", count FROM piece WHERE id = ?1 AND hash IS NOT NULL";
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let written: Option<(Vec<u8>, i64, i64)> =
            conn.prepare_cached(sql)?.query_row([piece], row).optional()?;
        let missing = || Failure::corrupt(format!("batch {id} has a name and no first record"));
        let (hash, first, count) = written.ok_or_else(missing)?;
        if hash != self.encoded.hash {
            return Err(refusal::batch_conflict(id).into());
        }
        let first = Offset(uint("offset", first)?);
        let last = Offset(first.0.saturating_add(uint("count", count)?.saturating_sub(1)));
        Ok(Some(Receipt { first, last, durability: self.batch.durability, repeated: true }))
    }

    fn put(&self, conn: &Connection, known: &mut Known, first: Offset) -> Result<(), Failure> {
        let (records, texts) = (&self.batch.records, &self.encoded.items);
        let kinds = records.iter().map(|record| known.kind(conn, &record.kind));
        let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
        let Some((session, threads)) = known.session(conn, self.batch.session)? else {
            return Err(Failure::corrupt("a session is gone in mid-batch"));
        };
        let mut placing = Placing::new(conn, session.id, threads);
        let taken = records.iter().zip(texts).map(|(record, texts)| placing.take_items(record, texts));
        let items = taken.collect::<Result<Vec<_>, _>>()?;
        for (index, (record, items)) in records.iter().zip(&items).enumerate() {
            let offset = first.plus(index as u64);
            let ops = placing.apply(self.batch.session, offset, record)?;
            let row = (record, kinds[index], index == 0);
            let piece = self.put_record(conn, (session.id, offset), row, items, ops)?;
            session.push(conn, piece)?;
            if index == 0 && name::put(conn, self.batch.id.as_bytes(), session.id, piece)?.is_some() {
                return Err(Failure::corrupt(format!("batch {} has its name twice", self.batch.id)));
            }
        }
        self.is_known.set(placing.knows_items);
        self.file(conn, session, first)?;
        known.note(conn, self.batch.session)
    }

    /// What it has written, for those who follow.
    pub(super) fn into_fresh(self, first: Offset) -> Vec<Fresh> {
        if self.is_known.get() {
            return Vec::new();
        }
        let Batch { session, records, author, .. } = self.batch;
        let records = (first.0..).map(Offset).zip(records).zip(&self.encoded.items);
        let fresh = records.map(|((offset, record), texts)| {
            let bytes = record.body.get().len() + texts.iter().map(String::len).sum::<usize>();
            (Arc::new(record.placed(session, offset, author.as_ref())), bytes as u64)
        });
        fresh.collect()
    }

    /// Writes a record; its row.
    fn put_record(
        &self,
        conn: &Connection,
        (session, offset): (i64, Offset),
        (record, kind, is_first): (&NewRecord, i64, bool),
        items: &[i64],
        ops: Option<Vec<u8>>,
    ) -> Result<i64, Failure> {
        let author = self.batch.author.as_ref().filter(|_| record.class == RecordClass::Input);
        conn.prepare_cached(
            "INSERT INTO piece (body, session, \"offset\", v, class, kind, at, turn, author, items, ops, hash, count)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            record.body.get(),
            session,
            int(offset.0),
            record.v,
            record.class as i64,
            kind,
            record.at.as_micros(),
            record.turn.map(|turn| int(turn.0.0)),
            author.map(json),
            item::list(items),
            ops,
            is_first.then_some(self.encoded.hash),
            is_first.then_some(int(self.batch.records.len() as u64)),
        ])?;
        Ok(conn.last_insert_rowid())
    }

    /// Says of the session what the batch says of it.
    fn file(&self, conn: &Connection, session: &mut Session, first: Offset) -> Result<(), Failure> {
        if first == Offset(1) {
            self.begin(conn, session)?;
        }
        self.schedule(conn, session)?;
        if let Some(snapshot) = &self.batch.snapshot {
            conn.prepare_cached("INSERT OR REPLACE INTO snapshot VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![session.id, snapshot.engine, int(snapshot.offset.0), snapshot.state])?;
        }
        Ok(())
    }

    /// Says what a session is that has its first records.
    fn begin(&self, conn: &Connection, session: &Session) -> Result<(), Failure> {
        let opened_at = self.batch.records.first().map(|record| record.at.as_micros());
        let label = self.batch.label.as_ref();
        conn.prepare_cached(
            "UPDATE session SET opened_at = ?2, kind = ?3, \"key\" = ?4, parent = ?5 WHERE id = ?1",
        )?
        .execute(params![
            session.id,
            opened_at,
            label.map(|label| &label.kind),
            label.map(|label| &label.key),
            label.and_then(|label| label.parent.as_ref()).map(SessionId::as_bytes),
        ])?;
        Ok(())
    }

    /// Notes when it wants to be driven, and whether it is a part only, where that is new: what is set
    /// is written to the index, too.
    fn schedule(&self, conn: &Connection, session: &mut Session) -> Result<(), Failure> {
        let wake = self.batch.wake.map_or(session.wake, wake_number);
        if (wake, self.batch.partial) != (session.wake, session.partial) {
            conn.prepare_cached("UPDATE session SET wake = ?2, partial = ?3 WHERE id = ?1")?
                .execute(params![session.id, wake, self.batch.partial])?;
            (session.wake, session.partial) = (wake, self.batch.partial);
        }
        Ok(())
    }
}
