//! A gateway of one's own: started with a configuration that is written for it, and ended with all that
//! it started.

use super::OpenClaw;
use crate::{
    Environment, Error, ErrorKind, Harness as _, Result,
    process::{Pipes, Running, Start, code_and_signal, drain, ladder, lock},
    socket::{Address, Target},
};
use futures::FutureExt as _;
use serde_json::{Value, json};
use std::{
    fmt, fs,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncReadExt as _,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep},
};

/// How to get it.
const INSTALL: &str =
    "install Node.js 24.16 or newer, and OpenClaw with `npm install --ignore-scripts openclaw`";

/// The gateway's own program within its package.
const ENTRY: &str = "node_modules/openclaw/openclaw.mjs";

/// How often another port is tried, where somebody took the free one.
const PORTS: u32 = 3;

/// How long the gateway may take from one signal to the next; it would wait five minutes for its agents.
const RUNG: Duration = Duration::from_secs(3);

/// How long the end of the gateway before it in the same folder is waited for.
const LEAVING: Duration = Duration::from_secs(20);

/// The variable by which all that a gateway started is known, whoever started that gateway.
const MARKER: &str = "PARTY_GATEWAY";

/// Variables that keep it from leaving its folder or this machine.
const ENV: [(&str, &str); 5] = [
    ("LANG", "C.UTF-8"),
    ("OPENCLAW_NO_RESPAWN", "1"),
    ("OPENCLAW_DISABLE_BONJOUR", "1"),
    ("OPENCLAW_SKIP_CHANNELS", "1"),
    ("OPENCLAW_EXEC_SHELL_SNAPSHOT", "0"),
];

/// What a gateway is started with.
#[derive(Clone)]
pub struct GatewaySetup {
    node: PathBuf,
    entry: PathBuf,
    folder: PathBuf,
    config: Value,
    env: Environment,
    port: Option<u16>,
    token: Option<String>,
    patience: Duration,
}

/// Neither tokens nor the keys in a configuration are shown.
impl fmt::Debug for GatewaySetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewaySetup")
            .field("entry", &self.entry)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl GatewaySetup {
    /// A gateway that `node` runs: `openclaw` is the folder whose `node_modules` hold it, or its program
    /// `openclaw.mjs`. All that it writes goes to `folder`, which is made for its owner only where it is
    /// missing; a later gateway with the same folder knows the same sessions. One gateway at a time has a
    /// folder: what is left of one whose host was killed is ended before the next one starts.
    pub fn new(node: impl Into<PathBuf>, openclaw: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        let openclaw: PathBuf = openclaw.into();
        let entry = if openclaw.extension().is_some_and(|name| name == "mjs") {
            openclaw
        } else {
            openclaw.join(ENTRY)
        };
        Self {
            node: node.into(),
            entry,
            folder: folder.into(),
            config: json!({}),
            env: Environment::default(),
            port: None,
            token: None,
            patience: Duration::from_secs(180),
        }
    }

    /// What stands in its configuration beside what is written by itself, such as models and their
    /// providers: objects are merged, all else is replaced.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Its environment, such as the keys of providers; nothing else of the host's reaches it.
    #[must_use]
    pub fn env(mut self, env: impl Into<Environment>) -> Self {
        self.env = env.into();
        self
    }

    /// Where it listens on 127.0.0.1; a free port otherwise.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// What opens it; a random one otherwise, and another one at each start.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// How long it may take until it answers; 3 minutes. It reads some hundred megabytes.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it, and comes back when it answers. Safe to cancel: what was started is ended.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] where Node.js or OpenClaw is not there; [`ErrorKind::Busy`] where another
    /// gateway has the folder; [`ErrorKind::Launch`] with what it
    /// said where it ends instead, or never answers.
    pub fn start(self) -> impl Future<Output = Result<Gateway>> + Send {
        // Boxed here, it is compiled here, and not anew in each host's own crate.
        self.begin().boxed()
    }

    async fn begin(self) -> Result<Gateway> {
        if !self.entry.is_file() {
            let what = format!("`{}` was not found: {INSTALL}", self.entry.display());
            return Err(Error::new(ErrorKind::Missing, what));
        }
        let mut tried = 1;
        loop {
            match self.attempt().await {
                Err(error)
                    if tried < PORTS && self.port.is_none() && error.to_string().contains("EADDRINUSE") =>
                {
                    tried += 1;
                }
                result => return result,
            }
        }
    }

    async fn attempt(&self) -> Result<Gateway> {
        let folder = std::path::absolute(&self.folder).map_err(|error| unwritten(&self.folder, error))?;
        let port = self.port.map_or_else(free_port, Ok)?;
        let token = self.token.clone().map_or_else(secret, Ok)?;
        let marker = (MARKER.to_owned(), folder.to_string_lossy().into_owned());
        let guard = take(&folder, &marker).await?;
        write(&folder, &self.configuration(&folder, port, &token))
            .map_err(|error| unwritten(&folder, error))?;
        let mut env = self.environment(&folder);
        env.insert(marker.0.clone(), marker.1.clone());
        let args = [self.entry.to_string_lossy().into_owned(), "gateway".to_owned(), "run".to_owned()];
        let start = Start {
            name: "openclaw",
            install: INSTALL,
            program: &self.node,
            args: &args,
            env: &env,
            cwd: &folder,
            marker: &marker,
        };
        // At SIGTERM it would wait for its agents, which nobody hears.
        let (running, pipes) = Running::start_with_host(&start, Some(guard)).await?;
        let (said, at) = (Said::listen(pipes), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut gateway =
            Gateway { running: Some(running), said, at, url: format!("ws://{at}"), token, folder };
        gateway.ready(self.patience).await?;
        Ok(gateway)
    }

    fn configuration(&self, folder: &Path, port: u16, token: &str) -> Value {
        let mut config = json!({
            "gateway": {"mode": "local", "port": port, "bind": "loopback",
                "auth": {"mode": "token", "token": token}, "controlUi": {"enabled": false}},
            "agents": {"defaults": {"workspace": folder.join("workspace"), "heartbeat": {"every": "0m"},
                "skipBootstrap": true}},
            // Without these it asks its makers for news, and offers tools behind a search.
            "models": {"catalogRefresh": {"enabled": false}},
            "update": {"checkOnStart": false},
            "telemetry": {"enabled": false},
            "tools": {"toolSearch": false},
        });
        merge(&mut config, &self.config);
        config
    }

    fn environment(&self, folder: &Path) -> Environment {
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let bin = self.node.parent().filter(|bin| bin.is_absolute());
        let bin = bin.map(|bin| format!("{}:", bin.display())).unwrap_or_default();
        let mut env = self.env.clone();
        env.entry("PATH".to_owned()).or_insert(format!("{bin}/usr/local/bin:/usr/bin:/bin"));
        env.extend(ENV.map(|(name, value)| (name.to_owned(), value.to_owned())));
        env.insert("HOME".to_owned(), path("home"));
        env.insert("TMPDIR".to_owned(), path("tmp"));
        env.insert("OPENCLAW_STATE_DIR".to_owned(), path("state"));
        env.insert("OPENCLAW_CONFIG_PATH".to_owned(), path("state/openclaw.json"));
        env
    }
}

/// A gateway that runs. Dropped, it is killed with all that it started.
pub struct Gateway {
    running: Option<Running>,
    said: Said,
    at: SocketAddr,
    url: String,
    token: String,
    folder: PathBuf,
}

/// The token is left out.
impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("url", &self.url)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// A harness for it, with the keys in its folder by which it knows this host since it was started.
    pub fn harness(&self) -> OpenClaw {
        let target = Target::new(Address::tcp(self.at));
        OpenClaw::to(target, self.token.clone()).keys(self.folder.join("keys"))
    }

    /// Where it listens: `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What opens it.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Ends it, with all that it started, and comes back when nothing of it runs. Runs that go on are
    /// cut off.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where something of it cannot be ended.
    pub async fn stop(mut self) -> Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let exit = ladder(&mut running, RUNG).await;
        // Agents may have started what outlives it.
        running.finish(&exit, true, true, async { true }).await;
        exit.map(drop)
            .map_err(|error| Error::new(ErrorKind::Io, "the gateway could not be ended").with_source(error))
    }

    /// Waits until it takes requests.
    async fn ready(&mut self, patience: Duration) -> Result<()> {
        let harness = self.harness().connect_patience(patience);
        let Some(running) = &mut self.running else { return Ok(()) };
        let exit = tokio::select! {
            exit = running.wait() => exit,
            probed = harness.probe() => {
                harness.shutdown().await?;
                return probed.map(drop).map_err(|error| self.said.about(&error.to_string()).with_source(error));
            }
        };
        self.said.end().await;
        let why = match code_and_signal(&exit) {
            (Some(78), _) => "it refuses its configuration".to_owned(),
            (Some(code), _) => format!("it ended with exit code {code}"),
            (None, Some(signal)) => format!("it was ended by signal {signal}"),
            (None, None) => "it ended".to_owned(),
        };
        Err(self.said.about(&why))
    }
}

/// What a gateway said, as far as it is kept: its end.
struct Said {
    tail: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
}

impl Said {
    fn listen(pipes: Pipes) -> Self {
        let Pipes { stdin, mut stdout, stderr } = pipes;
        drop(stdin);
        let tail = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&tail);
        let listening = tokio::spawn(async move {
            let mut ignored = vec![0; 8 * 1024];
            let out = async { while let Ok(1..) = stdout.read(&mut ignored).await {} };
            tokio::join!(out, drain(stderr, &kept));
        });
        Self { tail, listening }
    }

    /// Waits a moment for the last words of a process that is gone; others may hold its end.
    async fn end(&mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(2), &mut self.listening).await;
    }

    fn about(&self, why: &str) -> Error {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&tail);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(3)..].join("; ");
        let last = if last.is_empty() { "nothing".to_owned() } else { last };
        Error::new(ErrorKind::Launch, format!("the openclaw gateway did not start: {why}; it said: {last}"))
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn merge(config: &mut Value, other: &Value) {
    match (config, other) {
        (Value::Object(config), Value::Object(other)) => {
            for (name, value) in other {
                merge(config.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (config, other) => *config = other.clone(),
    }
}

/// The folders, and the configuration, which holds the token.
fn write(folder: &Path, config: &Value) -> io::Result<()> {
    for name in ["", "home", "tmp", "state", "workspace"] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join(name))?;
    }
    let path = folder.join("state/openclaw.json");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(config.to_string().as_bytes())
}

/// Takes the folder, once what had it is gone.
async fn take(folder: &Path, marker: &(String, String)) -> Result<lock::Guard> {
    let end = Instant::now() + LEAVING;
    loop {
        let (path, marker) = (folder.join("party.lock"), marker.clone());
        let taking = spawn_blocking(move || lock::take(path, "the folder of openclaw", &marker));
        match taking.await.map_err(|error| unwritten(folder, error.into()))? {
            Err(error) if error.kind() == ErrorKind::Busy && Instant::now() < end => {
                sleep(Duration::from_millis(50)).await;
            }
            taken => return taken,
        }
    }
}

fn free_port() -> Result<u16> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let failed = |error| Error::new(ErrorKind::Io, "no port of 127.0.0.1 is free").with_source(error);
    bound.map(|at| at.port()).map_err(|error: io::Error| failed(error))
}

fn secret() -> Result<String> {
    use std::fmt::Write as _;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Io, "the system gives no random numbers").with_source(error)
    })?;
    Ok(bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

fn unwritten(folder: &Path, error: io::Error) -> Error {
    let what = format!("the gateway's folder {} cannot be written: {error}", folder.display());
    Error::new(ErrorKind::Io, what).with_source(error)
}
