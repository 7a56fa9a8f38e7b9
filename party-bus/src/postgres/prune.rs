//! Giving space back, and taking content back.

use super::{
    failure::Failure,
    fetch::tenure,
    lease::NOW,
    link::Link,
    row::{int, parse},
    search,
};
use crate::{Erase, Erased, PRUNED, Prune, Pruned, encoded::json, refusal};
use party_core::{Item, ItemId, Offset, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::spawn_blocking;

const LOCK: &str = "SELECT uid, id, lease_owner, lease_token, lease_until FROM session
    WHERE uid = ANY($1) ORDER BY uid FOR UPDATE";
const PRUNE_TRACE: &str = r#"UPDATE record SET kind = $3, body = '{}', bytes = bytes - octet_length(body) + 2
    WHERE session = ANY($1) AND "offset" <= $2 AND class = 3 AND kind <> $3"#;
/// What others refer to becomes theirs.
const HAND_ON: &str = r#"WITH handed AS (
        SELECT item.id, min(shared.session) AS session FROM item JOIN shared ON shared.item = item.id
        WHERE item.session = ANY($1) AND NOT shared.session = ANY($1) GROUP BY item.id
    ), heir AS (
        SELECT DISTINCT session FROM handed
    ), brought AS (
        SELECT handed.id, min(r."offset") AS "offset" FROM heir JOIN record r ON r.session = heir.session
            CROSS JOIN unnest(r.items) n (id)
            JOIN handed ON handed.id = n.id AND handed.session = r.session
        GROUP BY handed.id
    ), placed AS (
        SELECT handed.id, min(e.place >> 20) AS "offset" FROM heir JOIN thread t ON t.session = heir.session
            JOIN entry e ON e.thread = t.id JOIN handed ON handed.id = e.item AND handed.session = t.session
        GROUP BY handed.id
    )
    UPDATE item SET session = handed.session, "offset" = coalesce(brought."offset", placed."offset", 0)
    FROM handed LEFT JOIN brought ON brought.id = handed.id LEFT JOIN placed ON placed.id = handed.id
    WHERE item.id = handed.id RETURNING item.id"#;
/// Who brought an item does not share it as well.
const OWN: &str = "DELETE FROM shared USING item
    WHERE shared.item = ANY($1) AND item.id = shared.item AND item.session = shared.session";
const REMOVE: [&str; 8] = [
    "DELETE FROM shared WHERE session = ANY($1) OR item IN (SELECT id FROM item WHERE item.session = ANY($1))",
    "DELETE FROM word USING item WHERE item.id = word.item AND item.session = ANY($1)",
    "DELETE FROM entry USING thread WHERE thread.id = entry.thread AND thread.session = ANY($1)",
    "DELETE FROM compaction USING thread WHERE thread.id = compaction.thread AND thread.session = ANY($1)",
    "DELETE FROM thread WHERE session = ANY($1)",
    "DELETE FROM batch WHERE session = ANY($1)",
    "DELETE FROM snapshot WHERE session = ANY($1)",
    "DELETE FROM indexed WHERE session = ANY($1)",
];

/// Tokens of leases never go back, so what is known of them stays.
const FREE: &str = "UPDATE session SET head = 0, opened_at = NULL, kind = NULL, key = NULL, parent = NULL,
    wake = NULL, partial = false, changed = pg_current_xact_id() WHERE id = ANY($1)";

/// Sessions by their ids, locked; refuses one that somebody drives.
async fn lock(link: &mut Link, ids: &[SessionId]) -> Result<BTreeMap<SessionId, i64>, Failure> {
    let uids: Vec<[u8; 16]> = ids.iter().map(|id| *id.as_bytes()).collect();
    let rows = link.query(LOCK, &[&uids]).await?;
    let now: i64 = match link.query(NOW, &[]).await?.first() {
        Some(row) => row.try_get(0)?,
        None => return Err(Failure::broken("the server gave no time")),
    };
    let mut found = BTreeMap::new();
    let mut tenures = Vec::new();
    for row in &rows {
        let session = SessionId::from_bytes(super::row::uid("uid", row.try_get(0)?)?);
        found.insert(session, row.try_get(1)?);
        tenures.push((session, tenure(row, 2)?));
    }
    // Whether a process lives is asked of the system, which may block.
    let driven = spawn_blocking(move || tenures.into_iter().find(|(_, tenure)| tenure.driver(now).is_some()));
    match driven.await.map_err(|_| Failure::broken("the runtime is shutting down"))? {
        Some((session, _)) => Err(refusal::driven(session).into()),
        None => Ok(found),
    }
}

pub(super) async fn prune(mut link: Link, prune: &Prune) -> Result<(Link, Pruned), Failure> {
    link.begin("BEGIN; SET LOCAL synchronous_commit = on").await?;
    let pruned = match prune {
        Prune::Trace { session, up_to } => {
            let rows: Vec<i64> = lock(&mut link, &[*session]).await?.into_values().collect();
            let records = link.execute(PRUNE_TRACE, &[&rows, &int(up_to.0), &PRUNED]).await?;
            Pruned { records, items: 0 }
        }
        Prune::Sessions(sessions) => {
            search::lock(&link).await?;
            let rows: Vec<i64> = lock(&mut link, sessions).await?.into_values().collect();
            let handed = link.query(HAND_ON, &[&rows]).await?;
            let handed = handed.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
            link.execute(OWN, &[&handed]).await?;
            for sql in REMOVE {
                link.execute(sql, &[&rows]).await?;
            }
            let records = link.execute("DELETE FROM record WHERE session = ANY($1)", &[&rows]).await?;
            let items = link.execute("DELETE FROM item WHERE session = ANY($1)", &[&rows]).await?;
            link.execute(FREE, &[&rows]).await?;
            Pruned { records, items }
        }
    };
    link.commit().await?;
    Ok((link, pruned))
}

const ITEMS: &str = "SELECT uid, id, body FROM item WHERE uid = ANY($1) ORDER BY uid FOR UPDATE";
const ERASE_ITEMS: &str = "UPDATE item SET body = u.body FROM unnest($1::bigint[], $2::text[]) u (id, body)
    WHERE item.id = u.id";
/// What a page counts of the records that brought them.
const SHRINK: &str = "WITH shrunk AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]) u (id, less)),
    of AS (
        SELECT session FROM item WHERE id = ANY($1) UNION SELECT session FROM shared WHERE item = ANY($1)
    )
    UPDATE record SET bytes = bytes - (
        SELECT sum(shrunk.less)::bigint FROM unnest(record.items) n (id) JOIN shrunk ON shrunk.id = n.id
    ) WHERE record.session IN (SELECT session FROM of) AND record.items && $1";
const ERASE_BODY: &str = r#"UPDATE record SET body = $3, bytes = bytes - octet_length(record.body) + octet_length($3)
    FROM session WHERE session.uid = $1 AND record.session = session.id AND record."offset" = $2"#;
const FORGET: &str = "DELETE FROM snapshot WHERE session IN (
        SELECT id FROM session WHERE uid = ANY($1)
        UNION SELECT session FROM item WHERE id = ANY($2) UNION SELECT session FROM shared WHERE item = ANY($2)
    )";

pub(super) async fn erase(mut link: Link, erase: &Erase) -> Result<(Link, Erased), Failure> {
    link.begin("BEGIN; SET LOCAL synchronous_commit = on").await?;
    search::lock(&link).await?;
    let items: BTreeSet<ItemId> = erase.items.iter().copied().collect();
    let uids: Vec<[u8; 16]> = items.iter().map(|item| *item.as_bytes()).collect();
    let (mut rows, mut bodies, mut less, mut found) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
    for row in link.query(ITEMS, &[&uids]).await? {
        let id = ItemId::from_bytes(super::row::uid("uid", row.try_get(0)?)?);
        let text: &str = row.try_get(2)?;
        let tombstone = json(&parse::<Item>(text, || format!("item {id}"))?.erased());
        rows.push(row.try_get::<_, i64>(1)?);
        less.push(int(text.len() as u64) - int(tombstone.len() as u64));
        bodies.push(tombstone);
        found.insert(id);
    }
    if let Some(missing) = items.iter().find(|item| !found.contains(item)) {
        return Err(refusal::no_item(*missing).into());
    }
    link.execute(ERASE_ITEMS, &[&rows, &bodies]).await?;
    link.execute(SHRINK, &[&rows, &less]).await?;
    link.execute("DELETE FROM word WHERE item = ANY($1)", &[&rows]).await?;
    let mut sessions = BTreeSet::new();
    for (session, offset, body) in &erase.bodies {
        erase_body(&link, *session, *offset, body.get()).await?;
        sessions.insert(*session.as_bytes());
    }
    let sessions: Vec<[u8; 16]> = sessions.into_iter().collect();
    link.execute(FORGET, &[&sessions, &rows]).await?;
    link.commit().await?;
    // The old rows go with it, as far as the server's own files reach; its log and backups keep them for a while.
    link.batch("VACUUM item, record, snapshot, word").await?;
    Ok((link, Erased { items: erase.items.len() as u64, bodies: erase.bodies.len() as u64 }))
}

async fn erase_body(link: &Link, session: SessionId, offset: Offset, body: &str) -> Result<(), Failure> {
    match link.execute(ERASE_BODY, &[&&session.as_bytes()[..], &int(offset.0), &body]).await? {
        1 => Ok(()),
        _ => Err(refusal::no_record(session, offset).into()),
    }
}
