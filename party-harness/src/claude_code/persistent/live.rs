//! The process that serves turns, with its pipes.

use super::{child::Child, gate::Gate, shape::Shape};
use crate::claude_code::{
    codec::{Decoded, Decoder, Exit},
    run::{DRAIN, Started},
};
use crate::process::{Patience, drain};
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStdin, ChildStdout},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How long the CLI may take to answer a request of the control protocol, as in its official SDKs. The
/// first one waits for a cold start.
pub(super) const CONTROL_PATIENCE: Duration = Duration::from_secs(60);

/// How much may wait to be read by the CLI before nothing more is read from it: answers to what it asks
/// are bounded by what it reads of them.
const BACKLOG: usize = 1 << 20;

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
    pub(super) gate: Gate,
    pub(super) child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    outbox: VecDeque<u8>,
    buffer: Vec<u8>,
    /// What of the buffer is not decoded.
    unread: Range<usize>,
    /// Since when it reads no more.
    deaf: Option<Instant>,
    /// Since when its output is at its end.
    ended: Option<Instant>,
    stderr: Arc<Mutex<Vec<u8>>>,
    hearing: AbortOnDropHandle<()>,
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
        let hearing = AbortOnDropHandle::new(tokio::spawn(async move { drain(pipes.stderr, &tail).await }));
        Self {
            shape,
            session,
            decoder,
            opening: Some(Instant::now() + CONTROL_PATIENCE),
            gate: Gate::Shut,
            child: Child::new(running, token),
            stdin: Some(pipes.stdin),
            stdout: pipes.stdout,
            outbox: stdin.into(),
            buffer: vec![0; 64 * 1024],
            unread: 0..0,
            deaf: None,
            ended: None,
            stderr,
            hearing,
            patience,
        }
    }

    /// Queues a line for the CLI.
    pub(super) fn write(&mut self, line: &[u8]) {
        self.outbox.extend(line);
    }

    /// Writes what is queued, reads what there is if `may_read`, and waits for the exit. Safe to
    /// cancel.
    pub(super) async fn next(&mut self, may_read: bool) -> Next {
        loop {
            if may_read && let Some(said) = self.line() {
                return Next::Said(said);
            }
            if self.child.has_exited() && self.ended.is_some() && self.unread.is_empty() {
                return Next::Gone;
            }
            let reads = may_read && self.ended.is_none() && self.outbox.len() < BACKLOG;
            let mute = self.ended.or(self.deaf).map(|since| since + self.patience.exit);
            tokio::select! {
                written = flush(&mut self.stdin, &mut self.outbox), if !self.outbox.is_empty() => {
                    if !written {
                        (self.stdin, self.outbox) = (None, VecDeque::new());
                        self.deaf.get_or_insert_with(Instant::now);
                    }
                }
                read = self.stdout.read(&mut self.buffer), if reads => match read {
                    Ok(read @ 1..) => self.unread = 0..read,
                    _ => self.ended = Some(Instant::now()),
                },
                () = self.child.exited(), if !self.child.has_exited() => {}
                // Others may hold its output open.
                () = sleep(DRAIN), if self.child.has_exited() && reads => self.ended = Some(Instant::now()),
                // What is left waits for its reader.
                () = std::future::pending(), if self.child.has_exited() && !reads => {}
                () = until(mute), if mute.is_some() && !self.child.has_exited() => self.child.kill().await,
            }
        }
    }

    /// Decodes the next line of what was read, so that what follows the end of a turn is no part of it.
    fn line(&mut self) -> Option<Vec<Decoded>> {
        while !self.unread.is_empty() {
            let rest = &self.buffer[self.unread.clone()];
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let said = self.decoder.feed(&rest[..end]);
            self.unread.start += end;
            if !said.is_empty() || self.decoder.is_done() {
                return Some(said);
            }
        }
        None
    }

    /// Asks it to end: nothing more will come. It writes its transcript, and goes; whatever it still
    /// says is not read any more. One that stays is ended, at once where `now` says so.
    pub(super) async fn retire(mut self, now: &CancellationToken) {
        drop(self.stdin.take());
        let discard = async {
            let _ = tokio::io::copy(&mut self.stdout, &mut tokio::io::sink()).await;
            std::future::pending::<()>().await;
        };
        tokio::select! { () = self.child.end(self.patience, now) => {}, () = discard => {} }
        self.child.settled().await;
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
async fn flush(stdin: &mut Option<ChildStdin>, outbox: &mut VecDeque<u8>) -> bool {
    let Some(stdin) = stdin else { return false };
    let written = stdin.write_buf(outbox).await;
    if outbox.is_empty() {
        outbox.shrink_to(BACKLOG);
    }
    matches!(written, Ok(1..))
}
