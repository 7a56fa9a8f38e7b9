//! The process that serves turns, with its pipes.

use super::{
    child::{Child, Released},
    shape::Shape,
};
use crate::claude_code::{
    codec::{Decoded, Decoder, Exit},
    run::{DRAIN, Started},
};
use crate::process::{Patience, drain};
use std::{
    collections::VecDeque,
    io::Cursor,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStdin, ChildStdout},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How long the CLI may take to answer a request of the control protocol, as in its official SDKs. The
/// first one waits for a cold start.
pub(super) const CONTROL_PATIENCE: Duration = Duration::from_secs(60);

/// How many lines may wait until the CLI reads them. It is read all the same, as it may read nothing
/// before it has written; so one that asks on and on and reads no answer is ended. It can have 64 calls
/// and 64 questions open.
const BACKLOG: usize = 256;

/// How much of the output of a process that has exited is kept for a turn's reader who is behind: no
/// pipe holds more.
const LEFT: usize = 1 << 20;

/// Something that a process does.
#[derive(Debug)]
pub(super) enum Next {
    Said(Vec<Decoded>),
    /// It is gone, and all that it wrote is read.
    Gone,
}

#[derive(Debug)]
pub(super) struct Live {
    pub(super) shape: Shape,
    /// The runtime session that it holds.
    pub(super) session: Option<String>,
    pub(super) decoder: Decoder,
    /// When it is late with its answer to the line that opens the protocol.
    pub(super) opening: Option<Instant>,
    pub(super) child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    outbox: VecDeque<Cursor<Vec<u8>>>,
    buffer: Vec<u8>,
    /// How much of the buffer is decoded.
    decoded: usize,
    /// Until when the output of a process that has exited is read.
    last: Option<Instant>,
    /// Since when it reads no more.
    deaf: Option<Instant>,
    /// Since when its output is at its end.
    ended: Option<Instant>,
    stderr: Arc<Mutex<Vec<u8>>>,
    hearing: AbortOnDropHandle<()>,
    released: Released,
    patience: Patience,
}

impl Live {
    pub(super) fn new(
        started: Started,
        shape: Shape,
        session: Option<String>,
        decoder: Decoder,
        patience: Patience,
    ) -> Self {
        let Started { running, token, pipes, stdin } = started;
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let tail = Arc::clone(&stderr);
        let released = Released::default();
        let heard = released.stderr.clone();
        let hearing = AbortOnDropHandle::new(tokio::spawn(async move {
            drain(pipes.stderr, &tail).await;
            heard.cancel();
        }));
        let child = Child::new(running, token, shape.has_own_tools(), released.clone());
        Self {
            shape,
            session,
            decoder,
            opening: Some(Instant::now() + CONTROL_PATIENCE),
            child,
            stdin: Some(pipes.stdin),
            stdout: pipes.stdout,
            outbox: VecDeque::from([Cursor::new(stdin)]),
            buffer: Vec::with_capacity(64 * 1024),
            decoded: 0,
            last: None,
            deaf: None,
            ended: None,
            stderr,
            hearing,
            released,
            patience,
        }
    }

    /// Queues a line for the CLI.
    pub(super) fn write(&mut self, line: &[u8]) {
        self.outbox.push_back(Cursor::new(line.to_vec()));
    }

    /// How many lines wait until the CLI reads them.
    pub(super) fn backlog(&self) -> usize {
        self.outbox.len()
    }

    /// Whether the CLI asks, and does not read what it is answered.
    pub(super) fn is_overrun(&self) -> bool {
        self.backlog() > BACKLOG
    }

    /// Writes what is queued, reads what there is if `may_read`, and waits for the exit. Safe to
    /// cancel.
    pub(super) async fn next(&mut self, may_read: bool) -> Next {
        loop {
            if may_read && let Some(said) = self.line() {
                return Next::Said(said);
            }
            let exited = self.child.has_exited();
            if exited && self.ended.is_some() && self.unread() == 0 {
                return Next::Gone;
            }
            if exited {
                // Others may hold its pipes, and go on with them.
                self.last.get_or_insert_with(|| Instant::now() + DRAIN);
                (self.stdin, self.outbox) = (None, VecDeque::new());
            }
            if self.is_overrun() && !exited {
                self.child.kill().await;
            }
            // What it left is read in time, also where it waits for the turn's reader.
            let reads = self.ended.is_none() && (may_read || exited && self.unread() < LEFT);
            let last = self.last.filter(|_| self.ended.is_none());
            let mute = self.ended.or(self.deaf).map(|since| since + self.patience.exit);
            tokio::select! {
                written = flush(&mut self.stdin, &mut self.outbox), if !self.outbox.is_empty() => {
                    if !written {
                        (self.stdin, self.outbox) = (None, VecDeque::new());
                        self.deaf.get_or_insert_with(Instant::now);
                    }
                }
                read = self.stdout.read_buf(&mut self.buffer), if reads => if !matches!(read, Ok(1..)) {
                    self.ended = Some(Instant::now());
                    self.released.stdout.cancel();
                },
                () = self.child.exited(), if !exited => {}
                () = until(last), if exited => self.ended = Some(Instant::now()),
                () = until(mute), if mute.is_some() && !exited => self.child.kill().await,
            }
        }
    }

    /// Decodes the next line of what was read, so that what follows the end of a turn is no part of it.
    fn line(&mut self) -> Option<Vec<Decoded>> {
        while self.unread() > 0 {
            let rest = &self.buffer[self.decoded..];
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let said = self.decoder.feed(&rest[..end]);
            self.decoded += end;
            if !said.is_empty() || self.decoder.is_done() {
                return Some(said);
            }
        }
        self.buffer.clear();
        self.decoded = 0;
        None
    }

    /// How much was read and is not decoded.
    const fn unread(&self) -> usize {
        self.buffer.len() - self.decoded
    }

    /// Asks it to end: nothing more will come. It writes its transcript, and goes; whatever it still
    /// says is not read any more. One that stays is ended, at once where `now` says so.
    pub(super) async fn retire(mut self, now: &CancellationToken) {
        drop(self.stdin.take());
        let discard = async {
            let _ = tokio::io::copy(&mut self.stdout, &mut tokio::io::sink()).await;
            self.released.stdout.cancel();
            std::future::pending::<()>().await;
        };
        let end = async {
            self.child.end(self.patience, now).await;
            self.child.settled().await;
        };
        tokio::select! { () = end => {}, () = discard => {} }
    }

    /// What is left of a process that is gone.
    pub(super) async fn bury(self, interrupted: bool) -> (Decoder, Exit) {
        let (code, signal) = self.child.settled().await;
        let _ = timeout(DRAIN, self.hearing).await;
        let stderr = self.stderr.lock().map(|tail| String::from_utf8_lossy(&tail).into_owned());
        (self.decoder, Exit { code, signal, stderr: stderr.unwrap_or_default(), interrupted })
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Writes a part; `false` where nobody reads any more, which the exit will explain.
async fn flush(stdin: &mut Option<ChildStdin>, outbox: &mut VecDeque<Cursor<Vec<u8>>>) -> bool {
    let (Some(stdin), Some(line)) = (stdin, outbox.front_mut()) else { return false };
    let written = stdin.write_buf(line).await;
    if line.get_ref().len() as u64 == line.position() {
        outbox.pop_front();
    }
    matches!(written, Ok(1..))
}
