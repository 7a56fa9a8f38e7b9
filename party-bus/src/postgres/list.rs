//! Lists of threads and sessions.

use super::{
    failure::Failure,
    fetch::{kind, state, tenure},
    lease::NOW,
    readers::Reader,
    row::{int, uid, uint},
};
use crate::{Label, Page, SessionInfo, SessionQuery, Snapshot, Tenure, ThreadInfo, ThreadQuery, Wake};
use party_core::{Offset, Origin, SessionId, ThreadId, Timestamp};
use tokio::task::spawn_blocking;
use tokio_postgres::Row;

// Each shape has a statement of its own: a plan that serves all of them at once would use no index.
macro_rules! select_threads {
    ($parent:literal, $of:literal) => {
        concat!(
            "SELECT t.uid, t.kind, t.state, p.uid, t.after, t.head FROM thread t ",
            $parent,
            " thread p ON p.id = t.parent WHERE t.session = (SELECT id FROM session WHERE uid = $1) AND ",
            $of,
            " AND ($4::text IS NULL OR t.kind = $4) ORDER BY t.made LIMIT $5 OFFSET $6"
        )
    };
}

const THREADS: &str = select_threads!("LEFT JOIN", "$2::bytea IS NULL AND $3::bytea IS NULL");
const THREAD: &str = select_threads!("LEFT JOIN", "t.uid = $2 AND ($3::bytea IS NULL OR p.uid = $3)");
/// A thread's children are in its session.
const CHILDREN: &str = select_threads!(
    "JOIN",
    "t.parent = (SELECT c.id FROM thread c JOIN session s ON s.id = c.session WHERE s.uid = $1 AND c.uid = $3)
        AND $2::bytea IS NULL"
);

pub(super) async fn threads(mut link: Reader, query: &ThreadQuery) -> Result<Page<ThreadInfo>, Failure> {
    let thread = query.thread.as_ref().map(|thread| &thread.as_bytes()[..]);
    let parent = query.parent.as_ref().map(|thread| &thread.as_bytes()[..]);
    let named = query.kind.as_ref().map(ToString::to_string);
    let sql = match (thread, parent) {
        (Some(_), _) => THREAD,
        (None, Some(_)) => CHILDREN,
        (None, None) => THREADS,
    };
    // One more than asked for tells whether there is more.
    let (limit, skip) = (i64::from(query.limit) + 1, int(query.skip));
    let session = &query.session.as_bytes()[..];
    let mut found = Vec::new();
    for row in link.ask(sql, &[&session, &thread, &parent, &named, &limit, &skip]).await? {
        let origin = match row.try_get::<_, Option<&[u8]>>(3)? {
            Some(parent) => {
                let after = uint("after", row.try_get::<_, Option<i64>>(4)?.unwrap_or_default())?;
                Some(Origin { parent: ThreadId::from_bytes(uid("uid", parent)?), after })
            }
            None => None,
        };
        found.push(ThreadInfo {
            thread: ThreadId::from_bytes(uid("uid", row.try_get(0)?)?),
            kind: kind(row.try_get(1)?),
            state: state(row.try_get(2)?)?,
            origin,
            head: uint("head", row.try_get(5)?)?,
        });
    }
    Ok(paged(found, query.skip, query.limit))
}

fn paged<T>(mut found: Vec<T>, skip: u64, limit: u32) -> Page<T> {
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    Page { scanned_to: skip.saturating_add(found.len() as u64), entries: found, more }
}

macro_rules! select_sessions {
    ($snapshot:literal, $rest:literal, $of:literal, $order:literal) => {
        concat!(
            "SELECT s.uid, s.head, s.opened_at, s.lease_owner, s.lease_token, s.lease_until, s.kind,
                s.key, s.parent, s.wake, s.partial, ",
            $snapshot,
            " FROM session s ",
            $rest,
            " WHERE s.opened_at IS NOT NULL AND ",
            $of,
            $order
        )
    };
}
macro_rules! by_age {
    ($of:literal) => {
        select_sessions!(
            "NULL::text, NULL::bigint, NULL::bytea",
            "",
            $of,
            " ORDER BY s.opened_at DESC, s.uid DESC LIMIT $4 OFFSET $5"
        )
    };
}
/// Those that want to be driven by `$4`, behind the last one that was looked at.
macro_rules! due {
    ($of:literal) => {
        select_sessions!(
            "NULL::text, NULL::bigint, NULL::bytea",
            "",
            $of,
            " AND s.wake IS NOT NULL AND NOT s.partial AND s.wake <= $4
                AND (s.wake, s.opened_at, s.uid) > ($5, $6, $7)
                AND ($2::text IS NULL OR s.kind = $2) AND ($3::bytea IS NULL OR s.parent = $3)
            ORDER BY s.wake, s.opened_at, s.uid LIMIT 500"
        )
    };
}

const SESSIONS: &str = by_age!("$1::bytea IS NULL AND $2::text IS NULL AND $3::bytea IS NULL");
const SESSION: &str = select_sessions!(
    r#"n.engine, n."offset", n.state"#,
    "LEFT JOIN snapshot n ON n.session = s.id",
    "s.uid = $1 AND ($2::text IS NULL OR s.kind = $2) AND ($3::bytea IS NULL OR s.parent = $3)",
    " LIMIT $4 OFFSET $5"
);
const OF_KIND: &str = by_age!("$1::bytea IS NULL AND s.kind = $2 AND $3::bytea IS NULL");
const BELOW: &str = by_age!("$1::bytea IS NULL AND s.parent = $3 AND ($2::text IS NULL OR s.kind = $2)");
const DUE: &str = due!("$1::bytea IS NULL");
const DUE_ONE: &str = due!("s.uid = $1");

pub(super) async fn sessions(mut link: Reader, query: &SessionQuery) -> Result<Page<SessionInfo>, Failure> {
    let now: i64 = match link.ask(NOW, &[]).await?.first() {
        Some(row) => row.try_get(0)?,
        None => return Err(Failure::broken("the server gave no time")),
    };
    if query.due {
        return due(link, query, now).await;
    }
    let only = query.session.as_ref().map(|session| &session.as_bytes()[..]);
    let parent = query.parent.as_ref().map(|session| &session.as_bytes()[..]);
    let (limit, skip) = (i64::from(query.limit) + 1, int(query.skip));
    let sql = match (only, &query.kind, parent) {
        (Some(_), ..) => SESSION,
        (None, _, Some(_)) => BELOW,
        (None, Some(_), None) => OF_KIND,
        (None, None, None) => SESSIONS,
    };
    let rows = link.ask(sql, &[&only, &query.kind, &parent, &limit, &skip]).await?;
    Ok(paged(infos(&rows, now).await?, query.skip, query.limit))
}

/// Whether a holder lives only this process can tell, so the free ones are picked here.
async fn due(mut link: Reader, query: &SessionQuery, now: i64) -> Result<Page<SessionInfo>, Failure> {
    let only = query.session.as_ref().map(|session| &session.as_bytes()[..]);
    let parent = query.parent.as_ref().map(|session| &session.as_bytes()[..]);
    let wanted = usize::try_from(query.skip).unwrap_or(usize::MAX).saturating_add(query.limit as usize);
    let mut free: Vec<SessionInfo> = Vec::new();
    let sql = if only.is_some() { DUE_ONE } else { DUE };
    let (mut wake, mut opened_at, mut last) = (i64::MIN, i64::MIN, Vec::<u8>::new());
    while free.len() <= wanted {
        let rows = link.ask(sql, &[&only, &query.kind, &parent, &now, &wake, &opened_at, &last]).await?;
        let Some(row) = rows.last() else { break };
        (wake, opened_at, last) = (row.try_get(9)?, row.try_get(2)?, row.try_get(0)?);
        free.extend(infos(&rows, now).await?.into_iter().filter(|info| info.driver.is_none()));
        if rows.len() < 500 {
            break;
        }
    }
    let skip = usize::try_from(query.skip).unwrap_or(usize::MAX).min(free.len());
    free.drain(..skip);
    Ok(paged(free, query.skip, query.limit))
}

async fn infos(rows: &[Row], now: i64) -> Result<Vec<SessionInfo>, Failure> {
    let mut found: Vec<(SessionInfo, Tenure)> = Vec::with_capacity(rows.len());
    for row in rows {
        found.push((info(row)?, tenure(row, 3)?));
    }
    let is_held = found.iter().any(|(_, tenure)| tenure.owner.is_some());
    let with_drivers = move || {
        let shown = found
            .into_iter()
            .map(|(info, tenure)| SessionInfo { driver: tenure.driver(now).cloned(), ..info });
        shown.collect()
    };
    if !is_held {
        return Ok(with_drivers());
    }
    // Whether a process lives is asked of the system, which may block.
    spawn_blocking(with_drivers).await.map_err(|_| Failure::broken("the runtime is shutting down"))
}

fn info(row: &Row) -> Result<SessionInfo, Failure> {
    let id = |column: usize| -> Result<Option<SessionId>, Failure> {
        let bytes = row.try_get::<_, Option<&[u8]>>(column)?;
        Ok(bytes.map(|bytes| uid("uid", bytes)).transpose()?.map(SessionId::from_bytes))
    };
    let label = match (row.try_get::<_, Option<String>>(6)?, row.try_get::<_, Option<String>>(7)?) {
        (Some(kind), Some(key)) => Some(Label { kind, key, parent: id(8)? }),
        _ => None,
    };
    let wake = match row.try_get::<_, Option<i64>>(9)? {
        None => Wake::Idle,
        Some(i64::MIN) => Wake::Now,
        Some(at) => Wake::At(Timestamp::from_micros(at)),
    };
    let snapshot = match (row.try_get(11)?, row.try_get::<_, Option<i64>>(12)?, row.try_get(13)?) {
        (Some(engine), Some(offset), Some(state)) => {
            Some(Snapshot { engine, offset: Offset(uint("offset", offset)?), state })
        }
        _ => None,
    };
    Ok(SessionInfo {
        session: id(0)?.ok_or_else(|| Failure::corrupt("a session has no name"))?,
        head: Offset(uint("head", row.try_get(1)?)?),
        opened_at: Timestamp::from_micros(row.try_get(2)?),
        driver: None,
        label,
        wake,
        partial: row.try_get(10)?,
        snapshot,
    })
}
