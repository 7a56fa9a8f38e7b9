//! The process that serves turns, with its pipes.

use super::shape::Shape;
use crate::claude_code::{
    codec::{Decoded, Decoder, Exit},
    run::{DRAIN, Started},
};
use crate::process::{Patience, Running, code_and_signal, drain, ladder};
use rustix::process::Signal;
use std::{
    collections::VecDeque,
    io,
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStdin, ChildStdout},
    time::{Instant, sleep, timeout},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, task_tracker::TaskTrackerToken},
};

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
    running: Running,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    outbox: VecDeque<u8>,
    buffer: Vec<u8>,
    /// Since when its output is at its end.
    ended: Option<Instant>,
    exit: Option<io::Result<ExitStatus>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    hearing: AbortOnDropHandle<()>,
    token: TaskTrackerToken,
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
        let hearing =
            AbortOnDropHandle::new(tokio::spawn(async move { drain(pipes.stderr, &tail).await }));
        Self {
            shape,
            session,
            decoder,
            opening: Some(Instant::now() + CONTROL_PATIENCE),
            running,
            stdin: Some(pipes.stdin),
            stdout: pipes.stdout,
            outbox: stdin.into(),
            buffer: vec![0; 64 * 1024],
            ended: None,
            exit: None,
            stderr,
            hearing,
            token,
            patience,
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Ends it at once. It does nothing more from now on: the walk over all of its processes takes
    /// longer than a call of a model.
    pub(super) async fn kill(&mut self) {
        self.running.signal(Signal::STOP);
        let exit = self.running.kill().await;
        self.exit.get_or_insert(exit);
    }

    /// Queues a line for the CLI.
    pub(super) fn write(&mut self, line: &[u8]) {
        self.outbox.extend(line);
    }

    /// Writes what is queued, reads what there is if `may_read`, and waits for the exit. Safe to
    /// cancel.
    pub(super) async fn next(&mut self, may_read: bool) -> Next {
        loop {
            if self.exit.is_some() && self.ended.is_some() {
                return Next::Gone;
            }
            let reads = may_read && self.ended.is_none() && self.outbox.len() < BACKLOG;
            let mute = self.ended.map(|since| since + self.patience.exit);
            tokio::select! {
                written = flush(&mut self.stdin, &mut self.outbox), if !self.outbox.is_empty() => {
                    if !written {
                        (self.stdin, self.outbox) = (None, VecDeque::new());
                    }
                }
                read = self.stdout.read(&mut self.buffer), if reads => match read {
                    Ok(read @ 1..) => return Next::Said(self.decoder.feed(&self.buffer[..read])),
                    _ => self.ended = Some(Instant::now()),
                },
                exit = self.running.wait(), if self.exit.is_none() => self.exit = Some(exit),
                // Others may hold its output open.
                () = sleep(DRAIN), if self.exit.is_some() && reads => self.ended = Some(Instant::now()),
                () = until(mute), if mute.is_some() && self.exit.is_none() => {
                    self.exit = Some(self.running.kill().await);
                }
            }
        }
    }

    /// Asks it to end: nothing more will come. It writes its transcript, and goes; whatever it still
    /// says is not read any more. One that stays is ended, at once where `now` says so.
    pub(super) async fn retire(mut self, now: &CancellationToken) {
        drop(self.stdin.take());
        let Patience { rung, exit: patience } = self.patience;
        let mut stdout = self.stdout;
        let running = &mut self.running;
        let exit = async {
            tokio::select! {
                biased;
                () = now.cancelled() => {
                    (running.kill().await, true)
                }
                exit = timeout(patience, running.wait()) => match exit {
                    Ok(exit) => (exit, false),
                    Err(_) => (ladder(running, rung).await, true),
                },
            }
        };
        let discard = async {
            let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
            std::future::pending::<()>().await;
        };
        let (exit, forced) = tokio::select! { exit = exit => exit, () = discard => return };
        settle(self.running, &exit, forced).await;
        drop(self.token);
    }

    /// What is left of a process that is gone.
    pub(super) async fn bury(self, interrupted: bool) -> (Decoder, Exit) {
        let exit = self.exit.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
        settle(self.running, &exit, interrupted).await;
        drop(self.token);
        let _ = timeout(DRAIN, self.hearing).await;
        let stderr = self.stderr.lock().map(|tail| String::from_utf8_lossy(&tail).into_owned());
        let (code, signal) = code_and_signal(&exit);
        (self.decoder, Exit { code, signal, stderr: stderr.unwrap_or_default(), interrupted })
    }
}

/// Whatever outlived a process that did not end by itself is ended.
async fn settle(running: Running, exit: &io::Result<ExitStatus>, forced: bool) {
    let (_, signal) = code_and_signal(exit);
    if signal.is_some() || forced {
        running.sweep().await;
    } else {
        running.gone();
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
