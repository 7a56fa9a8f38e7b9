//! Taking content back, and giving space back, inside transactions of their own.

use super::{
    code,
    failure::Failure,
    item,
    lease::{Columns, now, tenure},
    name,
    parts::{self, Listed},
    read,
    row::{self, json, uint},
    search,
    thread::{Stored, select_threads},
};
use crate::{Erase, Erased, PRUNED, Pruned, refusal};
use party_core::{ItemId, Offset, SessionId};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::{BTreeMap, BTreeSet};

/// Says to other processes that what they keep in memory may no longer be so.
fn tell(conn: &Connection) -> Result<(), Failure> {
    conn.execute("UPDATE store SET cared = cared + 1", [])?;
    Ok(())
}

/// All of it or nothing: where something is not there, the transaction around it is undone.
pub(super) fn erase(conn: &Connection, erase: &Erase) -> Result<Erased, Failure> {
    let items: BTreeSet<ItemId> = erase.items.iter().copied().collect();
    let mut found = Vec::new();
    for id in items {
        let missing = || refusal::no_item(id);
        let row = item::find(conn, id)?.ok_or_else(missing)?;
        let (item, _) = item::read(conn, row)?.ok_or_else(missing)?;
        found.push((row, json(&item.erased())));
    }
    for (session, offset, body) in &erase.bodies {
        let missing = || refusal::no_record(*session, *offset);
        let session = row::session(conn, *session)?.ok_or_else(missing)?;
        let row = read::row_of(conn, session, *offset)?.ok_or_else(missing)?;
        conn.prepare_cached("UPDATE piece SET body = ?2 WHERE id = ?1")?.execute(params![row, body.get()])?;
        conn.execute("DELETE FROM snapshot WHERE session = ?1", [session])?;
    }
    let rows: Vec<i64> = found.iter().map(|(row, _)| *row).collect();
    search::forget(conn, &rows)?;
    for (row, tombstone) in &found {
        conn.execute("UPDATE piece SET body = ?2 WHERE id = ?1", params![row, tombstone])?;
        conn.execute("DELETE FROM item_large WHERE item = ?1", [row])?;
    }
    drop_snapshots(conn, &rows)?;
    tell(conn)?;
    Ok(Erased { items: erase.items.len() as u64, bodies: erase.bodies.len() as u64 })
}

/// Drops the snapshots of sessions that bring or refer to one of `items`.
fn drop_snapshots(conn: &Connection, items: &[i64]) -> Result<(), Failure> {
    let mut select = conn.prepare("SELECT session FROM snapshot")?;
    let sessions = select.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    for session in sessions {
        let named = items_of(conn, session)?;
        if items.iter().any(|item| named.contains(item)) {
            conn.execute("DELETE FROM snapshot WHERE session = ?1", [session])?;
        }
    }
    Ok(())
}

/// Sessions that are there, by their rows; refuses one that somebody drives.
fn free(conn: &Connection, sessions: &[SessionId]) -> Result<BTreeSet<i64>, Failure> {
    let mut rows = BTreeSet::new();
    for session in sessions {
        let mut find = conn
            .prepare_cached("SELECT id, lease_owner, lease_token, lease_until FROM session WHERE uid = ?1")?;
        let found: Option<(i64, Columns)> = find
            .query_row([session.as_bytes()], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))
            .optional()?;
        let Some((row, lease)) = found else { continue };
        if tenure(lease)?.driver(now()).is_some() {
            return Err(refusal::driven(*session).into());
        }
        rows.insert(row);
    }
    Ok(rows)
}

/// Empties trace records behind `after`, up to `up_to`.
pub(super) fn prune_trace(
    conn: &Connection,
    session: SessionId,
    after: Offset,
    up_to: Offset,
) -> Result<u64, Failure> {
    let Some(session) = free(conn, &[session])?.pop_first() else { return Ok(0) };
    tell(conn)?;
    conn.prepare_cached("INSERT INTO kind (name) VALUES (?1) ON CONFLICT (name) DO NOTHING")?
        .execute([PRUNED])?;
    let mut empty = conn.prepare_cached(
        "UPDATE piece SET kind = (SELECT id FROM kind WHERE name = ?2), body = '{}'
         WHERE id = ?1 AND class = 3 AND kind <> (SELECT id FROM kind WHERE name = ?2)",
    )?;
    let mut emptied = 0;
    for row in read::rows_of(conn, session, after, up_to)? {
        emptied += empty.execute(params![row, PRUNED])? as u64;
    }
    Ok(emptied)
}

/// Removes sessions with all that no other refers to. Tokens of leases never go back, so what is known
/// of them stays.
pub(super) fn prune_sessions(conn: &Connection, sessions: &[SessionId]) -> Result<Pruned, Failure> {
    let mut records = 0;
    let mut named = BTreeSet::new();
    for session in free(conn, sessions)? {
        named.append(&mut items_of(conn, session)?);
        records += drop_records(conn, session)?;
        for thread in threads_of(conn, session)? {
            Listed::Entries.clear(conn, thread.row, thread.count())?;
        }
        name::remove(conn, &format!("scope = {session}"))?;
        for sql in [
            "DELETE FROM compaction WHERE thread IN (SELECT id FROM thread WHERE session = ?1)",
            "DELETE FROM thread WHERE session = ?1",
            "DELETE FROM snapshot WHERE session = ?1",
            "UPDATE store SET mark = max(mark, (SELECT changed FROM session WHERE id = ?1))",
            "UPDATE session SET head = 0, tail = '', opened_at = NULL, kind = NULL, \"key\" = NULL, parent = NULL,
                 wake = NULL, partial = 0, changed = 0 WHERE id = ?1",
        ] {
            conn.execute(sql, [session])?;
        }
    }
    let items = drop_items(conn, named)?;
    tell(conn)?;
    Ok(Pruned { records, items })
}

/// Removes a session's records and their list; how many there were.
fn drop_records(conn: &Connection, session: i64) -> Result<u64, Failure> {
    let rows = read::rows_of(conn, session, Offset::START, Offset(u64::MAX))?;
    let mut delete = conn.prepare_cached("DELETE FROM piece WHERE id = ?1")?;
    for row in &rows {
        delete.execute([row])?;
    }
    Listed::Records.clear(conn, session, rows.len() as u64)?;
    Ok(rows.len() as u64)
}

fn threads_of(conn: &Connection, session: i64) -> Result<Vec<Stored>, Failure> {
    let mut select = conn.prepare(select_threads!("WHERE thread.session = ?1"))?;
    let (mut rows, mut threads) = (select.query([session])?, Vec::new());
    while let Some(row) = rows.next()? {
        threads.push(Stored::read(row)?);
    }
    Ok(threads)
}

/// The rows of the items that a session brings or refers to.
fn items_of(conn: &Connection, session: i64) -> Result<BTreeSet<i64>, Failure> {
    let mut items = BTreeSet::new();
    let mut brought = conn.prepare("SELECT items FROM piece WHERE id = ?1 AND items IS NOT NULL")?;
    for record in read::rows_of(conn, session, Offset::START, Offset(u64::MAX))? {
        let mut rows = brought.query([record])?;
        while let Some(row) = rows.next()? {
            items.extend(code::numbers(row::blob(row, 0)?)?.into_iter().map(u64::cast_signed));
        }
    }
    for thread in threads_of(conn, session)? {
        let (count, mut place) = (thread.count(), 0);
        while place < count {
            let list = Listed::Entries.from(conn, thread.row, (count, &thread.tail), place)?;
            let entries = parts::entries(&list)?;
            if entries.is_empty() {
                return Err(Failure::corrupt(format!("the list of thread {} is too short", thread.id)));
            }
            place += entries.len() as u64;
            items.extend(entries.iter().map(|entry| entry.item));
        }
    }
    let mut summed = conn.prepare(
        "SELECT item_name.item FROM compaction JOIN thread ON thread.id = compaction.thread
         JOIN item_name ON item_name.uid = compaction.item WHERE session = ?1",
    )?;
    let mut rows = summed.query([session])?;
    while let Some(row) = rows.next()? {
        items.insert(row.get(0)?);
    }
    Ok(items)
}

/// Removes those of `items` that nobody refers to any more, and hands on what is found by others.
fn drop_items(conn: &Connection, mut items: BTreeSet<i64>) -> Result<u64, Failure> {
    let mut handed = BTreeMap::new();
    if !items.is_empty() {
        let mut brought = conn
            .prepare("SELECT session, \"offset\", items FROM record WHERE items IS NOT NULL ORDER BY id")?;
        let mut rows = brought.query([])?;
        while let Some(row) = rows.next()? {
            for item in code::numbers(row::blob(row, 2)?)?.into_iter().map(u64::cast_signed) {
                if items.remove(&item) {
                    handed.insert(item, (row.get(0)?, uint("offset", row.get(1)?)?));
                }
            }
        }
        let mut shown = conn.prepare("SELECT DISTINCT item FROM entry")?;
        let mut rows = shown.query([])?;
        while let Some(row) = rows.next()? {
            items.remove(&row.get(0)?);
        }
        let mut summed = conn.prepare(
            "SELECT name.item FROM compaction JOIN item_name AS name ON name.uid = compaction.item",
        )?;
        let mut rows = summed.query([])?;
        while let Some(row) = rows.next()? {
            items.remove(&row.get(0)?);
        }
    }
    let gone: Vec<i64> = items.into_iter().collect();
    search::forget(conn, &gone)?;
    for item in &gone {
        conn.prepare_cached("DELETE FROM piece WHERE id = ?1")?.execute([item])?;
        conn.prepare_cached("DELETE FROM item_large WHERE item = ?1")?.execute([item])?;
    }
    if !gone.is_empty() {
        name::remove(conn, "scope = 0 AND piece NOT IN (SELECT id FROM item)")?;
    }
    search::hand_on(conn, &handed)?;
    Ok(gone.len() as u64)
}

/// What is wrong with the file itself, each in a line; at most 100.
pub(super) fn damage(conn: &Connection) -> Result<Vec<String>, Failure> {
    let mut problems = Vec::new();
    for sql in [
        "PRAGMA integrity_check(100)",
        "SELECT 'item row ' || item || ' has a name and no body' FROM item_name
             WHERE item NOT IN (SELECT id FROM item) LIMIT 100",
        "SELECT 'item row ' || id || ' has no name' FROM item WHERE id NOT IN (SELECT item FROM item_name) LIMIT 100",
        "SELECT 'batch row ' || piece || ' has a name and no record' FROM (
             SELECT piece FROM name WHERE scope > 0 UNION ALL SELECT piece FROM name_twin WHERE scope > 0)
             WHERE piece NOT IN (SELECT id FROM piece WHERE hash IS NOT NULL) LIMIT 100",
        "SELECT 'item row ' || id || ' has no body' FROM item
             WHERE body IS NULL AND id NOT IN (SELECT item FROM item_large) LIMIT 100",
    ] {
        let mut select = conn.prepare(sql)?;
        let lines = select.query_map([], |row| row.get(0))?;
        problems.extend(lines.collect::<Result<Vec<String>, _>>()?);
    }
    problems.retain(|line| line != "ok");
    Ok(problems)
}
