//! How ids, numbers and parts of records stand in columns.

use super::failure::Failure;
use crate::Wake;
pub(super) use crate::encoded::json;
use party_core::{RecordClass, SessionId, ThreadKind, ThreadState, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::{
    Deserialize as _,
    de::{DeserializeOwned, IntoDeserializer as _, value::StrDeserializer},
};

/// A number of ours as SQLite keeps it. No store ever comes to the numbers that do not fit.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from a column that never holds a negative one.
pub(super) fn uint(column: &'static str, number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| Failure::corrupt(format!("a column `{column}` holds {number}")))
}

/// The bytes in a column; none for NULL.
pub(super) fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], Failure> {
    let bytes = row.get_ref(column)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
    Ok(bytes.unwrap_or_default())
}

/// Reads JSON from a column; `what` names the row.
pub(super) fn parse<T: DeserializeOwned>(text: &str, what: impl Fn() -> String) -> Result<T, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::corrupt(format!("{} cannot be read: {error}", what())))
}

pub(super) fn class(number: i64) -> Result<RecordClass, Failure> {
    let classes = [RecordClass::Input, RecordClass::Report, RecordClass::Decision, RecordClass::Trace];
    let class = classes.into_iter().find(|class| *class as i64 == number);
    class.ok_or_else(|| Failure::corrupt(format!("its class {number} is unknown")))
}

/// The kind of that name.
pub(super) fn thread_kind(name: &str) -> ThreadKind {
    let name_only: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
    ThreadKind::deserialize(name_only).unwrap_or_else(|_| ThreadKind::Other(name.to_owned()))
}

const STATES: [ThreadState; 4] =
    [ThreadState::Open, ThreadState::Closed, ThreadState::Resolved, ThreadState::Abandoned];

pub(super) fn thread_state(number: i64) -> Result<ThreadState, Failure> {
    let state = STATES.into_iter().find(|state| thread_state_number(*state) == number);
    state.ok_or_else(|| Failure::corrupt(format!("a thread has the unknown state {number}")))
}

pub(super) const fn thread_state_number(state: ThreadState) -> i64 {
    state as i64
}

/// When a session wants to be driven: before all times, at one, or never.
pub(super) const fn wake_number(wake: Wake) -> Option<i64> {
    match wake {
        Wake::Now => Some(i64::MIN),
        Wake::At(time) => Some(time.as_micros()),
        Wake::Idle => None,
    }
}

pub(super) const fn wake(number: Option<i64>) -> Wake {
    match number {
        Some(i64::MIN) => Wake::Now,
        Some(micros) => Wake::At(Timestamp::from_micros(micros)),
        None => Wake::Idle,
    }
}

/// The row of a session.
pub(super) fn session(conn: &Connection, session: SessionId) -> Result<Option<i64>, Failure> {
    let mut find = conn.prepare_cached("SELECT id FROM session WHERE uid = ?1")?;
    Ok(find.query_row([session.as_bytes()], |row| row.get(0)).optional()?)
}
