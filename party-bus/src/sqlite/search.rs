//! Finding messages by their words. The index is made by the first search, and brought up to date by
//! each: whoever never searches pays nothing, and no append ever waits for more than a small part of it.

use super::{code, failure::Failure, item, row};
use crate::{
    Found, Page, Search,
    memory::care::{excerpt, words},
    refusal,
};
use party_core::{ItemId, ItemKind, Offset, SessionId};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::{BTreeMap, BTreeSet};

/// So many records are looked through in one transaction.
const PART: u32 = 1_000;
/// Longer words are indexed by so many letters of theirs; a message found is looked at whole.
const LONGEST_WORD: usize = 64;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS search_state (id INTEGER PRIMARY KEY CHECK (id = 1), record INTEGER NOT NULL) STRICT;
    -- The record that brought an item first.
    CREATE TABLE IF NOT EXISTS search_place (
        item INTEGER PRIMARY KEY, session INTEGER NOT NULL, \"offset\" INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS search_word (
        word TEXT NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (word, item)) STRICT, WITHOUT ROWID;
    INSERT INTO search_state VALUES (1, 0) ON CONFLICT (id) DO NOTHING;";

/// The row of the last record that there is.
pub(super) fn last_record(conn: &Connection) -> Result<i64, Failure> {
    Ok(conn.query_row("SELECT coalesce(max(id), 0) FROM record", [], |row| row.get(0))?)
}

/// Indexes some more records; whether those up to the row `goal` are.
pub(super) fn index(conn: &Connection, goal: i64) -> Result<bool, Failure> {
    if done(conn)?.is_none() {
        conn.execute_batch(SCHEMA)?;
    }
    let mut done = done(conn)?.unwrap_or_default();
    let mut select = conn.prepare_cached(
        "SELECT id, session, \"offset\", items FROM record WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut rows = select.query(params![done, PART])?;
    while let Some(row) = rows.next()? {
        done = row.get(0)?;
        for number in code::numbers(row::blob(row, 3)?)? {
            put(conn, number.cast_signed(), row.get(1)?, row.get(2)?)?;
        }
    }
    conn.prepare_cached("UPDATE search_state SET record = ?1")?.execute([done])?;
    Ok(done >= goal)
}

/// The row of the last record that was indexed; `None` where nobody has searched yet.
pub(super) fn done(conn: &Connection) -> Result<Option<i64>, Failure> {
    let made = conn
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'search_state'", [], |_| Ok(()))
        .optional()?;
    if made.is_none() {
        return Ok(None);
    }
    Ok(conn.query_row("SELECT record FROM search_state", [], |row| row.get(0)).optional()?)
}

fn put(conn: &Connection, row: i64, session: i64, offset: i64) -> Result<(), Failure> {
    let mut place =
        conn.prepare_cached("INSERT INTO search_place VALUES (?1, ?2, ?3) ON CONFLICT (item) DO NOTHING")?;
    if place.execute(params![row, session, offset])? == 0 {
        return Ok(());
    }
    let mut put = conn.prepare_cached("INSERT INTO search_word VALUES (?1, ?2)")?;
    for word in indexed(conn, row)? {
        put.execute(params![word, row])?;
    }
    Ok(())
}

/// The words by which an item is found.
fn indexed(conn: &Connection, row: i64) -> Result<BTreeSet<String>, Failure> {
    let message = item::read(conn, row)?.filter(|(item, _)| item.kind == ItemKind::Message);
    Ok(message.iter().flat_map(|(item, _)| tokens(&item.text())).collect())
}

fn tokens(text: &str) -> Vec<String> {
    words(text).map(|(_, word)| word.chars().take(LONGEST_WORD).collect()).collect()
}

/// What the index has, newest first.
pub(super) fn find(conn: &Connection, search: &Search) -> Result<Page<Found>, Failure> {
    let wanted: BTreeSet<String> = words(&search.text).map(|(_, word)| word).collect();
    if wanted.is_empty() {
        return Err(refusal::no_word(&search.text).into());
    }
    let tokens: BTreeSet<String> = tokens(&search.text).into_iter().collect();
    // The longest is the rarest, as a rule; the others are looked up for each message that holds it.
    let rarest = tokens.iter().max_by_key(|token| token.len());
    let mut select = conn.prepare_cached(
        "SELECT word.item, session.uid, place.\"offset\" FROM search_word AS word
         JOIN search_place AS place ON place.item = word.item
         JOIN session ON session.id = place.session
         WHERE word.word = ?1 AND (?2 IS NULL OR session.uid = ?2) ORDER BY word.item DESC",
    )?;
    let mut rows = select.query(params![rarest, search.session.as_ref().map(SessionId::as_bytes)])?;
    let (mut entries, mut skip, mut more) = (Vec::new(), search.skip, false);
    while let Some(row) = rows.next()? {
        let Some((id, excerpt)) = found(conn, row.get(0)?, &tokens, &wanted)? else { continue };
        if skip > 0 {
            skip -= 1;
            continue;
        }
        if entries.len() as u64 == u64::from(search.limit) {
            more = true;
            break;
        }
        let session = SessionId::from_bytes(row.get(1)?);
        let offset = Offset(row::uint("offset", row.get(2)?)?);
        entries.push(Found { session, offset, item: id, excerpt });
    }
    Ok(Page { scanned_to: search.skip.saturating_add(entries.len() as u64), entries, more })
}

/// The item of a row and a piece of its text, where it holds all that is wanted.
fn found(
    conn: &Connection,
    row: i64,
    tokens: &BTreeSet<String>,
    wanted: &BTreeSet<String>,
) -> Result<Option<(ItemId, String)>, Failure> {
    let mut holds = conn.prepare_cached("SELECT 1 FROM search_word WHERE word = ?1 AND item = ?2")?;
    for token in tokens {
        if !holds.exists(params![token, row])? {
            return Ok(None);
        }
    }
    let item = item::read(conn, row)?;
    Ok(item.and_then(|(item, _)| Some((item.id, excerpt(&item, wanted)?))))
}

/// Takes items out of the index, while they still say what they are found by.
pub(super) fn forget(conn: &Connection, items: &[i64]) -> Result<(), Failure> {
    if done(conn)?.is_none() {
        return Ok(());
    }
    let mut forget = conn.prepare_cached("DELETE FROM search_word WHERE word = ?1 AND item = ?2")?;
    for item in items {
        for word in indexed(conn, *item)? {
            forget.execute(params![word, item])?;
        }
        conn.prepare_cached("DELETE FROM search_place WHERE item = ?1")?.execute([item])?;
    }
    // The row of a record that is gone may be given again.
    conn.execute(
        "UPDATE search_state SET record = min(record, (SELECT coalesce(max(id), 0) FROM record))",
        [],
    )?;
    Ok(())
}

/// Items whose first record is gone are found by another one that brings them.
pub(super) fn hand_on(conn: &Connection, items: &BTreeMap<i64, (i64, u64)>) -> Result<(), Failure> {
    if done(conn)?.is_none() {
        return Ok(());
    }
    for (item, (session, offset)) in items {
        conn.prepare_cached("UPDATE search_place SET session = ?2, \"offset\" = ?3 WHERE item = ?1")?
            .execute(params![item, session, row::int(*offset)])?;
    }
    Ok(())
}
