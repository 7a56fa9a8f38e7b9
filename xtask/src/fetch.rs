//! Fetches what tests run: runtime binaries from npm into the target folder, the rest from the system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use crate::integrity::integrity;
use crate::openclaw;
use crate::runtimes::{self, Runtime, platform};
use crate::system;
use crate::workspace::output;

const ATTEMPTS: u32 = 3;

/// How old a scratch folder is that nobody fills any more.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The file beside a binary that names the package it came from.
const STAMP: &str = "integrity";

/// A binary that is there, or a folder of them.
#[derive(Debug)]
pub(crate) struct Fetched {
    variable: &'static str,
    binary: PathBuf,
    what: String,
    cached: bool,
}

impl Fetched {
    pub(crate) fn new(variable: &'static str, binary: PathBuf, what: String, cached: bool) -> Self {
        Self { variable, binary, what, cached }
    }

    /// The variable that names the binary to tests.
    pub(crate) fn variable(&self) -> &'static str {
        self.variable
    }

    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    pub(crate) fn summary(&self) -> String {
        let how = if self.cached { "is there" } else { "was fetched" };
        format!("{} {how}: {}", self.what, self.binary.display())
    }
}

/// Makes sure that all runtimes' binaries are in the tools folder, and the system has its programs.
pub(crate) fn fetch_all(tools: &Path) -> Result<Vec<Fetched>, String> {
    std::thread::scope(|scope| {
        let system = scope.spawn(system::provide);
        let openclaw = scope.spawn(|| openclaw::fetch(tools));
        let threads = runtimes::ALL.map(|runtime| scope.spawn(|| fetch(runtime, tools)));
        // Each is waited for before any failure is told.
        let results = threads.map(finish);
        let (openclaw, system) = (finish(openclaw), finish(system));
        let mut fetched = results.into_iter().collect::<Result<Vec<_>, _>>()?;
        fetched.push(openclaw?);
        fetched.extend(system?);
        Ok(fetched)
    })
}

fn finish<T>(thread: ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread.join().map_err(|_| "a download panicked".to_owned()).flatten()
}

fn fetch(runtime: &Runtime, tools: &Path) -> Result<Fetched, String> {
    let platform = platform();
    let pin = runtime.pin(&platform)?;
    let what = format!("{} {}", runtime.name, runtime.version);
    let folder = tools.join(format!("{}-{}", runtime.name, runtime.version));
    let binary = folder.join(runtime.binary(&platform));
    let cached = is_whole(&folder, &binary, pin);
    if !cached {
        let scratch = Scratch::new(tools, &what.replace(' ', "-"))?;
        let package = runtime.package(&platform);
        install(runtime, &package, pin, &scratch.0, &folder).map_err(|error| format!("{what}: {error}"))?;
        if !is_whole(&folder, &binary, pin) {
            return Err(format!("{what}: {package} holds no {}", runtime.binary(&platform)));
        }
    }
    Ok(Fetched::new(runtime.variable, binary, what, cached))
}

pub(crate) fn is_whole(folder: &Path, binary: &Path, pin: &str) -> bool {
    binary.is_file() && fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == pin)
}

fn install(runtime: &Runtime, package: &str, pin: &str, scratch: &Path, folder: &Path) -> Result<(), String> {
    let archive = download(package, pin, scratch)?;
    let unpacked = scratch.join("unpacked");
    fs::create_dir_all(&unpacked).map_err(|error| describe(&unpacked, &error))?;
    let mut tar = Command::new("tar");
    output(tar.arg("-xzf").arg(&archive).arg("-C").arg(&unpacked).arg("--strip-components=1"))?;
    let binary = runtime.binary(&platform());
    check_version(runtime, &unpacked.join(&binary), &scratch.join("home"))?;
    move_in(&unpacked, folder, Path::new(&binary), pin)
}

/// Puts what was unpacked into its place, with a stamp by which it is known to be whole.
pub(crate) fn move_in(unpacked: &Path, folder: &Path, binary: &Path, pin: &str) -> Result<(), String> {
    let stamp = unpacked.join(STAMP);
    fs::write(&stamp, pin).map_err(|error| describe(&stamp, &error))?;
    // Only what is not whole is replaced; a second process may have been quicker.
    if !is_whole(folder, &folder.join(binary), pin) {
        remove(folder)?;
        fs::rename(unpacked, folder).map_err(|error| describe(folder, &error))?;
    }
    Ok(())
}

fn download(package: &str, pin: &str, scratch: &Path) -> Result<PathBuf, String> {
    attempts(package, |attempt| {
        let folder = scratch.join(format!("attempt-{attempt}"));
        pack(package, &folder).and_then(|archive| verified(archive, pin))
    })
}

/// Tries until it works, or cannot.
pub(crate) fn attempts<T>(
    what: &str,
    mut attempt: impl FnMut(u32) -> Result<T, Failed>,
) -> Result<T, String> {
    let mut last = String::new();
    for number in 1..=ATTEMPTS {
        if number > 1 {
            std::thread::sleep(Duration::from_secs(2 * u64::from(number - 1)));
        }
        match attempt(number) {
            Ok(done) => return Ok(done),
            Err(Failed::ForGood(error)) => return Err(error),
            Err(Failed::Maybe(error)) => last = error,
        }
    }
    Err(format!("cannot fetch {what} in {ATTEMPTS} attempts: {last}"))
}

/// Whether another attempt may help.
#[derive(Debug)]
pub(crate) enum Failed {
    Maybe(String),
    ForGood(String),
}

fn pack(package: &str, folder: &Path) -> Result<PathBuf, Failed> {
    fs::create_dir_all(folder).map_err(|error| Failed::ForGood(describe(folder, &error)))?;
    npm(&["pack", package], folder)?;
    archive_in(folder).ok_or_else(|| Failed::Maybe("npm pack wrote no archive".to_owned()))
}

/// Runs npm in a folder.
pub(crate) fn npm(arguments: &[&str], folder: &Path) -> Result<(), Failed> {
    let mut npm = Command::new("npm");
    npm.args(arguments).args(["--loglevel", "error"]).current_dir(folder).stdin(Stdio::null());
    let output = npm.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failed::ForGood("npm was not found; install Node.js, which brings npm, and run again".to_owned())
        }
        _ => Failed::ForGood(format!("npm: {error}")),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(Failed::Maybe(format!("npm {}: {}: {}", arguments[0], output.status, stderr.trim())))
}

fn archive_in(folder: &Path) -> Option<PathBuf> {
    let mut paths = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
}

fn verified(archive: PathBuf, pin: &str) -> Result<PathBuf, Failed> {
    let sum = fs::File::open(&archive).and_then(integrity);
    let sum = sum.map_err(|error| Failed::Maybe(describe(&archive, &error)))?;
    if sum == pin {
        return Ok(archive);
    }
    Err(Failed::Maybe(format!("the archive's checksum is {sum}, but {pin} is pinned")))
}

/// The binary starts here, without any setting of its user, and is the one that was asked for.
fn check_version(runtime: &Runtime, binary: &Path, home: &Path) -> Result<(), String> {
    fs::create_dir_all(home).map_err(|error| describe(home, &error))?;
    let mut command = Command::new(binary);
    command.arg("--version").env_clear().env("HOME", home).env("TMPDIR", home).env("PATH", "/usr/bin:/bin");
    let text = output(command.current_dir(home))?;
    // Each says it in another way: `2.1.329 (…)`, `codex-cli 0.169.0`, `v24.21.0`.
    if text.split_whitespace().any(|word| word.trim_start_matches('v') == runtime.version) {
        return Ok(());
    }
    Err(format!("the binary says that it is {}", text.trim()))
}

pub(crate) fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(describe(folder, &error)),
        _ => Ok(()),
    }
}

pub(crate) fn describe(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// A folder beside the final one, so that a rename is enough; removed in the end.
#[derive(Debug)]
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(tools: &Path, what: &str) -> Result<Self, String> {
        let prefix = format!(".{what}-");
        Self::sweep(tools, &prefix);
        let folder = tools.join(format!("{prefix}{}", std::process::id()));
        remove(&folder)?;
        fs::create_dir_all(&folder).map_err(|error| describe(&folder, &error))?;
        Ok(Self(folder))
    }

    /// A killed run leaves its folder; one that was made an hour ago is in no one's use.
    fn sweep(tools: &Path, prefix: &str) {
        for entry in fs::read_dir(tools).into_iter().flatten().flatten() {
            let ours = entry.file_name().to_string_lossy().starts_with(prefix);
            let made = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            if ours && made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > ABANDONED) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
