//! Finding messages by their words. The index is built behind the writes: a session's part of it is brought
//! up to its head when somebody searches, and when the writers rest.

use super::{
    board::Board,
    care::Care,
    failure::Failure,
    link::Link,
    row::{parse, uid, uint},
};
use crate::{
    Found, Page, Search,
    memory::care::{excerpt, words},
    refusal,
};
use party_core::{Item, ItemId, ItemKind, Offset, SessionId};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_postgres::Row;

/// How long nothing must have been written for the index to be brought up to date.
const REST: Duration = Duration::from_millis(500);
/// At most so many items at a time.
const PIECE: i64 = 500;
/// Longer words are indexed by so many letters of theirs; a message found is looked at whole.
const LONGEST_WORD: usize = 64;
/// At most so many bytes of words of one message are indexed; the server takes no more than a megabyte.
const MOST_WORDS: usize = 400_000;

const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('party words ' || uid, 0)) FROM store";
const BEHIND: &str = r#"SELECT s.id, s.head FROM session s
    LEFT JOIN indexed i ON i.session = s.id WHERE s.head > coalesce(i."offset", 0)"#;
/// Others may have indexed the session meanwhile, or removed it.
const PART: &str = r#"SELECT coalesce(i."offset", 0), least(s.head, $2) FROM session s
    LEFT JOIN indexed i ON i.session = s.id WHERE s.id = $1"#;
const ITEMS: &str = r#"SELECT id, "offset", body, written FROM item
    WHERE session = $1 AND "offset" > $2 AND "offset" <= $3 ORDER BY "offset", id LIMIT $4 OFFSET $5"#;
const PUT: &str = "INSERT INTO word (item, at, words)
    SELECT item, at, array_to_tsvector(words::text[])
    FROM unnest($1::bigint[], $2::bigint[], $3::text[]) u (item, at, words) ON CONFLICT DO NOTHING";
const DONE: &str = r#"INSERT INTO indexed (session, "offset") VALUES ($1, $2)
    ON CONFLICT (session) DO UPDATE SET "offset" = excluded."offset""#;
const FIND: &str = r#"SELECT s.uid, i."offset", i.uid, i.body, w.at, w.item FROM word w
    JOIN item i ON i.id = w.item JOIN session s ON s.id = i.session
    WHERE w.words @@ $1::text::tsquery AND ($2::bytea IS NULL OR s.uid = $2)
        AND (w.at, w.item) < ($3, $4)
    ORDER BY w.at DESC, w.item DESC LIMIT $5"#;

/// One at a time, and none while content is taken back. Inside of a transaction.
pub(super) async fn lock(link: &Link) -> Result<(), Failure> {
    link.query(LOCK, &[]).await.map(drop)
}

/// Brings the index up to the heads that are there now, however much others write meanwhile.
async fn catch_up(link: &mut Link) -> Result<(), Failure> {
    for row in link.ask(BEHIND, &[]).await? {
        let (session, head): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        // Whoever takes content back waits for one session at most.
        link.begin("BEGIN; SET LOCAL synchronous_commit = off").await?;
        lock(link).await?;
        if let Some(part) = link.ask(PART, &[&session, &head]).await?.first() {
            let (after, head): (i64, i64) = (part.try_get(0)?, part.try_get(1)?);
            if after < head {
                index(link, session, after, head).await?;
                link.execute(DONE, &[&session, &head]).await?;
            }
        }
        link.commit().await?;
    }
    Ok(())
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
    let mut page = Page { entries: Vec::new(), scanned_to: search.skip, more: false };
    let (mut at, mut last, mut skip) = (i64::MAX, i64::MAX, search.skip);
    loop {
        let rows = link.query(FIND, &[&query, &session, &at, &last, &PIECE]).await?;
        for row in &rows {
            (at, last) = (row.try_get(4)?, row.try_get(5)?);
            // Words that only begin alike are no hit.
            let Some(hit) = hit(row, &wanted)? else { continue };
            if skip > 0 {
                skip -= 1;
            } else if page.entries.len() < search.limit as usize {
                page.entries.push(hit);
                page.scanned_to += 1;
            } else {
                page.more = true;
                return Ok((link, page));
            }
        }
        if (rows.len() as i64) < PIECE {
            return Ok((link, page));
        }
    }
}

/// A message that was found, where it holds all that is wanted.
fn hit(row: &Row, wanted: &BTreeSet<String>) -> Result<Option<Found>, Failure> {
    let item = ItemId::from_bytes(uid("uid", row.try_get(2)?)?);
    let message: Item = parse(row.try_get(3)?, || format!("item {item}"))?;
    let Some(excerpt) = excerpt(&message, wanted) else { return Ok(None) };
    let session = SessionId::from_bytes(uid("uid", row.try_get(0)?)?);
    Ok(Some(Found { session, offset: Offset(uint("offset", row.try_get(1)?)?), item, excerpt }))
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
