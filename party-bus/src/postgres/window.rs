//! Windows of threads.

use super::{
    failure::Failure,
    fetch::{compaction, outlined},
    readers::Reader,
    row::{int, parse, uid, uint},
};
use crate::{Layer, Page, Window, refusal};
use party_core::{
    Ask, Compaction, Entry, How, Item, Level, Origin, Piece, Place, Span, ThreadId, Walk, Walked,
};
use std::sync::Arc;
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
    if let Some(page) = look(&mut link, window, false).await? {
        return Ok(page);
    }
    link.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let page = look(&mut link, window, true).await?;
    link.commit().await?;
    page.ok_or_else(|| Failure::corrupt(format!("entries of thread {} are missing", window.thread)))
}

/// `None` where what was seen may not be of one moment, and has to be. Entries never change; compactions
/// come, and sessions that are pruned go.
async fn look(
    link: &mut Reader,
    window: &Window,
    is_one_moment: bool,
) -> Result<Option<Page<Entry>>, Failure> {
    let steps = lineage(link, window).await?;
    let has_compactions = window.layer == Layer::Shown && steps.iter().any(|step| step.has_compactions);
    if has_compactions && !is_one_moment {
        return Ok(None);
    }
    let head = steps.first().map_or(0, |step| step.level.last);
    let mut walk = Walk::new(window.side, window.limit, head);
    while let Some(ask) = walk.ask() {
        let found = if has_compactions { nearest(link, &steps, ask).await? } else { None };
        walk.answer(found);
    }
    let walked = walk.finish();
    let entries = entries(link, window, &steps, &walked).await?;
    Ok(entries.map(|entries| Page { entries, scanned_to: walked.scanned_to, more: walked.more }))
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

/// `None` where some are missing.
async fn entries(
    link: &mut Reader,
    window: &Window,
    steps: &[Step],
    walked: &Walked,
) -> Result<Option<Vec<Entry>>, Failure> {
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
        return Ok(None);
    }
    if !summaries.is_empty() {
        found.extend(summary_entries(link, &summaries).await?);
        found.sort_by_key(|entry| entry.position);
    }
    Ok(Some(found))
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
