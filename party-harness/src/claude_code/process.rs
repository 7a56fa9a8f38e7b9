//! One process of the CLI: started with exactly its environment, drained, and never left behind.

use super::{
    launch::LaunchPlan,
    tree::{self, Process},
};
use crate::{Error, ErrorKind, Result};
use rustix::process::Signal;
use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::{Instant, sleep, timeout_at},
};

/// How much of stderr is kept: its end.
const STDERR_TAIL: usize = 64 * 1024;

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a process may take for each step of its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From SIGINT to SIGTERM, and from there to SIGKILL.
    pub(super) rung: Duration,
    /// From the result to the exit.
    pub(super) exit: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { rung: Duration::from_secs(5), exit: Duration::from_secs(10) }
    }
}

/// The pipes of a process.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// A running process. Dropping it kills all that belongs to it.
#[derive(Debug)]
pub(super) struct Running {
    child: Option<Child>,
    root: Option<Process>,
    marker: (String, String),
}

impl Running {
    pub(super) async fn start(plan: &LaunchPlan, marker: (String, String)) -> Result<(Self, Pipes)> {
        let mut child = spawn(plan).await?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let running = Self { root: pid.and_then(Process::with_pid), child: Some(child), marker };
        match pipes {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((running, Pipes { stdin, stdout, stderr })),
            _ => Err(Error::new(ErrorKind::Io, "claude was started without its pipes")),
        }
    }

    pub(super) const fn process(&self) -> Option<Process> {
        self.root
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(root) = self.root {
            root.signal(signal);
        }
    }

    /// Kills the whole tree at once. The walk comes first: a dead parent's children are nobody's.
    pub(super) fn kill(&self) {
        let living = tree::living(self.root, &self.marker);
        living.into_iter().for_each(|process| process.signal(Signal::KILL));
    }

    /// Waits for the exit, and reaps it. Safe to call again after a cancelled wait.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match &mut self.child {
            Some(child) => child.wait().await,
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Ends what outlived the process, once that is gone.
    pub(super) async fn sweep(mut self) {
        self.child = None;
        let marker = self.marker.clone();
        let swept = tokio::task::spawn_blocking(move || tree::kill(None, &marker, PATIENCE)).await;
        if !matches!(swept, Ok(true)) {
            tracing::warn!("processes of claude could not be ended");
        }
    }

    /// A process that ended by itself and in order leaves nothing.
    pub(super) fn gone(mut self) {
        self.child = None;
    }
}

/// When nobody waits any more, a thread of its own kills and reaps: the runtime may be gone too.
impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let (root, marker) = (self.root, self.marker.clone());
        let end = move || {
            tree::kill(root, &marker, PATIENCE);
            while matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        if std::thread::Builder::new().name("claude-end".to_owned()).spawn(end).is_err() {
            self.kill();
        }
    }
}

async fn spawn(plan: &LaunchPlan) -> Result<Child> {
    let mut command = Command::new(&plan.program);
    command
        .args(&plan.args)
        .env_clear()
        .envs(&plan.env)
        .current_dir(&plan.cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut left = 10;
    loop {
        match command.spawn() {
            // Another thread that forks holds a file that was just written open for a moment.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && left > 0 => left -= 1,
            result => return result.map_err(|error| refused(&plan.program, error)),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Why a program could not be started.
pub(super) fn refused(program: &std::path::Path, error: io::Error) -> Error {
    let program = program.display();
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(
            ErrorKind::Missing,
            format!(
                "`{program}` was not found: install Claude Code with \
                 `npm install -g @anthropic-ai/claude-code`, or name its binary with `--claude-bin PATH`"
            ),
        ),
        io::ErrorKind::PermissionDenied => {
            Error::new(ErrorKind::Launch, format!("`{program}` is not executable")).with_source(error)
        }
        io::ErrorKind::ArgumentListTooLong => {
            Error::new(ErrorKind::Invalid, "the launch's arguments are too long").with_source(error)
        }
        _ => Error::new(ErrorKind::Launch, format!("`{program}` cannot be started: {error}"))
            .with_source(error),
    }
}

/// Writes the message and ends the input. A process that reads no more says why itself.
pub(super) async fn write_all(mut stdin: ChildStdin, message: &[u8]) {
    let _ = stdin.write_all(message).await;
    let _ = stdin.shutdown().await;
}

/// Reads stderr to its end and keeps the tail.
pub(super) async fn drain(mut stderr: ChildStderr, tail: &std::sync::Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let Ok(mut tail) = tail.lock() else { return };
        tail.extend_from_slice(&buffer[..read]);
        let excess = tail.len().saturating_sub(STDERR_TAIL);
        tail.drain(..excess);
    }
}

/// Asks a process to end, ever less kindly, until it does.
pub(super) async fn ladder(running: &mut Running, rung: Duration) -> io::Result<ExitStatus> {
    for signal in [Signal::INT, Signal::TERM] {
        running.signal(signal);
        if let Ok(exit) = timeout_at(Instant::now() + rung, running.wait()).await {
            return exit;
        }
    }
    running.kill();
    running.wait().await
}

/// Exit code and signal of an ended process.
pub(super) fn code_and_signal(exit: &io::Result<ExitStatus>) -> (Option<i32>, Option<i32>) {
    exit.as_ref().map_or((None, None), |exit| (exit.code(), exit.signal()))
}
