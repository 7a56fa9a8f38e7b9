//! What a client is told, a line each.

use super::{answer::Answer, request::RequestId};
use crate::{Error, ErrorKind};
use party_core::Record;
use serde::Serialize;
use std::{error::Error as _, io};
use tokio::{io::AsyncWriteExt as _, net::unix::OwnedWriteHalf, sync::Mutex};

/// At most so many bytes in the answer to a request. A record that is followed may be longer.
const LONGEST_ANSWER: usize = 16 << 20;

/// Why a client does not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    kind: &'static str,
    message: String,
}

impl Trouble {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: kind(ErrorKind::Invalid), message: message.into() }
    }

    /// There are as many as there may be.
    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self { kind: "limit", message: message.into() }
    }

    /// The client is nobody's whom the host knows.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { kind: "refused", message: message.into() }
    }

    /// The client wanted it so.
    pub(super) fn unfollowed() -> Self {
        Self { kind: "unfollowed", message: "it was asked for".to_owned() }
    }

    /// The front ends.
    pub(super) fn closing() -> Self {
        Self { kind: kind(ErrorKind::Closed), message: "the front is closed".to_owned() }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Self { kind: kind(error.kind()), message }
    }
}

/// The kind's name on the wire.
const fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::BatchConflict => "batchConflict",
        ErrorKind::Busy => "busy",
        ErrorKind::Closed => "closed",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Fenced => "fenced",
        ErrorKind::Full => "full",
        ErrorKind::Invalid => "invalid",
        ErrorKind::Io => "io",
        ErrorKind::ItemConflict => "itemConflict",
        ErrorKind::NewerVersion => "newerVersion",
        ErrorKind::NotFound => "notFound",
        ErrorKind::NotAStore => "notAStore",
        ErrorKind::OlderVersion => "olderVersion",
        ErrorKind::Replaced => "replaced",
        ErrorKind::Rewound => "rewound",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Unsupported => "unsupported",
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Reply<'a> {
    Answered { id: &'a RequestId, ok: &'a Answer },
    Failed { id: Option<&'a RequestId>, error: &'a Trouble },
    Followed { follow: &'a RequestId, record: &'a Record },
    Ended { follow: &'a RequestId, ended: &'a Trouble },
}

/// The way to a client. Whoever has something to say waits until it is said: nothing queues up, and a
/// client that does not read is asked for nothing more.
#[derive(Debug)]
pub(super) struct Outgoing(Mutex<OwnedWriteHalf>);

impl Outgoing {
    pub(super) fn new(socket: OwnedWriteHalf) -> Self {
        Self(Mutex::new(socket))
    }

    /// Tells what a request gave. Fails where the client is gone, as all of these.
    pub(super) async fn answer(&self, id: &RequestId, given: Result<Answer, Trouble>) -> io::Result<()> {
        match &given {
            Ok(ok) if self.say(&Reply::Answered { id, ok }, LONGEST_ANSWER).await? => Ok(()),
            Ok(_) => {
                let why = format!("the answer is longer than {LONGEST_ANSWER} bytes: ask for less");
                self.fail(Some(id), &Trouble::limit(why)).await
            }
            Err(error) => self.fail(Some(id), error).await,
        }
    }

    pub(super) async fn fail(&self, id: Option<&RequestId>, error: &Trouble) -> io::Result<()> {
        self.say(&Reply::Failed { id, error }, usize::MAX).await.map(drop)
    }

    pub(super) async fn record(&self, follow: &RequestId, record: &Record) -> io::Result<()> {
        self.say(&Reply::Followed { follow, record }, usize::MAX).await.map(drop)
    }

    pub(super) async fn ended(&self, follow: &RequestId, why: &Trouble) -> io::Result<()> {
        self.say(&Reply::Ended { follow, ended: why }, usize::MAX).await.map(drop)
    }

    /// Says that nothing more will be said.
    pub(super) async fn end(&self) -> io::Result<()> {
        self.0.lock().await.shutdown().await
    }

    /// Writes a line; `false` where it would be longer than `longest`, and nothing is written. It is made
    /// only when its turn has come, so that there is one at a time.
    async fn say(&self, reply: &Reply<'_>, longest: usize) -> io::Result<bool> {
        let mut socket = self.0.lock().await;
        let Some(line) = encode(reply, longest) else { return Ok(false) };
        socket.write_all(&line).await.map(|()| true)
    }
}

/// The line that tells `error` to somebody who has asked for nothing yet.
pub(super) fn line_of(error: &Trouble) -> Vec<u8> {
    encode(&Reply::Failed { id: None, error }, usize::MAX).unwrap_or_default()
}

fn encode(reply: &Reply<'_>, longest: usize) -> Option<Vec<u8>> {
    let mut line = Bounded { bytes: Vec::new(), longest };
    serde_json::to_writer(&mut line, reply).ok()?;
    let mut bytes = line.bytes;
    // A body is kept as it was written, which may be over several lines. In JSON the end of a line is
    // always white space: within a text it is escaped.
    bytes.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    bytes.push(b'\n');
    Some(bytes)
}

struct Bounded {
    bytes: Vec<u8>,
    longest: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.longest - self.bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
