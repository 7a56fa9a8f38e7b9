//! Queries for records and items, each inside a transaction of its own.

use super::{
    code::{self, Decoder},
    failure::Failure,
    item,
    row::{self, blob, int, parse, uint},
    thread::Names,
};
use crate::{Changed, Classes, Page, Read, refusal};
use party_core::{Item, ItemId, Offset, Op, Record, SessionId, Timestamp, TurnId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
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
    let head = head(conn, read.session)?;
    if read.after > head {
        return Err(refusal::rewound(read.session, read.after, head).into());
    }
    let mut select = conn.prepare_cached(
        "SELECT \"offset\", v, class, kind.name, at, turn, author, items, ops, body
         FROM record LEFT JOIN kind ON kind.id = record.kind
         WHERE session = ?1 AND \"offset\" > ?2 AND (class NOT BETWEEN 0 AND 3 OR (?3 >> class) & 1)
         ORDER BY \"offset\" LIMIT ?4",
    )?;
    let session = row::session(conn, read.session)?;
    let mut rows = select.query(params![session, int(read.after.0), read.classes.mask(), read.limit])?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let (mut scanned_to, mut names) = (read.after, Names::new(conn));
    while let Some(row) = rows.next()? {
        let offset = Offset(uint("offset", row.get(0)?)?);
        let (record, size) = record(conn, &mut names, (read.session, offset), row)
            .map_err(|failure| failure.about(|| format!("record {offset} of session {}", read.session)))?;
        if read.classes == Classes::ALL && record.offset != scanned_to.plus(1) {
            return Err(Failure::corrupt(format!(
                "record {} of session {} is missing",
                scanned_to.plus(1),
                read.session
            )));
        }
        bytes += size;
        scanned_to = record.offset;
        entries.push(Arc::new(record));
        if bytes >= read.max_bytes {
            break;
        }
    }
    let cut = bytes >= read.max_bytes && !entries.is_empty() || entries.len() as u64 >= u64::from(read.limit);
    let scanned_to = if cut { scanned_to } else { head };
    Ok(Page { entries, scanned_to: scanned_to.0, more: scanned_to < head })
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
