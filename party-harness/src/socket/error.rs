//! What can go wrong with a socket.

use crate::{Error, ErrorKind};
use std::{fmt, io, time::Duration};
use tokio_tungstenite::tungstenite::{self, error::CapacityError};

/// How much of a refusal is repeated.
const SHOWN: usize = 200;

/// Why there is no connection, or none any more.
#[derive(Debug)]
pub(crate) enum SocketError {
    /// Nothing listens there.
    Unreachable(io::Error),
    /// It took longer than this.
    Late(Duration),
    /// The server answered the upgrade with this status, and these words.
    Rejected { status: u16, said: String },
    /// What was to be asked for cannot be written down.
    Request(String),
    /// The server said something that is no WebSocket.
    Protocol(String),
    /// A message of the server is larger than this.
    TooLarge(usize),
    /// The server closed, with a code and words where it took leave.
    Closed { code: Option<u16>, why: String },
    /// The connection broke.
    Broken(io::Error),
}

impl SocketError {
    /// Of a connection whose limit is `limit`.
    pub(super) fn of(error: tungstenite::Error, limit: usize) -> Self {
        match error {
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => Self::end(),
            tungstenite::Error::Io(error) => Self::Broken(error),
            tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::TooLarge(limit),
            tungstenite::Error::Http(response) => Self::Rejected {
                status: response.status().as_u16(),
                said: response.body().as_deref().map(words).unwrap_or_default(),
            },
            // It went without a word, as servers do that are killed.
            tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
                | tungstenite::error::ProtocolError::SendAfterClosing,
            ) => Self::end(),
            // Its name for an answer of too many bytes.
            tungstenite::Error::AttackAttempt => {
                Self::Protocol("its answer to the upgrade is endless".to_owned())
            }
            other => Self::Protocol(other.to_string()),
        }
    }

    /// The connection ended without a word.
    pub(super) const fn end() -> Self {
        Self::Closed { code: None, why: String::new() }
    }

    /// Whether the same server may be reached a moment later.
    pub(crate) const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Late(_) | Self::Closed { .. } | Self::Broken(_) => true,
            Self::Rejected { status, .. } => *status >= 500,
            Self::Request(_) | Self::Protocol(_) | Self::TooLarge(_) => false,
        }
    }

    const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable(_) | Self::Late(_) | Self::Closed { .. } | Self::Broken(_) => ErrorKind::Io,
            Self::Rejected { .. } => ErrorKind::Launch,
            Self::Request(_) => ErrorKind::Invalid,
            Self::Protocol(_) | Self::TooLarge(_) => ErrorKind::Protocol,
        }
    }
}

/// One short line of what a server said; it may be a whole page.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "nothing answers there: {error}"),
            Self::Late(patience) => write!(f, "no connection within {} ms", patience.as_millis()),
            Self::Rejected { status: status @ (401 | 403), said } => {
                write!(f, "the server refuses the token ({status}): {said}")
            }
            Self::Rejected { status, said } => {
                write!(f, "the server refuses the connection ({status}): {said}")
            }
            Self::Request(why) => write!(f, "the connection cannot be asked for: {why}"),
            Self::Protocol(why) => write!(f, "the server speaks no websocket: {why}"),
            Self::TooLarge(limit) => write!(f, "a message of the server is larger than {limit} bytes"),
            Self::Closed { code: Some(code), why } if !why.is_empty() => {
                write!(f, "the server closed the connection ({code}): {why}")
            }
            Self::Closed { code: Some(code), .. } => write!(f, "the server closed the connection ({code})"),
            Self::Closed { code: None, .. } => f.write_str("the connection ended"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
        }
    }
}

impl std::error::Error for SocketError {}

impl From<SocketError> for Error {
    fn from(error: SocketError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}
