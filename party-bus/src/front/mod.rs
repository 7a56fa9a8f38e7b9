//! A Unix socket by which processes that are not Rust post, read and follow.
//!
//! [`Front::bind`] makes a socket of mode 0600 and serves a bus on it. Whoever connects is named by the
//! host from the credential that the system gives of the process, never by anything that it says.
//!
//! ```no_run
//! # async fn serve(bus: std::sync::Arc<dyn party_bus::Bus>) -> party_bus::Result<()> {
//! use party_bus::front::{Front, FrontOptions};
//!
//! let front = Front::bind(bus, "party.sock", FrontOptions::owner("ann")).await?;
//! // … until the host ends:
//! front.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! ```sh
//! echo '{"id":1,"type":"sessions"}' | socat - UNIX-CONNECT:party.sock
//! ```
//!
//! # Protocol
//! One JSON object per line in both directions, fields in camelCase. A request has an `id` (a text of up
//! to 128 bytes or a whole number), a `type`, and the fields of that type; others are refused by name.
//! Fields with a question mark may be left out. Blank lines mean nothing.
//!
//! | `type` | fields | `ok` |
//! |---|---|---|
//! | `ping` | | `v`, `backend`, `store`, `epoch`, `author`: the store's, and who you are here |
//! | `post` | `session`, `text`, `answers?`, `messageId?` | `first`, `last`, `item`, `repeated` |
//! | `command` | `session`, `command`: `{"type":"stop"}`, `close`, or `answer` with `turn`, `request`, `answer` | `first`, `last`, `repeated` |
//! | `follow` | `session`, `after?`, `classes?`, `epoch?` | `epoch`; then the lines below, until the end |
//! | `unfollow` | `follow`: the id of that request | nothing |
//! | `read` | `session`, `after?`, `classes?`, `epoch?`, `limit?` | `records`, `scannedTo`, `more` |
//! | `sessions` | `session?`, `kind?`, `parent?`, `due?`, `skip?`, `limit?` | `sessions`, `scannedTo`, `more` |
//! | `threads` | `session`, `thread?`, `parent?`, `kind?`, `skip?`, `limit?` | `threads`, `scannedTo`, `more` |
//! | `window` | `session`, `thread`, `before?` or `after?` (else the last), `archive?`, `limit?` | `entries`, `scannedTo`, `more` |
//! | `items` | `items`: at most 1,000 ids | `items` |
//!
//! | what is said | when |
//! |---|---|
//! | `{"id":…,"ok":{…}}` | a request was carried out |
//! | `{"id":…,"error":{"kind":…,"message":…}}` | it was not; without a readable id `null` stands there |
//! | `{"follow":…,"record":{…}}` | the next record of a session that is followed |
//! | `{"follow":…,"ended":{"kind":…,"message":…}}` | no more records come, and why |
//!
//! * `after` is the last offset known, 0 by default. `classes` is a list of `input`, `report`,
//!   `decision`, `trace`; all but trace by default. `limit` is 1 to 1,000, 100 by default. An answer
//!   stops short of its limit with `more` where it grows long, or fails where it would exceed 16 MiB.
//! * Kinds of errors are those of [`ErrorKind`](crate::ErrorKind), in camelCase; `limit` where there
//!   are as many connections or followed sessions as there may be, `refused` for a process that is not
//!   admitted, and `unfollowed`, an end that was asked for.
//! * Requests of a connection are carried out one after the other, in their order; records that are
//!   followed come in between. Whoever does not read is asked for nothing more and gets nothing more,
//!   and keeps nobody else waiting.
//! * A followed session gives its records in order, without gap or duplicate. After an end for any reason
//!   it can be followed again behind the last offset seen; with the `epoch` of the first answer a store
//!   that lost records in between says so (`rewound`).
//! * A front that closes gives what is on the log by then, and an end of kind `closed`. One that dies, or
//!   has no more patience, may cut its last line short; without its end a line was not said.
//! * The end of the client's input ends the connection, and what it follows.
//!
//! # What may be written
//! Inputs only, under the author that the host gave the connection: messages and commands. When the
//! answer comes, they are on the disk, where the store has one. What the session makes of them stands on its
//! log. Reports, decisions, traces, threads and leases are the driver's and have no request here.
//!
//! `messageId` is the client's own name for a message, of up to 256 bytes. The same again, of the same
//! author to the same session with the same text, is the same message: `repeated` is true and nothing is
//! written; with another text it is a `batchConflict`. So a post may be sent again after a lost answer.
//! A command has no such name, and does no harm twice.

mod answer;
mod connection;
mod line;
mod options;
mod place;
mod reply;
mod request;

pub use options::{FrontOptions, PeerCredential};

use crate::{Bus, Result};
use connection::{Shared, serve};
use place::Place;
use reply::{Trouble, line_of};
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixStream},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How long a client that does not read may keep the front from closing.
const GRACE: Duration = Duration::from_secs(1);
/// The pause after a connection that could not be taken, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A bus on a Unix socket, for as long as this lives. Dropped, it lets all clients go at once and removes
/// its file; [`close`](Self::close) tells them first.
///
/// A client costs a task and what it has begun to say. What it follows costs a task and at most a page of
/// 256 KiB, or one record that is larger.
#[derive(Debug)]
pub struct Front {
    path: PathBuf,
    place: Place,
    closing: CancellationToken,
    accepting: AbortOnDropHandle<()>,
}

impl Front {
    /// Listens on `path`. The file of a server that is dead is replaced.
    ///
    /// Needs a runtime of tokio with I/O. Cancel-safe: dropped, it leaves nothing behind.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a path of more than 107 bytes, and for one where
    /// something other than a socket is; [`Busy`](crate::ErrorKind::Busy) where a server that lives
    /// listens; [`NotFound`](crate::ErrorKind::NotFound) where there is no such folder;
    /// [`Io`](crate::ErrorKind::Io) where the system refuses.
    pub async fn bind(bus: Arc<dyn Bus>, path: impl AsRef<Path>, options: FrontOptions) -> Result<Self> {
        let path = path.as_ref();
        let (listener, place) = place::take(path).await?;
        let closing = CancellationToken::new();
        let shared = Arc::new(Shared { bus, options, closing: closing.clone() });
        let accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, shared)));
        Ok(Self { path: path.to_owned(), place, closing, accepting })
    }

    /// Where it listens, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, gives those who follow what is on the log by now, tells them that it ends, lets
    /// all clients go, and returns once nothing of it runs any more. A request that is being carried out is
    /// finished. Who is not done within a second, such as for not reading, is let go as well.
    ///
    /// The bus stays open; it is to be closed after this. Cancel-safe: dropped, it does the rest as a drop
    /// does.
    pub async fn close(self) {
        let Self { place, closing, accepting, .. } = self;
        drop(place);
        closing.cancel();
        let _ = accepting.await;
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => break,
            Some(ended) = connections.join_next() => told(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < shared.options.connections => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                Ok((stream, _)) => drop(turn_away(stream, shared.options.connections)),
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all).await.is_err() {
        connections.shutdown().await;
    }
}

/// A client that went away is no news; a panic, such as of the host's own code, is.
fn told(ended: Result<io::Result<()>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a client went away"),
        Err(error) => tracing::warn!(%error, "a connection failed"),
    }
}

/// A new connection has room for a line, so this waits for nobody.
fn turn_away(stream: UnixStream, most: usize) -> io::Result<()> {
    let why = Trouble::limit(format!("there are {most} connections already"));
    stream.into_std()?.write_all(&line_of(&why))
}
