//! A session as one portable file: lines of JSON.
//!
//! The first line is the [`Header`]; then comes a line `{"record":{…}}` for each record, with its items
//! whole; the last is `{"end":{…}}` with the number of records and the SHA-256 of all bytes before it.
//! Each ends with a newline.

mod export;
mod file;
mod import;
mod lines;

pub(crate) use export::export;
pub(crate) use file::{export_file, import_file};
pub(crate) use import::import;

use crate::{Error, ErrorKind, Label};
use party_core::{Offset, Record, SessionId};
use serde::{Deserialize, Serialize};
use std::io;

/// What the first line says it is.
const FORMAT: &str = "party-session";
/// The newest version that is read, and the one that is written.
const VERSION: u32 = 1;

/// What stands in front of the records.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    session: SessionId,
    /// The last record that follows.
    head: Offset,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<Label>,
}

/// A line behind the first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line<R = Record> {
    Record(R),
    End(End),
}

/// What stands behind the records.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct End {
    records: u64,
    /// In lower-case hexadecimal digits.
    sha256: String,
}

/// The system's trouble with what is read or written.
fn trouble(what: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("cannot {what}: {error}")).with_source(error)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
