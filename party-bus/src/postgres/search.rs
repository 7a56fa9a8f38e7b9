//! Finding messages by their words. The index is built behind the writes: a session's part of it is brought
//! up to its head when somebody searches, and when the writers rest.

use super::{
    board::Board,
    care::Care,
    failure::Failure,
    link::Link,
    row::{int, parse, uid, uint},
};
use crate::{
    Found, Page, Search,
    memory::care::{excerpt, words},
    refusal,
};
use party_core::{Item, ItemId, ItemKind, Offset, SessionId};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long nothing must have been written for the index to be brought up to date.
const REST: Duration = Duration::from_millis(500);
/// At most so many items at a time.
const PIECE: i64 = 500;
/// Longer words are found by so many letters of theirs.
const LONGEST_WORD: usize = 64;
/// At most so many bytes of words of one message are indexed; the server takes no more than a megabyte.
const MOST_WORDS: usize = 400_000;

const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('party words ' || uid, 0)) FROM store";
const BEHIND: &str = r#"SELECT s.id, coalesce(i."offset", 0), s.head FROM session s
    LEFT JOIN indexed i ON i.session = s.id WHERE s.head > coalesce(i."offset", 0) LIMIT 100"#;
const ITEMS: &str = r#"SELECT id, "offset", body, written FROM item
    WHERE session = $1 AND "offset" > $2 AND "offset" <= $3 ORDER BY "offset", id LIMIT $4 OFFSET $5"#;
const PUT: &str = "INSERT INTO word (item, at, words)
    SELECT item, at, array_to_tsvector(words::text[])
    FROM unnest($1::bigint[], $2::bigint[], $3::text[]) u (item, at, words) ON CONFLICT DO NOTHING";
const DONE: &str = r#"INSERT INTO indexed (session, "offset") VALUES ($1, $2)
    ON CONFLICT (session) DO UPDATE SET "offset" = excluded."offset""#;
const FIND: &str = r#"SELECT s.uid, i."offset", i.uid, i.body FROM word w
    JOIN item i ON i.id = w.item JOIN session s ON s.id = i.session
    WHERE w.words @@ $1::text::tsquery AND ($2::bytea IS NULL OR s.uid = $2)
    ORDER BY w.at DESC, w.item DESC LIMIT $3 OFFSET $4"#;

/// One at a time, and none while content is taken back. Inside of a transaction.
pub(super) async fn lock(link: &Link) -> Result<(), Failure> {
    link.query(LOCK, &[]).await.map(drop)
}

/// Brings the index up to the heads that are there.
async fn catch_up(link: &mut Link) -> Result<(), Failure> {
    loop {
        link.begin("BEGIN; SET LOCAL synchronous_commit = off").await?;
        lock(link).await?;
        let behind = link.query(BEHIND, &[]).await?;
        for row in &behind {
            let (session, after, head): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            index(link, session, after, head).await?;
            link.execute(DONE, &[&session, &head]).await?;
        }
        link.commit().await?;
        if behind.is_empty() {
            return Ok(());
        }
    }
}

/// What a session brought behind `after` up to `head`.
async fn index(link: &Link, session: i64, after: i64, head: i64) -> Result<(), Failure> {
    let mut skip = 0;
    loop {
        let rows = link.query(ITEMS, &[&session, &after, &head, &PIECE, &skip]).await?;
        let (mut items, mut ats, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let item: Item = parse(row.try_get(2)?, || "an item to be indexed".into())?;
            // What tools said is not searched.
            if item.kind != ItemKind::Message || item.is_erased() {
                continue;
            }
            items.push(row.try_get::<_, i64>(0)?);
            ats.push(row.try_get::<_, i64>(3)?);
            // Quoted, for `null` alone is none in a list.
            let list: Vec<String> =
                indexed_words(&item.text()).into_iter().map(|word| format!("\"{word}\"")).collect();
            lists.push(format!("{{{}}}", list.join(",")));
        }
        link.execute(PUT, &[&items, &ats, &lists]).await?;
        if (rows.len() as i64) < PIECE {
            return Ok(());
        }
        skip += PIECE;
    }
}

/// The words of a text as the index has them, each once, between quotes.
fn indexed_words(text: &str) -> BTreeSet<String> {
    let mut indexed = BTreeSet::new();
    let mut bytes = 0;
    for (_, word) in words(text) {
        bytes += word.len();
        if bytes > MOST_WORDS {
            break;
        }
        indexed.insert(cut(&word));
    }
    indexed
}

fn cut(word: &str) -> String {
    word.chars().filter(|letter| letter.is_alphanumeric()).take(LONGEST_WORD).collect()
}

pub(super) async fn find(mut link: Link, search: &Search) -> Result<(Link, Page<Found>), Failure> {
    let wanted: BTreeSet<String> = words(&search.text).map(|(_, word)| word).collect();
    if wanted.is_empty() {
        return Err(refusal::no_word(&search.text).into());
    }
    catch_up(&mut link).await?;
    let quoted: Vec<String> = wanted.iter().map(|word| format!("'{}'", cut(word))).collect();
    let (query, session) =
        (quoted.join(" & "), search.session.as_ref().map(|session| &session.as_bytes()[..]));
    let (limit, skip) = (i64::from(search.limit) + 1, int(search.skip));
    let mut found = Vec::new();
    for row in link.query(FIND, &[&query, &session, &limit, &skip]).await? {
        let item = ItemId::from_bytes(uid("uid", row.try_get(2)?)?);
        let message: Item = parse(row.try_get(3)?, || format!("item {item}"))?;
        found.push(Found {
            session: SessionId::from_bytes(uid("uid", row.try_get(0)?)?),
            offset: Offset(uint("offset", row.try_get(1)?)?),
            item,
            excerpt: excerpt(&message, &wanted).unwrap_or_default(),
        });
    }
    let more = found.len() > search.limit as usize;
    found.truncate(search.limit as usize);
    let scanned_to = search.skip.saturating_add(found.len() as u64);
    Ok((link, Page { entries: found, scanned_to, more }))
}

/// Keeps the index up to date while the writers rest, until the board is closed.
pub(super) async fn keep(care: Arc<Care>, board: Arc<Board>) {
    let (mut any, mut closed) = board.wait_for_any();
    let keeping = async {
        loop {
            while timeout(REST, any.changed()).await.is_ok_and(|heard| heard.is_ok()) {}
            let done = care.run("index", async |mut link| {
                catch_up(&mut link).await?;
                Ok((link, ()))
            });
            if let Err(error) = done.await {
                tracing::debug!(%error, "the index of words is behind");
            }
            if any.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = closed.wait_for(|closed| *closed) => {}
        () = keeping => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits_in_lower_case() {
        let words = indexed_words("Ship-it, NULL 42 ship! {}\"'\\");
        assert_eq!(words.into_iter().collect::<Vec<_>>(), ["42", "it", "null", "ship"]);
        assert!(indexed_words(" …!").is_empty());
    }
}
