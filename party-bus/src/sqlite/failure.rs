//! From SQLite's errors to ours.

use crate::{Error, ErrorKind};
use rusqlite::ErrorCode;
use std::path::Path;

/// What stops a piece of work inside a transaction.
#[derive(Debug)]
pub(super) enum Failure {
    /// A rule of the contract, or a row that cannot be read: this call fails, others go on.
    Refused(Error),
    /// SQLite itself.
    Sql(rusqlite::Error),
}

impl Failure {
    /// A row that holds what no version of Party writes.
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Refused(Error::new(ErrorKind::Corrupt, what))
    }

    /// The same, where a row cannot be read, naming that row.
    pub(super) fn about(self, what: impl Fn() -> String) -> Self {
        match self {
            Self::Refused(error) if error.kind() == ErrorKind::Corrupt => {
                Self::corrupt(format!("{}: {error}", what()))
            }
            Self::Sql(error) if kind(&error) == ErrorKind::Corrupt && error.sqlite_error_code().is_none() => {
                Self::corrupt(format!("{}: {error}", what()))
            }
            other => other,
        }
    }

    /// Whether the transaction around it is lost.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self, Self::Sql(error) if kind(error) != ErrorKind::Invalid)
    }

    /// The error for the caller, who wanted to `act` (such as `write to`) on the store at `path`.
    pub(super) fn into_error(self, act: &str, path: &Path) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Sql(error) => {
                let kind = kind(&error);
                let why = explain(kind);
                let told = Error::new(kind, format!("cannot {act} {}: {why}", path.display()));
                match (kind, error) {
                    // There SQLite has nothing to add.
                    (ErrorKind::Busy | ErrorKind::Full | ErrorKind::NotAStore, _) => told,
                    // SQLite's text may name the path again, as it was told it; the code says more.
                    (ErrorKind::Io, rusqlite::Error::SqliteFailure(code, _)) => told.with_source(code),
                    (_, error) => told.with_source(error),
                }
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

pub(super) fn kind(error: &rusqlite::Error) -> ErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Busy,
        Some(ErrorCode::DiskFull) => ErrorKind::Full,
        // A table or column that the schema promises is not there.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) => ErrorKind::Corrupt,
        Some(ErrorCode::NotADatabase) => ErrorKind::NotAStore,
        Some(ErrorCode::TooBig) => ErrorKind::Invalid,
        Some(_) => ErrorKind::Io,
        // The rest is about values that do not have the type that the schema promises.
        None => ErrorKind::Corrupt,
    }
}

const fn explain(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Busy => "it stayed locked by another process",
        ErrorKind::Full => "no space is left",
        ErrorKind::Corrupt => "it is damaged",
        ErrorKind::NotAStore => "it is no database",
        ErrorKind::Invalid => "a value is too big",
        _ => "the system refused",
    }
}
