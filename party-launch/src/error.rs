//! What can go wrong with a party.

use std::{error::Error as StdError, fmt};

/// The result of a call on a party.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another process drives the session.
    Busy,
    /// The bus failed.
    Bus,
    /// The session, or this handle of it, is closed.
    Closed,
    /// The lease is gone: another process may drive the session.
    Fenced,
    /// The format and the seats do not fit each other.
    Format,
    /// A runtime failed before any turn.
    Harness,
    /// What the builder was given cannot be used.
    Invalid,
    /// The system refused to read, write or listen.
    Io,
    /// A newer version of Party wrote the session.
    NewerVersion,
    /// There is no such session.
    NotFound,
    /// Nobody knows what a seat costs.
    Price,
    /// A host's tool cannot be offered, or one that the session was opened with was not given.
    Tool,
    /// A runtime cannot hold what an intent of the format asks for.
    Unsupported,
}

/// An error of a party: its kind, what it is about, and what caused it.
pub struct Error {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    pub(crate) fn caused(
        kind: ErrorKind,
        context: impl Into<String>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self { kind, context: context.into(), source: Some(Box::new(source)) }
    }

    /// What kind of trouble it is.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        let bus = self.source.as_deref().and_then(|source| source.downcast_ref::<party_bus::Error>());
        self.kind == ErrorKind::Busy || bus.is_some_and(party_bus::Error::is_retryable)
    }

    /// The error and its causes in one line.
    pub fn in_full(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            // Some tell their cause themselves.
            if !line.contains(&said) {
                line = format!("{line}: {said}");
            }
            cause = error.source();
        }
        line
    }
}

impl From<party_bus::Error> for Error {
    fn from(error: party_bus::Error) -> Self {
        let (kind, context) = match error.kind() {
            party_bus::ErrorKind::Fenced => (ErrorKind::Fenced, "the lease of the session is gone"),
            party_bus::ErrorKind::NotFound => (ErrorKind::NotFound, "not in the store"),
            party_bus::ErrorKind::NewerVersion => {
                (ErrorKind::NewerVersion, "a newer version wrote the store")
            }
            party_bus::ErrorKind::Closed => (ErrorKind::Closed, "the store was closed"),
            _ => (ErrorKind::Bus, "the store failed"),
        };
        Self::caused(kind, context, error)
    }
}

impl From<party_formats::FormatError> for Error {
    fn from(error: party_formats::FormatError) -> Self {
        Self::new(ErrorKind::Format, error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("context", &self.context)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
