//! Queries, each inside a transaction of its own.

use super::{
    failure::Failure,
    lease::{Columns, now, tenure},
    row::{self, int, parse, uint},
};
use crate::{Classes, Page, Read, SessionInfo, SessionQuery, Snapshot, Window, refusal};
use party_core::{Entry, Item, ItemId, Offset, Piece, Record, SessionId, Timestamp, TurnId, Walk};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::value::RawValue;
use std::sync::Arc;

/// The session's last offset; 0 for one that does not exist.
pub(super) fn head(conn: &Connection, session: SessionId) -> Result<Offset, Failure> {
    let mut find = conn.prepare_cached("SELECT head FROM session WHERE uid = ?1")?;
    let head = find.query_row([session.as_bytes()], |row| row.get(0)).optional()?;
    Ok(Offset(uint("head", head.unwrap_or(0))?))
}

pub(super) fn records(conn: &Connection, read: &Read) -> Result<Page<Arc<Record>>, Failure> {
    let head = head(conn, read.session)?;
    if read.after > head {
        return Err(refusal::rewound(read.session, read.after, head).into());
    }
    let mut select = conn.prepare_cached(
        "SELECT \"offset\", v, class, kind, at, turn, author, items, ops, body FROM record
         WHERE session = ?1 AND \"offset\" > ?2 AND (class NOT BETWEEN 0 AND 3 OR (?3 >> class) & 1)
         ORDER BY \"offset\" LIMIT ?4",
    )?;
    let session = row::session(conn, read.session)?;
    let mut rows = select.query(params![session, int(read.after.0), read.classes.mask(), read.limit])?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let mut scanned_to = read.after;
    while let Some(row) = rows.next()? {
        let (record, size) = record(conn, read.session, row)?;
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

/// A record with its items, and how many bytes its body and they make.
fn record(conn: &Connection, session: SessionId, row: &Row<'_>) -> Result<(Record, u64), Failure> {
    let offset = Offset(uint("offset", row.get(0)?)?);
    let what = || format!("record {offset} of session {session}");
    let body: String = row.get(9)?;
    let mut bytes = body.len();
    let ids: Option<Vec<u8>> = row.get(7)?;
    let mut items = Vec::new();
    for id in row::item_ids(&ids.unwrap_or_default(), what)? {
        let Some((item, size)) = item(conn, id)? else {
            return Err(Failure::corrupt(format!("{} names item {id}, which is not there", what())));
        };
        bytes += size;
        items.push(Arc::new(item));
    }
    let turn = row.get::<_, Option<i64>>(5)?.map(|turn| uint("turn", turn)).transpose()?;
    let author = row.get::<_, Option<String>>(6)?.map(|author| parse(&author, what)).transpose()?;
    let ops = row.get::<_, Option<String>>(8)?.map(|ops| parse(&ops, what)).transpose()?;
    let record = Record {
        v: row.get(1)?,
        session,
        offset,
        class: row::class(row.get(2)?, what)?,
        kind: row.get(3)?,
        author,
        at: Timestamp::from_micros(row.get(4)?),
        turn: turn.map(|turn| TurnId(Offset(turn))),
        items,
        ops: ops.unwrap_or_default(),
        body: RawValue::from_string(body)
            .map_err(|error| Failure::corrupt(format!("{} has a broken body: {error}", what())))?,
    };
    Ok((record, bytes as u64))
}

fn item(conn: &Connection, id: ItemId) -> Result<Option<(Item, usize)>, Failure> {
    let mut select = conn.prepare_cached("SELECT body FROM item WHERE uid = ?1")?;
    let text: Option<String> = select.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
    let Some(text) = text else { return Ok(None) };
    Ok(Some((parse(&text, || format!("item {id}"))?, text.len())))
}

pub(super) fn items(conn: &Connection, ids: &[ItemId]) -> Result<Vec<Arc<Item>>, Failure> {
    let found = ids.iter().map(|id| match item(conn, *id)? {
        Some((item, _)) => Ok(Arc::new(item)),
        None => Err(refusal::no_item(*id).into()),
    });
    found.collect()
}

pub(super) fn window(conn: &Connection, window: &Window) -> Result<Page<Entry>, Failure> {
    let mut find = conn.prepare_cached("SELECT id, head FROM thread WHERE session = ?2 AND uid = ?1")?;
    let session = row::session(conn, window.session)?;
    let thread: Option<(i64, i64)> = find
        .query_row(params![window.thread.as_bytes(), session], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (thread, head) = thread.ok_or_else(|| refusal::no_thread(window.thread))?;
    let mut walk = Walk::new(window.side, window.limit, uint("head", head)?);
    while walk.ask().is_some() {
        walk.answer(None);
    }
    let walked = walk.finish();
    let mut entries = Vec::new();
    for piece in &walked.pieces {
        let Piece::Entries(span) = piece else { continue };
        let mut select = conn.prepare_cached(
            "SELECT position, entry.\"offset\", idx, how, item.body FROM entry JOIN item ON item.id = entry.item
             WHERE thread = ?1 AND position BETWEEN ?2 AND ?3 ORDER BY position",
        )?;
        let mut rows = select.query(params![thread, int(span.first), int(span.last)])?;
        while let Some(row) = rows.next()? {
            entries.push(entry(window, row)?);
        }
    }
    Ok(Page { entries, scanned_to: walked.scanned_to, more: walked.more })
}

fn entry(window: &Window, row: &Row<'_>) -> Result<Entry, Failure> {
    let position = uint("position", row.get(0)?)?;
    let what = || format!("entry {position} of thread {}", window.thread);
    let how = parse(&row.get::<_, String>(3)?, what)?;
    let item: Item = parse(&row.get::<_, String>(4)?, what)?;
    let offset = Offset(uint("offset", row.get(1)?)?);
    Ok(Entry::new(position, offset, row.get(2)?, how, Arc::new(item)))
}

pub(super) fn sessions(conn: &Connection, query: &SessionQuery) -> Result<Page<SessionInfo>, Failure> {
    let filter = if query.session.is_some() { "uid = ?1" } else { "?1 IS NULL" };
    let mut select = conn.prepare_cached(&format!(
        "SELECT uid, head, opened_at, lease_owner, lease_token, lease_until, id FROM session
         WHERE opened_at IS NOT NULL AND {filter}
         ORDER BY opened_at DESC, uid DESC LIMIT ?2 OFFSET ?3",
    ))?;
    let only = query.session.as_ref().map(SessionId::as_bytes);
    // One more than asked for tells whether there is more.
    let mut rows = select.query(params![only, i64::from(query.limit) + 1, int(query.skip)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(session_info(conn, query, row)?);
    }
    let more = entries.len() > query.limit as usize;
    entries.truncate(query.limit as usize);
    Ok(Page { scanned_to: query.skip.saturating_add(entries.len() as u64), entries, more })
}

fn session_info(conn: &Connection, query: &SessionQuery, row: &Row<'_>) -> Result<SessionInfo, Failure> {
    let lease: Columns = (row.get(3)?, row.get(4)?, row.get(5)?);
    let snapshot = match query.session {
        Some(_) => snapshot(conn, row.get(6)?)?,
        None => None,
    };
    Ok(SessionInfo {
        session: SessionId::from_bytes(row.get(0)?),
        head: Offset(uint("head", row.get(1)?)?),
        opened_at: Timestamp::from_micros(row.get(2)?),
        driver: tenure(lease)?.driver(now()).cloned(),
        label: None,
        wake: crate::Wake::Idle,
        partial: false,
        snapshot,
    })
}

fn snapshot(conn: &Connection, session: i64) -> Result<Option<Snapshot>, Failure> {
    let mut select =
        conn.prepare_cached("SELECT engine, \"offset\", state FROM snapshot WHERE session = ?1")?;
    let row: Option<(String, i64, Vec<u8>)> =
        select.query_row([session], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((engine, offset, state)) = row else { return Ok(None) };
    Ok(Some(Snapshot { engine, offset: Offset(uint("offset", offset)?), state }))
}
