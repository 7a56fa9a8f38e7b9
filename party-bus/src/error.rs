//! What can go wrong with a store.

use std::{error::Error as StdError, fmt};

/// The result of a call on a bus.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A batch id was used again with other content.
    BatchConflict,
    /// The store is busy for longer than it should be.
    Busy,
    /// The bus was closed.
    Closed,
    /// The driver's expected head is stale: something came in between.
    Conflict,
    /// The store holds what cannot be read.
    Corrupt,
    /// The lease is gone: another driver may have the session.
    Fenced,
    /// No space is left.
    Full,
    /// The call breaks a rule of the contract.
    Invalid,
    /// The system refused to read or write.
    Io,
    /// An item id was used again with other content.
    ItemConflict,
    /// The store was written by a newer version of Party.
    NewerVersion,
    /// There is no such session, thread, item or file.
    NotFound,
    /// The file is no store of Party.
    NotAStore,
    /// The store was written by an older version of Party, which this one cannot read: copy it by an
    /// export of that version.
    OlderVersion,
    /// The store's file was deleted, moved or replaced while it was open. What was acknowledged before is
    /// in the file that was opened; nothing is written there any more.
    Replaced,
    /// The reader is ahead of the store, which was restored or replaced.
    Rewound,
    /// The server cannot be reached, or broke the connection. A batch may have been written or not; the
    /// same batch again settles it.
    Unavailable,
    /// The store cannot do that.
    Unsupported,
}

/// An error of a bus: its kind, what it is about, and what caused it.
pub struct Error {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error that `context` explains in one lower-case line.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error of a part of something, which is named in front.
    pub(crate) fn within(self, what: impl fmt::Display) -> Self {
        Self { context: format!("{what}: {}", self.context), ..self }
    }

    /// The same error for another caller; its cause as text, for causes cannot be copied.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn again(&self) -> Self {
        let source = self.source.as_ref().map(|source| source.to_string().into());
        Self { kind: self.kind, context: self.context.clone(), source }
    }

    /// What kind of trouble it is.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Busy | ErrorKind::Full | ErrorKind::Io | ErrorKind::Unavailable)
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
