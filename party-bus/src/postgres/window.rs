//! Windows of threads, and lists of threads and sessions.

use super::{
    failure::Failure,
    fetch::{compaction, kind, outlined, state, tenure},
    lease::NOW,
    readers::Reader,
    row::{int, parse, uid, uint},
};
use crate::{
    Label, Layer, Page, SessionInfo, SessionQuery, Snapshot, Tenure, ThreadInfo, ThreadQuery, Wake, Window,
    refusal,
};
use party_core::{
    Ask, Compaction, Entry, How, Item, Level, Offset, Origin, Piece, Place, SessionId, Span, ThreadId,
    Timestamp, Walk, Walked,
};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio_postgres::Row;

/// A thread and all that it descends from, itself first.
const LINEAGE: &str = "WITH RECURSIVE up AS (
        SELECT t.*, 0 AS nth FROM thread t JOIN session s ON s.id = t.session WHERE s.uid = $1 AND t.uid = $2
        UNION ALL
        SELECT p.*, up.nth + 1 FROM up JOIN thread p ON p.id = up.parent
    )
    SELECT id, compactions, uid, kind, state, (SELECT uid FROM thread p WHERE p.id = up.parent), after, made,
        depth, head FROM up ORDER BY nth";
const ENTRIES: &str = "SELECT e.position, e.place, e.how, i.body
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) w (thread, first, last)
    JOIN entry e ON e.thread = w.thread AND e.position BETWEEN w.first AND w.last
    JOIN item i ON i.id = e.item ORDER BY e.position";
const SUMMARIES: &str = "SELECT uid, body FROM item WHERE uid = ANY($1)";
/// What each level shows nearest to a position, on either side of it; `last` and `until` bound what is
/// seen of it.
const BELOW: &str = "SELECT c.first, c.last, i.uid, c.made, c.covered_last, c.covered_made
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) w (thread, last, until) CROSS JOIN LATERAL (
        SELECT * FROM compaction WHERE thread = w.thread AND first <= $4 AND last <= w.last AND made < w.until
            AND (covered_last IS NULL OR covered_last > w.last OR covered_made >= w.until)
        ORDER BY first DESC, made DESC LIMIT 1
    ) c JOIN item i ON i.id = c.item";
const ABOVE: &str = "SELECT c.first, c.last, i.uid, c.made, c.covered_last, c.covered_made
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) w (thread, last, until) CROSS JOIN LATERAL (
        SELECT * FROM compaction WHERE thread = w.thread AND first > $4 AND last <= w.last AND made < w.until
            AND (covered_last IS NULL OR covered_last > w.last OR covered_made >= w.until)
        ORDER BY first, made LIMIT 1
    ) c JOIN item i ON i.id = c.item";

/// A level with its thread's row.
struct Step {
    row: i64,
    level: Level,
    has_compactions: bool,
}

pub(super) async fn window(mut link: Reader, window: &Window) -> Result<Page<Entry>, Failure> {
    let mut steps = lineage(&mut link, window).await?;
    // Entries never change, compactions come: only a view that shows some has to be of one moment.
    let has_compactions = window.layer == Layer::Shown && steps.iter().any(|step| step.has_compactions);
    if has_compactions {
        link.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        steps = lineage(&mut link, window).await?;
    }
    let head = steps.first().map_or(0, |step| step.level.last);
    let mut walk = Walk::new(window.side, window.limit, head);
    while let Some(ask) = walk.ask() {
        let found = if has_compactions { nearest(&mut link, &steps, ask).await? } else { None };
        walk.answer(found);
    }
    let walked = walk.finish();
    let entries = entries(&mut link, window, &steps, &walked).await?;
    if has_compactions {
        link.commit().await?;
    }
    Ok(Page { entries, scanned_to: walked.scanned_to, more: walked.more })
}

async fn lineage(link: &mut Reader, window: &Window) -> Result<Vec<Step>, Failure> {
    let (session, thread) = (&window.session.as_bytes()[..], &window.thread.as_bytes()[..]);
    let rows = link.ask(LINEAGE, &[&session, &thread]).await?;
    let mut steps: Vec<Step> = Vec::with_capacity(rows.len());
    let mut below: Option<(Level, Origin, Place)> = None;
    for row in &rows {
        let outlined = outlined(row, 3)?;
        let thread = ThreadId::from_bytes(uid("uid", row.try_get(2)?)?);
        let level = match below {
            None => Level { thread, first: outlined.first(), last: outlined.head, until: None },
            Some((level, origin, made)) => level.above(thread, outlined.first(), origin.after, made),
        };
        steps.push(Step { row: row.try_get(0)?, level, has_compactions: row.try_get::<_, i32>(1)? > 0 });
        let Some(origin) = outlined.origin else { break };
        below = Some((level, origin, outlined.made));
    }
    if steps.is_empty() { Err(refusal::no_thread(window.thread).into()) } else { Ok(steps) }
}

async fn nearest(link: &mut Reader, steps: &[Step], ask: Ask) -> Result<Option<Compaction>, Failure> {
    let steps = steps.iter().filter(|step| step.has_compactions);
    let (mut rows, mut lasts, mut untils) = (Vec::new(), Vec::new(), Vec::new());
    for Step { row, level, .. } in steps {
        rows.push(*row);
        lasts.push(int(level.last));
        untils.push(level.until.map_or(i64::MAX, |until| int(until.packed())));
    }
    let (sql, position) = match ask {
        Ask::Below(position) => (BELOW, position),
        Ask::Above(position) => (ABOVE, position),
    };
    let found = link.ask(sql, &[&rows, &lasts, &untils, &int(position)]).await?;
    let found: Vec<Compaction> = found.iter().map(|row| compaction(row, 0)).collect::<Result<_, _>>()?;
    Ok(ask.nearest(found, |compaction| compaction.span))
}

async fn entries(
    link: &mut Reader,
    window: &Window,
    steps: &[Step],
    walked: &Walked,
) -> Result<Vec<Entry>, Failure> {
    let (mut threads, mut firsts, mut lasts, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut found = Vec::new();
    let mut summaries = Vec::new();
    for piece in &walked.pieces {
        match piece {
            Piece::Entries(span) => {
                for (row, part) in steps.iter().filter_map(|step| Some((step.row, step.level.part(*span)?))) {
                    threads.push(row);
                    firsts.push(int(part.first));
                    lasts.push(int(part.last));
                }
                count += span.last - span.first + 1;
            }
            Piece::Summary(compaction) => summaries.push(compaction),
        }
    }
    if count > 0 {
        for row in link.ask(ENTRIES, &[&threads, &firsts, &lasts]).await? {
            found.push(entry(window, &row)?);
        }
    }
    if found.len() as u64 != count {
        let why = format!("thread {} shows {} entries where it has {count}", window.thread, found.len());
        return Err(Failure::corrupt(why));
    }
    if !summaries.is_empty() {
        found.extend(summary_entries(link, &summaries).await?);
        found.sort_by_key(|entry| entry.position);
    }
    Ok(found)
}

fn entry(window: &Window, row: &Row) -> Result<Entry, Failure> {
    let position = uint("position", row.try_get(0)?)?;
    let what = || format!("entry {position} of thread {}", window.thread);
    let place = Place::unpacked(uint("place", row.try_get(1)?)?);
    let how = row.try_get::<_, Option<&str>>(2)?.map(|how| parse(how, what)).transpose()?;
    let item: Item = parse(row.try_get(3)?, what)?;
    Ok(Entry::new(position, place.offset, place.index, how.unwrap_or(How::Said), Arc::new(item)))
}

async fn summary_entries(link: &mut Reader, summaries: &[&Compaction]) -> Result<Vec<Entry>, Failure> {
    let uids: Vec<&[u8]> = summaries.iter().map(|summary| &summary.item.as_bytes()[..]).collect();
    let mut items = std::collections::HashMap::new();
    for row in link.ask(SUMMARIES, &[&uids]).await? {
        let item: Item = parse(row.try_get(1)?, || "a summary".into())?;
        items.insert(item.id, Arc::new(item));
    }
    let entry = |summary: &&Compaction| {
        let Span { first, last } = summary.span;
        let missing = || Failure::corrupt(format!("item {} is a summary, and not there", summary.item));
        let item = items.get(&summary.item).map(Arc::clone).ok_or_else(missing)?;
        let Place { offset, index } = summary.made;
        Ok(Entry::new(last, offset, index, How::Summary { first, last }, item))
    };
    summaries.iter().map(entry).collect()
}

const THREADS: &str = "SELECT t.uid, t.kind, t.state, p.uid, t.after, t.head
    FROM session s JOIN thread t ON t.session = s.id LEFT JOIN thread p ON p.id = t.parent
    WHERE s.uid = $1 AND ($2::bytea IS NULL OR t.uid = $2) AND ($3::bytea IS NULL OR p.uid = $3)
        AND ($4::text IS NULL OR t.kind = $4)
    ORDER BY t.made LIMIT $5 OFFSET $6";

pub(super) async fn threads(mut link: Reader, query: &ThreadQuery) -> Result<Page<ThreadInfo>, Failure> {
    let thread = query.thread.as_ref().map(|thread| &thread.as_bytes()[..]);
    let parent = query.parent.as_ref().map(|thread| &thread.as_bytes()[..]);
    let named = query.kind.as_ref().map(ToString::to_string);
    // One more than asked for tells whether there is more.
    let (limit, skip) = (i64::from(query.limit) + 1, int(query.skip));
    let session = &query.session.as_bytes()[..];
    let mut found = Vec::new();
    for row in link.ask(THREADS, &[&session, &thread, &parent, &named, &limit, &skip]).await? {
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

const SESSIONS: &str = r#"SELECT s.uid, s.head, s.opened_at, s.lease_owner, s.lease_token, s.lease_until, s.kind,
        s.key, s.parent, s.wake, s.partial, n.engine, n."offset", n.state
    FROM session s LEFT JOIN snapshot n ON n.session = s.id AND $1::bytea IS NOT NULL
    WHERE s.opened_at IS NOT NULL AND ($1::bytea IS NULL OR s.uid = $1) AND ($2::text IS NULL OR s.kind = $2)
        AND ($3::bytea IS NULL OR s.parent = $3)
    ORDER BY s.opened_at DESC, s.uid DESC LIMIT $4 OFFSET $5"#;
/// Those that want to be driven by `$4`, behind the last one that was looked at.
const DUE: &str = r#"SELECT s.uid, s.head, s.opened_at, s.lease_owner, s.lease_token, s.lease_until, s.kind,
        s.key, s.parent, s.wake, s.partial, NULL::text, NULL::bigint, NULL::bytea
    FROM session s
    WHERE s.opened_at IS NOT NULL AND s.wake IS NOT NULL AND NOT s.partial AND s.wake <= $4
        AND ($1::bytea IS NULL OR s.uid = $1) AND ($2::text IS NULL OR s.kind = $2)
        AND ($3::bytea IS NULL OR s.parent = $3)
        AND ($5::bigint IS NULL OR (s.wake, s.opened_at, s.uid) > ($5, $6, $7))
    ORDER BY s.wake, s.opened_at, s.uid LIMIT 500"#;

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
    let rows = link.ask(SESSIONS, &[&only, &query.kind, &parent, &limit, &skip]).await?;
    Ok(paged(infos(&rows, now).await?, query.skip, query.limit))
}

/// Whether a holder lives only this process can tell, so the free ones are picked here.
async fn due(mut link: Reader, query: &SessionQuery, now: i64) -> Result<Page<SessionInfo>, Failure> {
    let only = query.session.as_ref().map(|session| &session.as_bytes()[..]);
    let parent = query.parent.as_ref().map(|session| &session.as_bytes()[..]);
    let wanted = usize::try_from(query.skip).unwrap_or(usize::MAX).saturating_add(query.limit as usize);
    let mut free: Vec<SessionInfo> = Vec::new();
    let (mut wake, mut opened_at, mut last): (Option<i64>, Option<i64>, Option<Vec<u8>>) = (None, None, None);
    while free.len() <= wanted {
        let rows = link.ask(DUE, &[&only, &query.kind, &parent, &now, &wake, &opened_at, &last]).await?;
        let Some(row) = rows.last() else { break };
        (wake, opened_at, last) = (row.try_get(9)?, row.try_get(2)?, Some(row.try_get(0)?));
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
