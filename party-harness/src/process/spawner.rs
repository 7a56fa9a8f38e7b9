//! Where processes are born: one thread that lives as long as the program.
//!
//! The system's signal at a parent's death follows the *thread* that spawned, so no worker of an async
//! runtime may be it. Only the process itself can ask for the signal, between fork and exec, which is
//! no place for safe code; `setpriv` of util-linux asks for it and then becomes the program. Pid,
//! group and start time stay those of the program.

use super::{Start, program, tree};
use crate::Environment;
use std::{
    io::{self, Read as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, oneshot},
};

/// The thread's name, which a child has until it is `setpriv`.
const THREAD: &str = "party-spawner";
const SETPRIV: &str = "setpriv";

/// How `setpriv` is told which signal to ask for.
const ASKING: [&str; 3] = ["--pdeathsig", TERM, "--"];

/// What a runtime is sent when its host dies. At SIGTERM it ends its own children, which SIGKILL would
/// leave behind.
pub(super) const TERM: &str = "TERM";

/// For one that takes SIGTERM as a wish to end some time.
pub(super) const KILL: &str = "KILL";

/// How many spawns may wait for their turn.
const WAITING: usize = 64;

/// How often a program is tried that is busy, and how long lies between.
const TRIES: (u32, Duration) = (10, Duration::from_millis(20));

/// How long `setpriv` may take, and how often it is looked at.
const ARMING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_micros(100));

type Work = Box<dyn FnOnce() + Send>;

/// Runs `work` on the spawning thread. Where the caller is gone the result is dropped there.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (reply, answer) = oneshot::channel();
    let work: Work = Box::new(move || drop(reply.send(work())));
    let gone = || io::Error::other("the thread that starts processes is gone");
    thread()?.send(work).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())
}

fn thread() -> io::Result<mpsc::Sender<Work>> {
    static THREAD_WORK: Mutex<Option<mpsc::Sender<Work>>> = Mutex::new(None);
    let mut running = THREAD_WORK.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(work) = &*running {
        return Ok(work.clone());
    }
    let (sender, mut work) = mpsc::channel::<Work>(WAITING);
    std::thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
        while let Some(work) = work.blocking_recv() {
            // The thread's end would be the end of all that it spawned.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    })?;
    *running = Some(sender.clone());
    Ok(sender)
}

/// What the spawning thread is to start.
#[derive(Debug)]
pub(super) struct Order {
    program: PathBuf,
    args: Vec<String>,
    env: Environment,
    cwd: PathBuf,
    /// What it is sent when its host dies.
    at_death: &'static str,
}

impl Order {
    pub(super) fn new(start: &Start<'_>, at_death: &'static str) -> Self {
        Self {
            at_death,
            program: start.program.to_owned(),
            args: start.args.to_vec(),
            env: start.env.clone(),
            cwd: start.cwd.to_owned(),
        }
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Starts the program; for the spawning thread, within a tokio runtime.
    pub(super) fn spawn(&self) -> io::Result<Child> {
        let program = program::find(&self.program, self.env.get("PATH").map(String::as_str), &self.cwd)?;
        let (mut left, pause) = TRIES;
        loop {
            let spawned = match setpriv() {
                Some(setpriv) => self.through(setpriv, &program),
                None => self.command(&program).args(&self.args).spawn(),
            };
            match spawned {
                // Another thread that forks holds a file that was just written open for a moment.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && left > 0 => left -= 1,
                result => return result,
            }
            std::thread::sleep(pause);
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.env).current_dir(&self.cwd).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn through(&self, setpriv: &Path, program: &Path) -> io::Result<Child> {
        let mut command = self.command(setpriv);
        let [option, _, end] = ASKING;
        command.args([option, self.at_death, end]);
        let mut child = command.arg(program).args(&self.args).spawn()?;
        match armed(&mut child) {
            Ok(()) => Ok(child),
            Err(error) => {
                let _ = child.start_kill();
                Err(error)
            }
        }
    }
}

/// Waits until `setpriv` has become the program. Before, nothing is written to the process: if the
/// host dies before the signal is asked for, the program finds its input at the end.
fn armed(child: &mut Child) -> io::Result<()> {
    let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else { return Ok(()) };
    let (patience, pause) = ARMING;
    let end = Instant::now() + patience;
    loop {
        match tree::name(pid) {
            // A dead process keeps its name.
            Some((name, true)) if name == SETPRIV => return Err(not_executed(child)),
            Some((name, false)) if name == SETPRIV || name == THREAD => {}
            _ => return Ok(()),
        }
        if Instant::now() >= end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(pause);
    }
}

/// Why `setpriv` could not become the program, which was there a moment before.
fn not_executed(child: &mut Child) -> io::Error {
    let code = child.try_wait().ok().flatten().and_then(|exit| exit.code());
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take().and_then(|stderr| stderr.into_owned_fd().ok()) {
        // Nobody holds the other end any more.
        let _ = std::fs::File::from(stderr).take(1024).read_to_string(&mut said);
    }
    let kind = match code {
        Some(127) => io::ErrorKind::NotFound,
        // It tells what else went wrong by words only, in the language of the environment.
        Some(126) => io::ErrorKind::ExecutableFileBusy,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, said.trim_end().to_owned())
}

/// The `setpriv` of this machine that can do it, looked up once.
fn setpriv() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(look_up).as_deref()
}

/// That of busybox has the name only.
fn look_up() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/bin:/bin:/usr/sbin:/sbin";
    let found = program::find(Path::new(SETPRIV), Some(&path), Path::new("/")).ok()?;
    let mut check = std::process::Command::new(&found);
    check.args(ASKING).arg(&found).arg("--version").env_clear();
    let output = check.stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(found)
}
