//! This program again, for one of its tests only: a process that may be killed or stopped.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const STORE: &str = "PARTY_BUS_TEST_STORE";
const ARGUMENT: &str = "PARTY_BUS_TEST_ARGUMENT";
/// Far more than anything here takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The store that a child is to use; `None` in the tests themselves.
pub(crate) fn store() -> Option<PathBuf> {
    env::var_os(STORE).map(PathBuf::from)
}

pub(crate) fn argument() -> String {
    env::var(ARGUMENT).unwrap_or_default()
}

/// Tells the parent a line, whole, before it goes on.
pub(crate) fn tell(line: &str) {
    // What the test harness has printed may not end its line.
    std::io::stdout().lock().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

/// A folder in memory, where there is one: for tests of what a file holds, not of when it is synced.
pub(crate) fn fast_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The file that SQLite keeps beside `path` under a longer name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The test `name` of this program, behind the arguments of `wrapper`.
pub(crate) fn command(
    wrapper: &[impl AsRef<OsStr>],
    name: &str,
    path: &Path,
    argument: impl ToString,
) -> Command {
    let mut words: Vec<_> = wrapper.iter().map(|word| word.as_ref().to_owned()).collect();
    words.push(env::current_exe().unwrap().into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["--exact", name, "--nocapture"]);
    command.env(STORE, path).env(ARGUMENT, argument.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// A child that runs, and is killed when it is no longer wanted.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(name: &str, path: &Path, argument: impl ToString) -> Self {
        Self::spawn(command(&[] as &[&str], name, path, argument)).unwrap()
    }

    pub(crate) fn spawn(mut command: Command) -> std::io::Result<Self> {
        let mut child = command.spawn()?;
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            let told = output.lines().map_while(Result::ok).filter(|line| !line.is_empty());
            told.map_while(|line| sender.send(line).ok()).for_each(drop);
        });
        Ok(Self { child, lines })
    }

    /// The next line, or `None` where the child has ended.
    pub(crate) fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the child is silent"),
        }
    }

    /// What follows `tag` in the next line that begins with it.
    pub(crate) fn told(&self, tag: &str) -> String {
        let mut heard = Vec::new();
        while let Some(line) = self.line() {
            if let Some(rest) = line.strip_prefix(tag) {
                return rest.trim().to_owned();
            }
            heard.push(line);
        }
        panic!("the child ended without `{tag}`: {heard:#?}");
    }

    /// Sends SIGKILL, and gives the lines that were still told.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.line()).collect()
    }

    /// Waits for the end, and gives the lines that were still told.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let lines = std::iter::from_fn(|| self.line()).collect();
        (self.child.wait().unwrap(), lines)
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something that must come.
pub(crate) async fn within<T>(what: &str, call: impl Future<Output = T>) -> T {
    let limited = tokio::time::timeout(DEADLINE, call).await;
    limited.unwrap_or_else(|_| panic!("{what} takes too long"))
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} takes too long");
        thread::yield_now();
    }
}
