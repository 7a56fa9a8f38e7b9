//! From the server's errors to ours.

use crate::{Error, ErrorKind};
use tokio_postgres::error::SqlState;

/// What stops a piece of work.
#[derive(Debug)]
pub(super) enum Failure {
    /// A rule of the contract, or a row that cannot be read: the connection is as good as before.
    Refused(Error),
    /// The server undid the transaction, and the same again may do.
    Undone(tokio_postgres::Error),
    /// The connection is gone, or not to be trusted; what was to be committed may be, or not.
    Broken(Box<dyn std::error::Error + Send + Sync>),
    /// The server cannot or will not.
    Failed(tokio_postgres::Error),
}

impl Failure {
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Refused(Error::new(ErrorKind::Corrupt, what))
    }

    pub(super) fn broken(why: &'static str) -> Self {
        Self::Broken(why.into())
    }

    /// Whether another try, perhaps on another connection, may do.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::Undone(_) | Self::Broken(_))
    }

    /// The error for the caller; `act` says what was to be done, such as `write to`.
    pub(super) fn into_error(self, act: &str, schema: &str) -> Error {
        let (kind, source) = match self {
            Self::Refused(error) => return error,
            Self::Undone(error) => (ErrorKind::Busy, error.into()),
            Self::Broken(error) => (ErrorKind::Unavailable, error),
            Self::Failed(error) => (kind_of(&error), error.into()),
        };
        let why = match source.source() {
            Some(cause) => format!("{source}: {cause}"),
            None => source.to_string(),
        };
        let why = why.lines().next().unwrap_or_default().to_owned();
        Error::new(kind, format!("cannot {act} the store in schema {schema:?}: {why}")).with_source(source)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code() else {
            // What the driver says by itself: a connection that is gone, or a row of another shape.
            let is_shape =
                error.to_string().contains("deserializing") || error.to_string().contains("serializing");
            return if is_shape { Self::Failed(error) } else { Self::Broken(error.into()) };
        };
        match state.code() {
            // Serialization, deadlocks, locks that took too long; races for an item or with a prune.
            "40001" | "40P01" | "55P03" | "23505" | "23503" => Self::Undone(error),
            // A shutdown, a crash elsewhere, a termination; too many connections; a statement of a server
            // that starts or stands by.
            code if code.starts_with("08")
                || code.starts_with("57P")
                || code == "53300"
                || code == "25006" =>
            {
                Self::Broken(error.into())
            }
            // A transaction that failed earlier, or ended by itself.
            "25P02" | "25P03" => Self::Broken(error.into()),
            _ => Self::Failed(error),
        }
    }
}

fn kind_of(error: &tokio_postgres::Error) -> ErrorKind {
    match error.code() {
        Some(state) if *state == SqlState::DISK_FULL => ErrorKind::Full,
        Some(state) if *state == SqlState::QUERY_CANCELED => ErrorKind::Busy,
        Some(state) if state.code().starts_with("53") => ErrorKind::Unavailable,
        Some(state) if state.code().starts_with("XX00") && *state != SqlState::INTERNAL_ERROR => {
            ErrorKind::Corrupt
        }
        Some(state) if state.code().starts_with("22") => ErrorKind::Invalid,
        Some(_) => ErrorKind::Io,
        None => ErrorKind::Corrupt,
    }
}
