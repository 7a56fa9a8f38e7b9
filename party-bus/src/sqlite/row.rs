//! How ids, numbers and parts of records stand in columns.

use super::failure::Failure;
pub(super) use crate::encoded::json;
use party_core::{ItemId, RecordClass, SessionId};
use rusqlite::{Connection, OptionalExtension as _};
use serde::de::DeserializeOwned;

/// A number of ours as SQLite keeps it. No store ever comes to the numbers that do not fit.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from a column that never holds a negative one.
pub(super) fn uint(column: &'static str, number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| Failure::corrupt(format!("a column `{column}` holds {number}")))
}

/// Reads JSON from a column; `what` names the row.
pub(super) fn parse<T: DeserializeOwned>(text: &str, what: impl Fn() -> String) -> Result<T, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::corrupt(format!("{} cannot be read: {error}", what())))
}

pub(super) fn class(number: i64, what: impl Fn() -> String) -> Result<RecordClass, Failure> {
    let classes = [RecordClass::Input, RecordClass::Report, RecordClass::Decision, RecordClass::Trace];
    let class = classes.into_iter().find(|class| *class as i64 == number);
    class.ok_or_else(|| Failure::corrupt(format!("{} has the unknown class {number}", what())))
}

/// The ids in a blob of 16 bytes each.
pub(super) fn item_ids(blob: &[u8], what: impl Fn() -> String) -> Result<Vec<ItemId>, Failure> {
    let (ids, rest) = blob.as_chunks();
    if !rest.is_empty() {
        return Err(Failure::corrupt(format!("{} has a torn list of items", what())));
    }
    Ok(ids.iter().map(|id| ItemId::from_bytes(*id)).collect())
}

/// The row of a session.
pub(super) fn session(conn: &Connection, session: SessionId) -> Result<Option<i64>, Failure> {
    let mut find = conn.prepare_cached("SELECT id FROM session WHERE uid = ?1")?;
    Ok(find.query_row([session.as_bytes()], |row| row.get(0)).optional()?)
}
