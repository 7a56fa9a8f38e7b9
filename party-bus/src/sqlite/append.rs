//! One batch, inside the writer's transaction.

use super::{
    failure::Failure,
    row::{int, json, uint},
};
use crate::{Batch, Encoded, Expect, Receipt, Result, refusal};
use party_core::{How, Item, ItemId, NewRecord, Offset, Op, RecordClass, SessionId, ThreadId, TopologyError};
use rusqlite::{Connection, OptionalExtension as _, params};

/// A batch with all that can be worked out before the writer's turn comes.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) batch: Batch,
    pub(super) encoded: Encoded,
}

impl Write {
    pub(super) fn new(batch: Batch) -> Result<Self> {
        Ok(Self { encoded: batch.encode()?, batch })
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
        for ((offset, record), items) in (first.0..).zip(&batch.records).zip(&self.encoded.items) {
            self.put(conn, session.id, offset, record, items)?;
        }
        self.file(conn, &session, first, last)?;
        Ok(Receipt { first, last, durability: batch.durability, repeated: false })
    }

    fn repeated(&self, conn: &Connection, session: &Session) -> Result<Option<Receipt>, Failure> {
        let mut find =
            conn.prepare_cached("SELECT hash, first, last FROM batch WHERE session = ?1 AND uid = ?2")?;
        let written: Option<(Vec<u8>, i64, i64)> = find
            .query_row(params![session.id, self.batch.id.as_bytes()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let Some((hash, first, last)) = written else { return Ok(None) };
        if hash != self.encoded.hash {
            return Err(refusal::batch_conflict(self.batch.id).into());
        }
        let (first, last) = (Offset(uint("first", first)?), Offset(uint("last", last)?));
        Ok(Some(Receipt { first, last, durability: self.batch.durability, repeated: true }))
    }

    fn put(
        &self,
        conn: &Connection,
        session: i64,
        offset: u64,
        record: &NewRecord,
        items: &[String],
    ) -> Result<(), Failure> {
        for (item, text) in record.items.iter().zip(items) {
            put_item(conn, item, text)?;
        }
        let mut index = 0;
        for op in &record.ops {
            match op {
                Op::Open { thread, kind } => open_thread(conn, session, *thread, &kind.to_string())?,
                Op::Add { threads, item, how } => {
                    let item = find_item(conn, *item)?;
                    for thread in threads {
                        add_entry(conn, session, *thread, (item, offset, index), how)?;
                        index += 1;
                    }
                }
                _ => return Err(crate::Error::new(crate::ErrorKind::Invalid, "not yet").into()),
            }
        }
        self.put_record(conn, session, offset, record)
    }

    fn put_record(
        &self,
        conn: &Connection,
        session: i64,
        offset: u64,
        record: &NewRecord,
    ) -> Result<(), Failure> {
        let author = self.batch.author.as_ref().filter(|_| record.class == RecordClass::Input);
        let items: Vec<u8> = record.items.iter().flat_map(|item| *item.id.as_bytes()).collect();
        conn.prepare_cached(
            "INSERT INTO record (session, \"offset\", v, class, kind, at, turn, author, items, ops, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            session,
            int(offset),
            record.v,
            record.class as i64,
            record.kind,
            record.at.as_micros(),
            record.turn.map(|turn| int(turn.0.0)),
            author.map(json),
            (!items.is_empty()).then_some(items),
            (!record.ops.is_empty()).then(|| json(&record.ops)),
            record.body.get(),
        ])?;
        Ok(())
    }

    /// Files the batch under its id, and moves the session on.
    fn file(&self, conn: &Connection, session: &Session, first: Offset, last: Offset) -> Result<(), Failure> {
        let Batch { id, records, snapshot, .. } = &self.batch;
        conn.prepare_cached(
            "INSERT INTO batch (session, uid, hash, first, last) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            session.id,
            id.as_bytes(),
            self.encoded.hash,
            int(first.0),
            int(last.0)
        ])?;
        let opened_at = records.first().map(|record| record.at.as_micros());
        conn.prepare_cached(
            "UPDATE session SET head = ?2, opened_at = coalesce(opened_at, ?3) WHERE id = ?1",
        )?
        .execute(params![session.id, int(last.0), opened_at])?;
        if let Some(snapshot) = snapshot {
            conn.prepare_cached("INSERT OR REPLACE INTO snapshot VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![session.id, snapshot.engine, int(snapshot.offset.0), snapshot.state])?;
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
}

fn find_session(conn: &Connection, session: SessionId) -> Result<Option<Session>, Failure> {
    let mut find = conn.prepare_cached(
        "SELECT id, head, CASE WHEN lease_owner IS NOT NULL THEN lease_token END FROM session WHERE uid = ?1",
    )?;
    let row: Option<(i64, i64, Option<i64>)> =
        find.query_row([session.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((id, head, token)) = row else { return Ok(None) };
    let token = token.map(|token| uint("lease_token", token)).transpose()?;
    Ok(Some(Session { id, head: Offset(uint("head", head)?), token }))
}

impl Session {
    fn check(&self, batch: &Batch) -> Result<()> {
        match batch.expect {
            Expect::Input if self.head == Offset::START => Err(refusal::no_session(batch.session)),
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

fn put_item(conn: &Connection, item: &Item, text: &str) -> Result<(), Failure> {
    let mut insert =
        conn.prepare_cached("INSERT INTO item (uid, body) VALUES (?1, ?2) ON CONFLICT (uid) DO NOTHING")?;
    if insert.execute(params![item.id.as_bytes(), text])? == 1 {
        return Ok(());
    }
    let stored: String = conn
        .prepare_cached("SELECT body FROM item WHERE uid = ?1")?
        .query_row([item.id.as_bytes()], |row| row.get(0))?;
    // Equal items may differ in the order of unknown fields.
    let same = stored == text || serde_json::from_str::<Item>(&stored).is_ok_and(|stored| stored == *item);
    if same { Ok(()) } else { Err(refusal::item_conflict(item.id).into()) }
}

fn find_item(conn: &Connection, item: ItemId) -> Result<i64, Failure> {
    let mut find = conn.prepare_cached("SELECT id FROM item WHERE uid = ?1")?;
    let row = find.query_row([item.as_bytes()], |row| row.get(0)).optional()?;
    row.ok_or_else(|| refusal::add_of_unknown_item(item).into())
}

fn open_thread(conn: &Connection, session: i64, thread: ThreadId, kind: &str) -> Result<(), Failure> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO thread (uid, session, kind) VALUES (?1, ?2, ?3) ON CONFLICT (session, uid) DO NOTHING",
    )?;
    match insert.execute(params![thread.as_bytes(), session, kind])? {
        1 => Ok(()),
        _ => Err(refusal::topology(SessionId::derive(&[]), TopologyError::AlreadyOpen(thread)).into()),
    }
}

/// Puts an entry at the end of a thread of the session.
fn add_entry(
    conn: &Connection,
    session: i64,
    thread: ThreadId,
    (item, offset, index): (i64, u64, u32),
    how: &How,
) -> Result<(), Failure> {
    let mut advance = conn.prepare_cached(
        "UPDATE thread SET head = head + 1 WHERE uid = ?1 AND session = ?2 RETURNING id, head",
    )?;
    let place: Option<(i64, i64)> = advance
        .query_row(params![thread.as_bytes(), session], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (id, position) =
        place.ok_or_else(|| refusal::topology(SessionId::derive(&[]), TopologyError::NotOpen(thread)))?;
    conn.prepare_cached(
        "INSERT INTO entry (thread, position, item, \"offset\", idx, how) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![id, position, item, int(offset), index, json(how)])?;
    Ok(())
}
