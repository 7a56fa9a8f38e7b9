//! A server of one's own: started in a private folder, with a token, and ended with all that it runs.

use super::{
    INSTALL,
    home::{homes, marker, prepare, socket, token_file},
    setup::Setup,
    wire::{Listener, Speaker},
};
use crate::{
    Environment, Error, ErrorKind, Result,
    process::{Pipes, Running, Start, drain, machine},
    socket::{Address, Bearer, SocketError, Target},
};
use futures::FutureExt as _;
use rustix::process::Signal;
use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{ChildStderr, ChildStdin, ChildStdout, Command},
    sync::oneshot,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

/// What no server of a party does: look for updates, and load what others offer.
const SETTINGS: [&str; 5] = [
    "check_for_update_on_startup=false",
    "analytics.enabled=false",
    "features.plugins=false",
    "features.apps=false",
    "features.remote_plugin=false",
];

/// How much of stderr is kept: its end.
const STDERR_TAIL: usize = 64 * 1024;

/// How the server of a program is reached: it may have no socket, or no port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Port,
    Path,
    Pipes,
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    running: Running,
    pub(super) home: PathBuf,
    /// Where it listens; none where it speaks over its pipes.
    target: Option<Target>,
    pipes: Option<(ChildStdin, ChildStdout)>,
    stderr: Arc<Mutex<Vec<u8>>>,
    _hearing: [Option<AbortOnDropHandle<()>>; 2],
}

impl Server {
    /// Starts a server, and waits until it listens. Safe to cancel: what was started by then is killed.
    pub(super) async fn start(program: &Path, setup: &Setup, env: &Environment) -> Result<Self> {
        let end = Instant::now() + setup.limits.start;
        let door = timeout_at(end, door(program, env)).await.map_err(|_| late(setup))??;
        let homes = homes(setup, env)?;
        let (home, guard, token) = blocking(move || prepare(homes)).await?;
        let mut env = env.clone();
        let marker = marker(&home);
        env.insert("CODEX_HOME".to_owned(), home.to_string_lossy().into_owned());
        env.insert(marker.0.clone(), marker.1.clone());
        let start = Start {
            name: "codex",
            install: INSTALL,
            program,
            args: &arguments(door, &home),
            env: &env,
            cwd: &home,
            marker: &marker,
        };
        // At SIGTERM it would first end the turns that run, which nobody hears.
        let (running, pipes) = Running::start_with_host(&start, Some(guard)).await?;
        let Pipes { stdin, stdout, stderr } = pipes;
        let tail = Arc::new(Mutex::new(Vec::new()));
        let (address, listening) = oneshot::channel();
        let hearing = AbortOnDropHandle::new(tokio::spawn(hear(stderr, Arc::clone(&tail), address)));
        let mut server =
            Self { running, home, target: None, pipes: None, stderr: tail, _hearing: [Some(hearing), None] };
        if door == Door::Pipes {
            server.pipes = Some((stdin, stdout));
            return Ok(server);
        }
        let silent = tokio::spawn(async move {
            // It says nothing there; a full pipe would stop it all the same.
            let (_stdin, mut stdout, mut buffer) = (stdin, stdout, [0; 1024]);
            while let Ok(1..) = stdout.read(&mut buffer).await {}
        });
        server._hearing[1] = Some(AbortOnDropHandle::new(silent));
        server.listens(door, setup, token, listening, end).await?;
        Ok(server)
    }

    async fn listens(
        &mut self,
        door: Door,
        setup: &Setup,
        token: String,
        listening: oneshot::Receiver<String>,
        end: Instant,
    ) -> Result<()> {
        let address = match door {
            Door::Port => match timeout_at(end, listening).await {
                Ok(Ok(url)) => Address::parse(&url)?,
                Ok(Err(_)) => return Err(self.died().await),
                Err(_) => return Err(late(setup)),
            },
            _ => Address::Unix(socket(&self.home)),
        };
        let mut target = Target::new(address);
        target.limit = setup.frame_limit;
        target.bearer = (door == Door::Port).then(|| Bearer::new(token));
        self.target = Some(target);
        Ok(())
    }

    /// A connection to it. One that speaks over its pipes has one only.
    pub(super) async fn connect(&mut self, setup: &Setup) -> Result<(Speaker, Listener), SocketError> {
        let Some(target) = self.target.clone() else {
            let gone = || SocketError::Broken(io::ErrorKind::NotConnected.into());
            let (stdin, stdout) = self.pipes.take().ok_or_else(gone)?;
            return Ok((Speaker::Lines(stdin), Listener::lines(stdout, setup.frame_limit)));
        };
        let end = Instant::now() + setup.limits.start;
        loop {
            match target.connect().await {
                Ok((writer, reader)) => return Ok((Speaker::Socket(writer), Listener::Socket(reader))),
                // A socket in the file system comes some time after the process.
                Err(error) if error.may_pass() && Instant::now() < end && self.is_alive() => {
                    sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether another connection to it can be had.
    pub(super) fn is_alive(&mut self) -> bool {
        let has_door = self.target.is_some() || self.pipes.is_some();
        // Over its pipes it is reached once.
        has_door && self.running.wait().now_or_never().is_none()
    }

    /// Why it ended.
    async fn died(&mut self) -> Error {
        let exit = timeout(Duration::from_secs(1), self.running.wait()).await;
        let how = match exit {
            Ok(Ok(exit)) => exit.to_string(),
            _ => "it does not listen".to_owned(),
        };
        let tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = super::codec::one_line(&String::from_utf8_lossy(&tail));
        Error::new(ErrorKind::Launch, format!("codex did not start: {how}: {said}"))
    }

    /// Ends it and all that it runs. Asked twice it no longer waits for turns that run.
    pub(super) async fn end(mut self, rung: Duration) {
        for _ in 0..2 {
            self.running.signal(Signal::TERM);
            if timeout(rung.min(Duration::from_secs(2)), self.running.wait()).await.is_ok() {
                break;
            }
        }
        let exit = match self.running.wait().now_or_never() {
            Some(exit) => exit,
            None => self.running.kill().await,
        };
        self.running.finish(&exit, true, true, async { false }).await;
    }

    /// Ends it at once.
    pub(super) async fn kill(mut self) {
        let exit = self.running.kill().await;
        self.running.finish(&exit, true, true, async { false }).await;
    }
}

fn arguments(door: Door, home: &Path) -> Vec<String> {
    let mut args = vec!["app-server".to_owned()];
    let mut push = |name: &str, value: String| args.extend([name.to_owned(), value]);
    match door {
        Door::Port => {
            push("--listen", "ws://127.0.0.1:0".to_owned());
            push("--ws-auth", "capability-token".to_owned());
            push("--ws-token-file", token_file(home).to_string_lossy().into_owned());
        }
        Door::Path => push("--listen", format!("unix://{}", socket(home).display())),
        Door::Pipes => {}
    }
    for setting in SETTINGS {
        push("-c", setting.to_owned());
    }
    args
}

/// How this program can be reached, as its help says: versions differ.
async fn door(program: &Path, env: &Environment) -> Result<Door> {
    let mut command = Command::new(program);
    command.args(["app-server", "--help"]).env_clear().envs(env).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| crate::process::refused(program, INSTALL, error))?;
    let help = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !help.contains("app-server") {
        let context = format!("`{}` is not Codex: it has no app-server", program.display());
        return Err(Error::new(ErrorKind::Launch, context));
    }
    Ok(match () {
        () if help.contains("ws://") && help.contains("--ws-token-file") => Door::Port,
        () if help.contains("unix://") => Door::Path,
        () => Door::Pipes,
    })
}

/// Reads stderr to its end and keeps the tail; tells where the server listens.
async fn hear(stderr: ChildStderr, tail: Arc<Mutex<Vec<u8>>>, address: oneshot::Sender<String>) {
    let (mut stderr, mut line, mut address) = (BufReader::new(stderr), Vec::new(), Some(address));
    while address.is_some() {
        line.clear();
        // A line without end says nowhere where it listens.
        let mut limited = (&mut stderr).take(STDERR_TAIL as u64);
        if !matches!(limited.read_until(b'\n', &mut line).await, Ok(1..)) {
            return;
        }
        if let Ok(mut tail) = tail.lock() {
            tail.extend_from_slice(&line);
            let excess = tail.len().saturating_sub(STDERR_TAIL);
            tail.drain(..excess);
        }
        let text = String::from_utf8_lossy(&line);
        if let Some((_, url)) = text.split_once("listening on: ")
            && let Some(address) = address.take()
        {
            let _ = address.send(url.trim().to_owned());
        }
    }
    drain(stderr.into_inner(), &tail).await;
}

fn late(setup: &Setup) -> Error {
    let context = format!("codex does not listen within {} ms", setup.limits.start.as_millis());
    Error::new(ErrorKind::Launch, context)
}

/// The machine, as tokens name it.
pub(super) fn host() -> String {
    machine::host()
}

/// Does what may block where nobody minds.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |error| Error::new(ErrorKind::Io, "the work was given up").with_source(error);
    tokio::task::spawn_blocking(work).await.map_err(|error: tokio::task::JoinError| failed(error))?
}
