//! One batch, inside the writer's transaction.

use super::{
    failure::Failure,
    item,
    row::{int, json, uint, wake_number},
    topology::Threads,
};
use crate::{Batch, Encoded, Expect, Receipt, Result, refusal, tail::Fresh};
use party_core::{NewRecord, Offset, RecordClass, SessionId};
use rusqlite::{Connection, OptionalExtension as _, params};
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

    /// Writes the batch, or gives the receipt of the same one written before.
    pub(super) fn run(&self, conn: &Connection) -> Result<Receipt, Failure> {
        let batch = &self.batch;
        let Some(session) = find_session(conn, batch.session)? else {
            return Err(match batch.expect {
                Expect::Input => refusal::no_session(batch.session),
                Expect::Driver { fencing_token, .. } => refusal::fenced(batch.session, fencing_token),
            }
            .into());
        };
        if let Some(receipt) = self.repeated(conn, &session)? {
            return Ok(receipt);
        }
        session.check(batch)?;
        let first = session.head.plus(1);
        let last = session.head.plus(batch.records.len() as u64);
        self.put(conn, session.id, first)?;
        self.file(conn, &session, first, last)?;
        Ok(Receipt { first, last, durability: batch.durability, repeated: false })
    }

    fn repeated(&self, conn: &Connection, session: &Session) -> Result<Option<Receipt>, Failure> {
        let mut find =
            conn.prepare_cached("SELECT hash, first, count FROM batch WHERE uid = ?2 AND session = ?1")?;
        let written: Option<(Vec<u8>, i64, i64)> = find
            .query_row(params![session.id, self.batch.id.as_bytes()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let Some((hash, first, count)) = written else { return Ok(None) };
        if hash != self.encoded.hash {
            return Err(refusal::batch_conflict(self.batch.id).into());
        }
        let first = Offset(uint("first", first)?);
        let last = Offset(first.0.saturating_add(uint("count", count)?.saturating_sub(1)));
        Ok(Some(Receipt { first, last, durability: self.batch.durability, repeated: true }))
    }

    fn put(&self, conn: &Connection, session: i64, first: Offset) -> Result<(), Failure> {
        let mut threads = Threads::new(conn, session);
        let (records, texts) = (&self.batch.records, &self.encoded.items);
        let taken = records.iter().zip(texts).map(|(record, texts)| threads.take_items(record, texts));
        let items = taken.collect::<Result<Vec<_>, _>>()?;
        for ((offset, record), items) in (first.0..).map(Offset).zip(records).zip(&items) {
            let ops = threads.apply(self.batch.session, offset, record)?;
            self.put_record(conn, (session, offset), record, items, ops)?;
        }
        self.is_known.set(threads.knows_items);
        threads.finish()
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

    fn put_record(
        &self,
        conn: &Connection,
        (session, offset): (i64, Offset),
        record: &NewRecord,
        items: &[i64],
        ops: Option<Vec<u8>>,
    ) -> Result<(), Failure> {
        let author = self.batch.author.as_ref().filter(|_| record.class == RecordClass::Input);
        conn.prepare_cached(
            "INSERT INTO record (session, \"offset\", v, class, kind, at, turn, author, items, ops, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            session,
            int(offset.0),
            record.v,
            record.class as i64,
            kind(conn, &record.kind)?,
            record.at.as_micros(),
            record.turn.map(|turn| int(turn.0.0)),
            author.map(json),
            item::list(items),
            ops,
            record.body.get(),
        ])?;
        Ok(())
    }

    /// Files the batch under its id, and moves the session on.
    fn file(&self, conn: &Connection, session: &Session, first: Offset, last: Offset) -> Result<(), Failure> {
        let Batch { id, records, snapshot, .. } = &self.batch;
        conn.prepare_cached(
            "INSERT INTO batch (uid, session, hash, first, count) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            id.as_bytes(),
            session.id,
            self.encoded.hash,
            int(first.0),
            int(records.len() as u64)
        ])?;
        conn.prepare_cached(
            "UPDATE session SET head = ?2, changed = 1 + max(
                 (SELECT mark FROM store), (SELECT coalesce(max(changed), 0) FROM session WHERE changed > 0))
             WHERE id = ?1",
        )?
        .execute(params![session.id, int(last.0)])?;
        if session.head == Offset::START {
            self.begin(conn, session)?;
        }
        self.schedule(conn, session)?;
        if let Some(snapshot) = snapshot {
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
    fn schedule(&self, conn: &Connection, session: &Session) -> Result<(), Failure> {
        let wake = self.batch.wake.map_or(session.wake, wake_number);
        if (wake, self.batch.partial) != (session.wake, session.partial) {
            conn.prepare_cached("UPDATE session SET wake = ?2, partial = ?3 WHERE id = ?1")?
                .execute(params![session.id, wake, self.batch.partial])?;
        }
        Ok(())
    }
}

/// A session's row, as far as a batch is checked against it.
struct Session {
    id: i64,
    head: Offset,
    /// The token under which its driver may write.
    token: Option<u64>,
    wake: Option<i64>,
    partial: bool,
}

fn find_session(conn: &Connection, session: SessionId) -> Result<Option<Session>, Failure> {
    let mut find = conn.prepare_cached(
        "SELECT id, head, CASE WHEN lease_owner IS NOT NULL THEN lease_token END, wake, partial
         FROM session WHERE uid = ?1",
    )?;
    let mut rows = find.query([session.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let token = row.get::<_, Option<i64>>(2)?.map(|token| uint("lease_token", token)).transpose()?;
    let head = Offset(uint("head", row.get(1)?)?);
    Ok(Some(Session { id: row.get(0)?, head, token, wake: row.get(3)?, partial: row.get(4)? }))
}

impl Session {
    fn check(&self, batch: &Batch) -> Result<()> {
        match batch.expect {
            Expect::Input if self.head == Offset::START => Err(refusal::no_session(batch.session)),
            Expect::Input if self.partial => Err(refusal::partial(batch.session)),
            Expect::Driver { fencing_token, .. } if self.token != Some(fencing_token) => {
                Err(refusal::fenced(batch.session, fencing_token))
            }
            Expect::Driver { head, .. } if head != self.head => {
                Err(refusal::stale_head(batch.session, head, self.head))
            }
            Expect::Input | Expect::Driver { .. } => Ok(()),
        }
    }
}

/// The row of a record's tag.
fn kind(conn: &Connection, name: &str) -> Result<i64, Failure> {
    let mut find = conn.prepare_cached("SELECT id FROM kind WHERE name = ?1")?;
    if let Some(row) = find.query_row([name], |row| row.get(0)).optional()? {
        return Ok(row);
    }
    conn.execute("INSERT INTO kind (name) VALUES (?1)", [name])?;
    Ok(conn.last_insert_rowid())
}
