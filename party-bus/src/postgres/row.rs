//! How ids, numbers and parts of records stand in columns.

use super::failure::Failure;
use party_core::RecordClass;
use serde::de::DeserializeOwned;

/// A number of ours as a column keeps it. No store ever comes to the numbers that do not fit.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from a column that never holds a negative one.
pub(super) fn uint(column: &'static str, number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| Failure::corrupt(format!("a column `{column}` holds {number}")))
}

/// The 16 bytes of an id.
pub(super) fn uid(column: &'static str, bytes: &[u8]) -> Result<[u8; 16], Failure> {
    bytes.try_into().map_err(|_| Failure::corrupt(format!("a column `{column}` holds {} bytes", bytes.len())))
}

/// Reads JSON from a column; `what` names the row.
pub(super) fn parse<T: DeserializeOwned>(text: &str, what: impl Fn() -> String) -> Result<T, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::corrupt(format!("{} cannot be read: {error}", what())))
}

pub(super) fn class(number: i16, what: impl Fn() -> String) -> Result<RecordClass, Failure> {
    let classes = [RecordClass::Input, RecordClass::Report, RecordClass::Decision, RecordClass::Trace];
    let class = classes.into_iter().find(|class| *class as i16 == number);
    class.ok_or_else(|| Failure::corrupt(format!("{} has the unknown class {number}", what())))
}
