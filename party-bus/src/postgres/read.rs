//! Queries of records, items and changes; each is one statement, so that all it sees is of one moment.

use super::{
    failure::Failure,
    open::EPOCH,
    readers::Reader,
    row::{class, int, parse, uid, uint},
};
use crate::{Changed, Classes, Page, Read, refusal};
use futures::join;
use party_core::{Item, ItemId, Offset, Record, SessionId, Timestamp, TurnId};
use serde_json::value::RawValue;
use std::{collections::HashMap, sync::Arc};
use tokio_postgres::Row;

/// At most so many sessions in one answer about changes, where the next goes on behind them.
const MOST_CHANGED: i64 = 1_000;

const HEAD: &str = "SELECT head FROM session WHERE uid = $1";
/// The head beside each row, or alone; the first row whatever its size.
const RECORDS: &str = r#"SELECT s.head, r."offset", r.v, r.class, r.kind, r.at, r.turn, r.author, r.ops, r.body,
        CASE WHEN r.items IS NULL THEN NULL ELSE ARRAY(
            SELECT i.body FROM unnest(r.items) WITH ORDINALITY n (id, nth)
            LEFT JOIN item i ON i.id = n.id ORDER BY n.nth
        ) END, r.bytes
    FROM session s LEFT JOIN LATERAL (
        SELECT * FROM (
            SELECT record.*, sum(bytes) OVER (ORDER BY "offset") - bytes AS before FROM record
            WHERE session = s.id AND "offset" > $2 AND (class NOT BETWEEN 0 AND 3 OR ($3::integer >> class) & 1 = 1)
            ORDER BY "offset" LIMIT $4
        ) page WHERE before < $5::bigint
    ) r ON true
    WHERE s.uid = $1 ORDER BY r."offset""#;
const ITEMS: &str = "SELECT uid, body FROM item WHERE uid = ANY($1)";
/// The oldest transaction that may still change something, and the sessions that changed since the last
/// one was asked for. A mark that is not reached yet is of another server.
const CHANGED: &str = "WITH moment AS (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS mark),
    since AS (SELECT mark, CASE WHEN $1::text::xid8 > mark THEN '0'::xid8 ELSE $1::text::xid8 END AS since FROM moment)
    SELECT since.mark::text, s.uid, s.head, s.changed::text FROM since LEFT JOIN LATERAL (
        SELECT uid, head, changed FROM session WHERE changed >= since.since AND head > 0
        ORDER BY changed LIMIT $2
    ) s ON true";

/// The session's last offset; 0 for one that does not exist.
pub(super) async fn head(mut link: Reader, session: SessionId) -> Result<Offset, Failure> {
    let rows = link.ask(HEAD, &[&&session.as_bytes()[..]]).await?;
    let head = rows.first().map(|row| row.try_get(0)).transpose()?;
    Ok(Offset(uint("head", head.unwrap_or(0))?))
}

pub(super) async fn records(mut link: Reader, read: &Read) -> Result<Page<Arc<Record>>, Failure> {
    link.prepare(&[RECORDS, EPOCH]).await?;
    let session = &read.session.as_bytes()[..];
    let (classes, bytes) = (i32::from(read.classes.mask()), int(read.max_bytes.max(1)));
    let (after, limit) = (int(read.after.0), i64::from(read.limit));
    let epoch = async {
        match read.epoch {
            Some(_) => link.query(EPOCH, &[]).await,
            None => Ok(Vec::new()),
        }
    };
    // The epoch after the records: one that is raised in between is seen.
    let (rows, epoch) =
        join!(async { link.query(RECORDS, &[&session, &after, &classes, &limit, &bytes]).await }, epoch,);
    let (rows, epoch) = (rows?, epoch?);
    if let (Some(learned), Some(now)) = (read.epoch, epoch.first()) {
        let now = uint("epoch", now.try_get(0)?)?;
        if learned != now {
            return Err(refusal::other_epoch(read.session, learned, now).into());
        }
    }
    let head = rows.first().map(|row| row.try_get(0)).transpose()?;
    let head = Offset(uint("head", head.unwrap_or(0))?);
    if read.after > head {
        return Err(refusal::rewound(read.session, read.after, head).into());
    }
    page(read, head, &rows)
}

fn page(read: &Read, head: Offset, rows: &[Row]) -> Result<Page<Arc<Record>>, Failure> {
    let (mut entries, mut bytes, mut scanned_to) = (Vec::new(), 0, read.after);
    for row in rows {
        if row.try_get::<_, Option<i64>>(1)?.is_none() {
            break;
        }
        let record = record(read.session, row)?;
        if read.classes == Classes::ALL && record.offset != scanned_to.plus(1) {
            let missing = scanned_to.plus(1);
            return Err(Failure::corrupt(format!("record {missing} of session {} is missing", read.session)));
        }
        // As the query counts, so that both end a page at the same record.
        bytes += uint("bytes", row.try_get(11)?)?;
        scanned_to = record.offset;
        entries.push(Arc::new(record));
        if bytes >= read.max_bytes {
            break;
        }
    }
    let is_cut =
        bytes >= read.max_bytes && !entries.is_empty() || entries.len() as u64 >= u64::from(read.limit);
    let scanned_to = if is_cut { scanned_to } else { head };
    Ok(Page { entries, scanned_to: scanned_to.0, more: scanned_to < head })
}

fn record(session: SessionId, row: &Row) -> Result<Record, Failure> {
    let offset = Offset(uint("offset", row.try_get(1)?)?);
    let what = || format!("record {offset} of session {session}");
    let body: String = row.try_get(9)?;
    let mut items = Vec::new();
    for text in row.try_get::<_, Option<Vec<Option<&str>>>>(10)?.unwrap_or_default() {
        let missing = || Failure::corrupt(format!("{} names an item that is not there", what()));
        let text = text.ok_or_else(missing)?;
        items.push(Arc::new(parse(text, || format!("an item of {}", what()))?));
    }
    let turn = row.try_get::<_, Option<i64>>(6)?.map(|turn| uint("turn", turn)).transpose()?;
    let author = row.try_get::<_, Option<&str>>(7)?.map(|author| parse(author, what)).transpose()?;
    let ops = row.try_get::<_, Option<&str>>(8)?.map(|ops| parse(ops, what)).transpose()?;
    Ok(Record {
        v: u16::try_from(row.try_get::<_, i32>(2)?).unwrap_or(u16::MAX),
        session,
        offset,
        class: class(row.try_get(3)?, what)?,
        kind: row.try_get(4)?,
        author,
        at: Timestamp::from_micros(row.try_get(5)?),
        turn: turn.map(|turn| TurnId(Offset(turn))),
        items,
        ops: ops.unwrap_or_default(),
        body: RawValue::from_string(body)
            .map_err(|error| Failure::corrupt(format!("{} has a broken body: {error}", what())))?,
    })
}

pub(super) async fn items(mut link: Reader, ids: &[ItemId]) -> Result<Vec<Arc<Item>>, Failure> {
    let uids: Vec<&[u8]> = ids.iter().map(|id| &id.as_bytes()[..]).collect();
    let mut found: HashMap<ItemId, Arc<Item>> = HashMap::new();
    for row in link.ask(ITEMS, &[&uids]).await? {
        let id = ItemId::from_bytes(uid("uid", row.try_get(0)?)?);
        found.insert(id, Arc::new(parse(row.try_get(1)?, || format!("item {id}"))?));
    }
    let find = |id: &ItemId| found.get(id).map(Arc::clone).ok_or_else(|| refusal::no_item(*id).into());
    ids.iter().map(find).collect()
}

pub(super) async fn changed(mut link: Reader, since: u64) -> Result<Changed, Failure> {
    let changed = changed_up_to(&mut link, since, Some(MOST_CHANGED)).await?;
    if changed.mark == since && changed.sessions.len() as i64 >= MOST_CHANGED {
        // An old transaction keeps the mark where it is: the same page would come again for as long, and
        // those behind it never.
        return changed_up_to(&mut link, since, None).await;
    }
    Ok(changed)
}

async fn changed_up_to(link: &mut Reader, since: u64, limit: Option<i64>) -> Result<Changed, Failure> {
    let rows = link.ask(CHANGED, &[&since.to_string(), &limit]).await?;
    let number = |row: &Row, column: usize| -> Result<u64, Failure> {
        let text: &str = row.try_get(column)?;
        text.parse().map_err(|_| Failure::corrupt(format!("a transaction is called {text:?}")))
    };
    let mut changed = Changed { sessions: Vec::new(), mark: since };
    let mut last = None;
    for row in &rows {
        changed.mark = number(row, 0)?;
        if let Some(session) = row.try_get::<_, Option<&[u8]>>(1)? {
            let head = Offset(uint("head", row.try_get(2)?)?);
            changed.sessions.push((SessionId::from_bytes(uid("uid", session)?), head));
            last = Some(number(row, 3)?);
        }
    }
    if limit.is_some_and(|limit| changed.sessions.len() as i64 >= limit) {
        changed.mark = last.unwrap_or(since).min(changed.mark);
    }
    Ok(changed)
}
