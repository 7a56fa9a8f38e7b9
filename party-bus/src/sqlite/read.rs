//! Queries for records and items, each inside a transaction of its own.

use super::{
    code::{self, Decoder},
    failure::Failure,
    item,
    parts::{self, Listed},
    row::{self, blob, int, parse, uint},
    thread::Names,
};
use crate::{Changed, Page, Read, refusal};
use party_core::{Item, ItemId, Offset, Op, Record, SessionId, Timestamp, TurnId};
use rusqlite::{Connection, OptionalExtension as _, Row, Statement, params};
use serde_json::value::RawValue;
use std::sync::Arc;

/// At most so many sessions in one answer about changes.
const MOST_CHANGED: usize = 1_000;

/// The session's last offset; 0 for one that does not exist.
pub(super) fn head(conn: &Connection, session: SessionId) -> Result<Offset, Failure> {
    let mut find = conn.prepare_cached("SELECT head FROM session WHERE uid = ?1")?;
    let head = find.query_row([session.as_bytes()], |row| row.get(0)).optional()?;
    Ok(Offset(uint("head", head.unwrap_or(0))?))
}

/// The sessions that were written since `since`.
pub(super) fn changed(conn: &Connection, since: u64) -> Result<Changed, Failure> {
    let mut last = conn.prepare_cached("SELECT max(changed) FROM session WHERE changed > 0")?;
    let last = uint("changed", last.query_row([], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0))?;
    // A mark that was never reached is of before something was lost: then all may have changed.
    let since = if since > last { 0 } else { since };
    let mut select = conn.prepare_cached(
        "SELECT changed, uid, head FROM session WHERE changed > ?1 AND changed > 0 ORDER BY changed LIMIT ?2",
    )?;
    let mut rows = select.query(params![int(since), MOST_CHANGED as i64])?;
    let (mut sessions, mut mark) = (Vec::new(), since);
    while let Some(row) = rows.next()? {
        mark = uint("changed", row.get(0)?)?;
        sessions.push((SessionId::from_bytes(row.get(1)?), Offset(uint("head", row.get(2)?)?)));
    }
    Ok(Changed { sessions, mark })
}

pub(super) fn records(conn: &Connection, read: &Read) -> Result<Page<Arc<Record>>, Failure> {
    if let Some(learned) = read.epoch {
        check_epoch(conn, read.session, learned)?;
    }
    let session = Session::find(conn, read.session)?;
    let head = session.as_ref().map_or(Offset::START, |session| session.head);
    if read.after > head {
        return Err(refusal::rewound(read.session, read.after, head).into());
    }
    let mut reading = Reading { conn, read, names: Names::new(conn), entries: Vec::new(), bytes: 0 };
    let mut select = conn.prepare_cached(RECORD)?;
    let mut scanned_to = read.after;
    if let Some(session) = session {
        while scanned_to < head && !reading.is_full() {
            let list = Listed::Records.from(conn, session.row, (head.0, &session.tail), scanned_to.0)?;
            let rows = parts::records(&list)?;
            let behind = rows.get(parts::within(scanned_to.0)..).unwrap_or_default();
            if behind.is_empty() {
                return Err(missing(read.session, scanned_to.plus(1)));
            }
            for row in behind {
                scanned_to = scanned_to.plus(1);
                reading.take(&mut select, &session, scanned_to, *row)?;
                if reading.is_full() {
                    break;
                }
            }
        }
    }
    let scanned_to = if reading.is_full() { scanned_to } else { head };
    Ok(Page { entries: reading.entries, scanned_to: scanned_to.0, more: scanned_to < head })
}

fn missing(session: SessionId, offset: Offset) -> Failure {
    Failure::corrupt(format!("record {offset} of session {session} is missing"))
}

/// A session, as far as its records are found by it.
struct Session {
    row: i64,
    head: Offset,
    tail: String,
}

impl Session {
    fn find(conn: &Connection, session: SessionId) -> Result<Option<Self>, Failure> {
        let mut find = conn.prepare_cached("SELECT id, head, tail FROM session WHERE uid = ?1")?;
        let found = find
            .query_row([session.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((row, head, tail)) = found else { return Ok(None) };
        Ok(Some(Self { row, head: Offset(uint("head", head)?), tail }))
    }
}

/// The rows of a session's records behind `after`, up to `up_to`.
pub(super) fn rows_of(
    conn: &Connection,
    session: i64,
    after: Offset,
    up_to: Offset,
) -> Result<Vec<i64>, Failure> {
    let mut find = conn.prepare_cached("SELECT head, tail FROM session WHERE id = ?1")?;
    let (head, tail): (i64, String) = find.query_row([session], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let head = uint("head", head)?;
    let (mut place, end, mut found) = (after.0, head.min(up_to.0), Vec::new());
    while place < end {
        let list = Listed::Records.from(conn, session, (head, &tail), place)?;
        let rows = parts::records(&list)?;
        let behind = rows.get(parts::within(place)..).unwrap_or_default();
        if behind.is_empty() {
            return Err(Failure::corrupt(format!(
                "the list of records of session row {session} is too short"
            )));
        }
        found.extend(behind.iter().take((end - place) as usize));
        place += behind.len() as u64;
    }
    Ok(found)
}

/// The row of one of a session's records.
pub(super) fn row_of(conn: &Connection, session: i64, offset: Offset) -> Result<Option<i64>, Failure> {
    let Some(before) = offset.0.checked_sub(1) else { return Ok(None) };
    Ok(rows_of(conn, session, Offset(before), offset)?.pop())
}

const RECORD: &str = "SELECT \"offset\", v, class, kind.name, at, turn, author, items, ops, body, session
     FROM piece LEFT JOIN kind ON kind.id = piece.kind WHERE piece.id = ?1";

/// A page that grows.
struct Reading<'a> {
    conn: &'a Connection,
    read: &'a Read,
    names: Names<'a>,
    entries: Vec<Arc<Record>>,
    bytes: u64,
}

impl Reading<'_> {
    fn is_full(&self) -> bool {
        self.entries.len() as u64 >= u64::from(self.read.limit)
            || self.bytes >= self.read.max_bytes && !self.entries.is_empty()
    }

    /// Takes the record at `offset` in, if it is of a class that is asked for.
    fn take(
        &mut self,
        select: &mut Statement<'_>,
        session: &Session,
        offset: Offset,
        row: i64,
    ) -> Result<(), Failure> {
        let mut rows = select.query([row])?;
        let row = rows.next()?.ok_or_else(|| missing(self.read.session, offset))?;
        let place: (Option<i64>, Option<i64>) = (row.get(10)?, row.get(0)?);
        if place != (Some(session.row), Some(int(offset.0))) {
            return Err(missing(self.read.session, offset));
        }
        let place = (self.read.session, offset);
        let about =
            |failure: Failure| failure.about(|| format!("record {offset} of session {}", self.read.session));
        // One of a class that is not known is read, which says so.
        if row::class(row.get(2)?).is_ok_and(|class| !self.read.classes.contains(class)) {
            return Ok(());
        }
        let (record, size) = record(self.conn, &mut self.names, place, row).map_err(about)?;
        self.bytes += size;
        self.entries.push(Arc::new(record));
        Ok(())
    }
}

/// The epoch is raised in the file, perhaps by another process.
fn check_epoch(conn: &Connection, session: SessionId, learned: u64) -> Result<(), Failure> {
    let mut find = conn.prepare_cached("SELECT epoch FROM store")?;
    let epoch = uint("epoch", find.query_row([], |row| row.get(0))?)?;
    if learned == epoch { Ok(()) } else { Err(refusal::other_epoch(session, learned, epoch).into()) }
}

/// A record with its items, and how many bytes its body and they make.
fn record(
    conn: &Connection,
    names: &mut Names<'_>,
    place: (SessionId, Offset),
    row: &Row<'_>,
) -> Result<(Record, u64), Failure> {
    let (items, size) = read_items(conn, blob(row, 7)?)?;
    let body: String = row.get(9)?;
    let bytes = (body.len() + size) as u64;
    let author = row.get::<_, Option<String>>(6)?.map(|author| parse(&author, || "its author".into()));
    let turn = row.get::<_, Option<i64>>(5)?.map(|turn| uint("turn", turn)).transpose()?;
    let record = Record {
        v: row.get(1)?,
        session: place.0,
        offset: place.1,
        class: row::class(row.get(2)?)?,
        kind: row.get(3)?,
        author: author.transpose()?,
        at: Timestamp::from_micros(row.get(4)?),
        turn: turn.map(|turn| TurnId(Offset(turn))),
        ops: read_ops(blob(row, 8)?, &items, names)?,
        items,
        body: RawValue::from_string(body)
            .map_err(|error| Failure::corrupt(format!("its body is broken: {error}")))?,
    };
    Ok((record, bytes))
}

/// A record's items, and how many bytes they make.
fn read_items(conn: &Connection, rows: &[u8]) -> Result<(Vec<Arc<Item>>, usize), Failure> {
    let (mut items, mut bytes) = (Vec::new(), 0);
    for row in code::numbers(rows)? {
        let found = item::read(conn, row.cast_signed())?;
        let (item, size) = found.ok_or_else(|| Failure::corrupt(format!("item row {row} is not there")))?;
        bytes += size;
        items.push(Arc::new(item));
    }
    Ok((items, bytes))
}

fn read_ops(ops: &[u8], items: &[Arc<Item>], names: &mut Names<'_>) -> Result<Vec<Op>, Failure> {
    let items: Vec<ItemId> = items.iter().map(|item| item.id).collect();
    Decoder::new(ops, |row| names.get(row)).ops(&items)
}

pub(super) fn items(conn: &Connection, ids: &[ItemId]) -> Result<Vec<Arc<Item>>, Failure> {
    let found = ids.iter().map(|id| match item::named(conn, *id)? {
        Some(item) => Ok(Arc::new(item)),
        None => Err(refusal::no_item(*id).into()),
    });
    found.collect()
}
