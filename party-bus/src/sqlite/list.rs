//! Lists of sessions and of threads, each inside a transaction of its own.

use super::{
    failure::Failure,
    lease::{Columns, now, tenure},
    row::{self, int, uint},
    thread::{Stored, select_threads},
};
use crate::{Label, Page, SessionInfo, SessionQuery, Snapshot, ThreadInfo, ThreadQuery};
use party_core::{Offset, SessionId, ThreadId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

pub(super) fn sessions(conn: &Connection, query: &SessionQuery) -> Result<Page<SessionInfo>, Failure> {
    let now = now();
    let mut sql = String::from(
        "SELECT uid, head, opened_at, lease_owner, lease_token, lease_until, id, kind, \"key\", parent,
                wake, partial FROM session WHERE opened_at IS NOT NULL",
    );
    let mut given: Vec<&dyn ToSql> = Vec::new();
    let only = query.session.as_ref().map(SessionId::as_bytes);
    let parent = query.parent.as_ref().map(SessionId::as_bytes);
    let filters: [(&str, Option<&dyn ToSql>); 4] = [
        (" AND uid = ?", only.as_ref().map(|value| value as _)),
        (" AND kind = ?", query.kind.as_ref().map(|value| value as _)),
        (" AND parent = ?", parent.as_ref().map(|value| value as _)),
        (" AND partial = 0 AND wake <= ?", query.due.then_some(&now as _)),
    ];
    for (filter, value) in filters {
        if let Some(value) = value {
            sql.push_str(filter);
            given.push(value);
        }
    }
    sql.push_str(if query.due {
        " ORDER BY wake, opened_at, uid"
    } else {
        " ORDER BY opened_at DESC, uid DESC"
    });
    let mut select = conn.prepare_cached(&sql)?;
    let mut rows = select.query(&given[..])?;
    let (mut page, mut skip) =
        (Page { entries: Vec::new(), scanned_to: query.skip, more: false }, query.skip);
    while let Some(row) = rows.next()? {
        // Whether a driver lives is nothing that SQL knows.
        if query.due && tenure(columns(row)?)?.driver(now).is_some() {
            continue;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        if page.entries.len() == query.limit as usize {
            page.more = true;
            break;
        }
        page.entries.push(session_info(conn, query, row, now)?);
        page.scanned_to += 1;
    }
    Ok(page)
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(3)?, row.get(4)?, row.get(5)?))
}

fn session_info(
    conn: &Connection,
    query: &SessionQuery,
    row: &Row<'_>,
    now: i64,
) -> Result<SessionInfo, Failure> {
    let snapshot = match query.session {
        Some(_) => snapshot(conn, row.get(6)?)?,
        None => None,
    };
    let label = match (row.get(7)?, row.get(8)?) {
        (Some(kind), Some(key)) => {
            let parent = row.get::<_, Option<[u8; 16]>>(9)?.map(SessionId::from_bytes);
            Some(Label { kind, key, parent })
        }
        _ => None,
    };
    Ok(SessionInfo {
        session: SessionId::from_bytes(row.get(0)?),
        head: Offset(uint("head", row.get(1)?)?),
        opened_at: Timestamp::from_micros(row.get(2)?),
        driver: tenure(columns(row)?)?.driver(now).cloned(),
        label,
        wake: row::wake(row.get(10)?),
        partial: row.get(11)?,
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

pub(super) fn threads(conn: &Connection, query: &ThreadQuery) -> Result<Page<ThreadInfo>, Failure> {
    let mut page = Page { entries: Vec::new(), scanned_to: query.skip, more: false };
    let Some(session) = row::session(conn, query.session)? else { return Ok(page) };
    let mut sql = String::from(select_threads!("WHERE "));
    // A thread's children are in its session.
    let (of, row) = match query.parent {
        None => ("thread.session = ?1", session),
        Some(parent) => match Stored::find(conn, session, parent)? {
            Some(parent) => ("thread.parent = ?1", parent.row),
            None => return Ok(page),
        },
    };
    sql.push_str(of);
    let only = query.thread.as_ref().map(ThreadId::as_bytes);
    let kind = query.kind.as_ref().map(ToString::to_string);
    sql.push_str(if only.is_some() { " AND thread.uid = ?2" } else { " AND ?2 IS NULL" });
    sql.push_str(if kind.is_some() { " AND thread.kind = ?3" } else { " AND ?3 IS NULL" });
    // One more than asked for tells whether there is more.
    sql.push_str(" ORDER BY thread.id LIMIT ?4 OFFSET ?5");
    let mut select = conn.prepare_cached(&sql)?;
    let mut rows = select.query(params![row, only, kind, i64::from(query.limit) + 1, int(query.skip)])?;
    while let Some(row) = rows.next()? {
        page.entries.push(thread_info(Stored::read(row)?));
    }
    page.more = page.entries.len() > query.limit as usize;
    page.entries.truncate(query.limit as usize);
    page.scanned_to = query.skip.saturating_add(page.entries.len() as u64);
    Ok(page)
}

fn thread_info(stored: Stored) -> ThreadInfo {
    let Stored { id, kind, state, head, origin, .. } = stored;
    ThreadInfo { thread: id, kind, state, origin: origin.map(|(_, origin)| origin), head }
}
