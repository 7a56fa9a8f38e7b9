//! Items: written once, found by id or by row.

use super::{failure::Failure, name, row::parse};
use crate::refusal;
use party_core::{Item, ItemId};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Bodies of more bytes lie in a table of their own.
const LARGE: usize = 16 << 10;

/// Puts the item in, or checks that it is the one that is there; gives its row, and whether it is new.
pub(super) fn put(conn: &Connection, item: &Item, text: &str) -> Result<(i64, bool), Failure> {
    let is_large = text.len() > LARGE;
    conn.prepare_cached("INSERT INTO piece (body) VALUES (?1)")?.execute([(!is_large).then_some(text)])?;
    let row = conn.last_insert_rowid();
    if let Some(there) = name::put(conn, item.id.as_bytes(), name::ITEM, row)? {
        // Most items are new, so the row is made first, and taken back here.
        conn.prepare_cached("DELETE FROM piece WHERE id = ?1")?.execute([row])?;
        same(conn, there, item, text)?;
        return Ok((there, false));
    }
    if is_large {
        conn.prepare_cached("INSERT INTO item_large (item, body) VALUES (?1, ?2)")?
            .execute(params![row, text])?;
    }
    Ok((row, true))
}

/// Checks that the item in `row` is the same or was erased.
fn same(conn: &Connection, row: i64, item: &Item, text: &str) -> Result<(), Failure> {
    let missing = || Failure::corrupt(format!("item {} has a name and no body", item.id));
    let stored = body(conn, row)?.ok_or_else(missing)?;
    if stored == text {
        return Ok(());
    }
    // Equal items may differ in the order of unknown fields.
    let stored: Item = parse(&stored, || format!("item {}", item.id))?;
    if stored == *item || stored == item.erased() {
        Ok(())
    } else {
        Err(refusal::item_conflict(item.id).into())
    }
}

pub(super) fn find(conn: &Connection, id: ItemId) -> Result<Option<i64>, Failure> {
    name::find(conn, id.as_bytes(), name::ITEM)
}

/// Finds the JSON of an item, which is NULL where it is out of line.
pub(super) const BODY: &str = "SELECT body FROM piece WHERE id = ?1 AND session IS NULL";

/// The JSON of an item.
pub(super) fn body(conn: &Connection, row: i64) -> Result<Option<String>, Failure> {
    let mut find = conn.prepare_cached(BODY)?;
    match find.query_row([row], |row| row.get(0)).optional()? {
        None => Ok(None),
        Some(Some(body)) => Ok(Some(body)),
        Some(None) => large(conn, row).map(Some),
    }
}

/// The JSON of an item whose body is out of line.
pub(super) fn large(conn: &Connection, row: i64) -> Result<String, Failure> {
    let mut find = conn.prepare_cached("SELECT body FROM item_large WHERE item = ?1")?;
    let body = find.query_row([row], |row| row.get(0)).optional()?;
    body.ok_or_else(|| Failure::corrupt(format!("the body of item row {row} is not there")))
}

/// An item and the bytes of its JSON.
pub(super) fn read(conn: &Connection, row: i64) -> Result<Option<(Item, usize)>, Failure> {
    let Some(text) = body(conn, row)? else { return Ok(None) };
    Ok(Some((parse(&text, || format!("item row {row}"))?, text.len())))
}

/// The item of that id.
pub(super) fn named(conn: &Connection, id: ItemId) -> Result<Option<Item>, Failure> {
    let Some(row) = find(conn, id)? else { return Ok(None) };
    let missing = || Failure::corrupt(format!("item {id} has a name and no body"));
    read(conn, row)?.map(|(item, _)| Some(item)).ok_or_else(missing)
}

/// The rows of a record's items, as it keeps them.
pub(super) fn list(rows: &[i64]) -> Option<Vec<u8>> {
    let rows = rows.iter().map(|row| row.cast_unsigned());
    (rows.len() > 0).then(|| super::code::list(rows))
}
