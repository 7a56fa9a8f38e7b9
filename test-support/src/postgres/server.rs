//! The processes of PostgreSQL.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::user::User;

/// How long the server may take to be ready, and how often it is looked at.
const READY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_millis(5));

/// Small, and without a trace of a killed server outside of its folder. `fsync` is on, as it is by itself.
const SETTINGS: [&str; 4] = [
    "listen_addresses=127.0.0.1",
    "max_connections=200",
    "shared_buffers=64MB",
    "dynamic_shared_memory_type=mmap",
];

/// Where ports are looked for: below those that the system gives to clients. A client that tries one of
/// those while no server listens may be connected with itself, and then has the port.
const PORTS: std::ops::Range<u16> = 16_000..32_000;

/// A server that was started.
#[derive(Debug)]
pub(super) struct Server(Child);

impl Server {
    pub(super) fn start(binaries: &Path, user: &User, folder: &Path, port: u16) -> io::Result<Self> {
        let log = File::create(folder.join("log"))?;
        let mut command = user.command(binaries.join("postgres"));
        command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).args(["-p", &port.to_string()]);
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.current_dir(folder).process_group(0).spawn().map(Self)
    }

    /// Waits until the server says so in the file that names it.
    pub(super) fn wait_until_ready(&mut self, folder: &Path) -> io::Result<()> {
        let (patience, pause) = READY;
        let end = Instant::now() + patience;
        loop {
            if is_ready(self.0.id(), folder) {
                return Ok(());
            }
            if let Some(status) = self.0.try_wait()? {
                return Err(failed(&status.to_string(), folder));
            }
            if Instant::now() >= end {
                return Err(failed(&format!("not ready within {patience:?}"), folder));
            }
            thread::sleep(pause);
        }
    }
}

impl Drop for Server {
    /// Takes note of its end, which is here if it was not before.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes the data folder.
pub(super) fn initdb(binaries: &Path, user: &User, folder: &Path) -> io::Result<()> {
    let mut command = user.command(binaries.join("initdb"));
    command.arg("-D").arg(folder.join("data")).args(["--username=party", "--auth=trust", "--no-sync"]);
    command.args(["--encoding=UTF8", "--locale=C", "--no-instructions"]);
    output(command.current_dir(folder).process_group(0)).map(drop)
}

/// Ends the server, which closes all connections first, and waits for it.
pub(super) fn stop_fast(binaries: &Path, user: &User, folder: &Path) -> io::Result<()> {
    let mut command = user.command(binaries.join("pg_ctl"));
    command.args(["stop", "--mode=fast", "--wait", "--timeout=60", "-D"]).arg(folder.join("data"));
    output(command.current_dir(folder)).map(drop)
}

/// A port on which nobody listens, and most likely nobody will.
pub(super) fn free_port() -> io::Result<u16> {
    let count = u64::from(PORTS.end - PORTS.start);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        // A hasher's keys are random.
        let offset = RandomState::new().build_hasher().finish() % count;
        let port = PORTS.start + u16::try_from(offset).unwrap_or(0);
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Runs a command, and returns what it said.
pub(super) fn output(command: &mut Command) -> io::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let result = command.stdin(Stdio::null()).output();
    let output = result.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(io::Error::other(format!("{name}: {}: {}", output.status, last_lines(&said))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first line of the file is the server's process, the eighth its state.
fn is_ready(process: u32, folder: &Path) -> bool {
    let text = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    lines.next() == Some(process.to_string().as_str()) && lines.nth(6).map(str::trim) == Some("ready")
}

fn failed(what: &str, folder: &Path) -> io::Error {
    let said = last_lines(&fs::read(folder.join("log")).unwrap_or_default());
    let taken = said.contains("Address already in use");
    let kind = if taken { io::ErrorKind::AddrInUse } else { io::ErrorKind::Other };
    io::Error::new(kind, format!("postgres: {what}: {said}"))
}

/// In one line.
fn last_lines(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines[lines.len().saturating_sub(8)..].join("; ")
}
