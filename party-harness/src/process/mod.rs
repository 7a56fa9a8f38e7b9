//! A runtime's process: started with exactly its environment, drained, and never left behind.

pub(crate) mod tree;

use crate::{Error, ErrorKind, Result};
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    io,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::{Instant, sleep, timeout_at},
};
use tree::Process;

/// How much of stderr is kept: its end.
const STDERR_TAIL: usize = 64 * 1024;

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a process may take for each step of its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From SIGINT to SIGTERM, and from there to SIGKILL.
    pub(crate) rung: Duration,
    /// From the result to the exit.
    pub(crate) exit: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { rung: Duration::from_secs(5), exit: Duration::from_secs(10) }
    }
}

/// What is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    /// The runtime, as people know it: `claude`.
    pub(crate) name: &'a str,
    /// How to get the program, for whoever lacks it.
    pub(crate) install: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) args: &'a [String],
    /// The whole environment.
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) cwd: &'a PathBuf,
    /// The variable in `env` by which all processes of the seat are known.
    pub(crate) marker: &'a (String, String),
}

/// The pipes of a process.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

/// A running process. Dropping it kills all that belongs to it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Option<Child>,
    root: Option<Process>,
    marker: (String, String),
}

impl Running {
    pub(crate) async fn start(start: &Start<'_>) -> Result<(Self, Pipes)> {
        let mut child = spawn(start).await?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let running =
            Self { root: pid.and_then(Process::with_pid), child: Some(child), marker: start.marker.clone() };
        match pipes {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((running, Pipes { stdin, stdout, stderr })),
            _ => Err(Error::new(ErrorKind::Io, format!("{} was started without its pipes", start.name))),
        }
    }

    pub(crate) const fn process(&self) -> Option<Process> {
        self.root
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(root) = self.root {
            root.signal(signal);
        }
    }

    /// Kills the whole tree at once. The walk comes first: a dead parent's children are nobody's.
    pub(crate) fn kill(&mut self) {
        let living = tree::living(self.root, &self.marker);
        living.into_iter().for_each(|process| process.signal(Signal::KILL));
        // Where there is no `/proc`, this is all that can be reached.
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
    }

    /// Waits for the exit, and reaps it. Safe to call again after a cancelled wait.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match &mut self.child {
            Some(child) => child.wait().await,
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Ends what outlived the process, once that is gone.
    pub(crate) async fn sweep(mut self) {
        self.child = None;
        let marker = self.marker.clone();
        let swept = tokio::task::spawn_blocking(move || tree::kill(None, &marker, PATIENCE)).await;
        if !matches!(swept, Ok(true)) {
            tracing::warn!("processes of a runtime could not be ended");
        }
    }

    /// A process that ended by itself and in order leaves nothing.
    pub(crate) fn gone(mut self) {
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
            let _ = child.start_kill();
            while matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        if std::thread::Builder::new().name("runtime-end".to_owned()).spawn(end).is_err() {
            self.kill();
        }
    }
}

async fn spawn(start: &Start<'_>) -> Result<Child> {
    let mut command = Command::new(start.program);
    command
        .args(start.args)
        .env_clear()
        .envs(start.env)
        .current_dir(start.cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut left = 10;
    loop {
        match command.spawn() {
            // Another thread that forks holds a file that was just written open for a moment.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && left > 0 => left -= 1,
            result => return result.map_err(|error| refused(start.program, start.install, error)),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Why a program could not be started.
pub(crate) fn refused(program: &Path, install: &str, error: io::Error) -> Error {
    let program = program.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            Error::new(ErrorKind::Missing, format!("`{program}` was not found: {install}"))
        }
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
pub(crate) async fn write_all(mut stdin: ChildStdin, message: &[u8]) {
    let _ = stdin.write_all(message).await;
    let _ = stdin.shutdown().await;
}

/// Reads stderr to its end and keeps the tail.
pub(crate) async fn drain(mut stderr: ChildStderr, tail: &std::sync::Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        let Ok(mut tail) = tail.lock() else { return };
        tail.extend_from_slice(&buffer[..read]);
        let excess = tail.len().saturating_sub(STDERR_TAIL);
        tail.drain(..excess);
    }
}

/// Asks a process to end, ever less kindly, until it does.
pub(crate) async fn ladder(running: &mut Running, rung: Duration) -> io::Result<ExitStatus> {
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
pub(crate) fn code_and_signal(exit: &io::Result<ExitStatus>) -> (Option<i32>, Option<i32>) {
    exit.as_ref().map_or((None, None), |exit| (exit.code(), exit.signal()))
}
