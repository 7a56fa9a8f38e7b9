//! Codex: one `codex app-server` that runs agents, each in a thread of its own, over its WebSocket.
//!
//! ```text
//! Codex ── Hub ── one server, one connection ──┬── seat: Inner ── turn: Serving ── codec ──> TurnEvents
//!          (starts, attaches, reconnects)      └── seat …              │
//!                                                    host's tools <────┘  (dynamic tools, no port)
//! ```
//!
//! A harness starts its server when the first seat needs it, in a folder and with a token of its own,
//! or [attaches](Codex::attach) to one that runs. Everything of Codex's own is off unless a turn lists
//! it: `shell`, `apply_patch`, `web_search`, `view_image`, and `mcp__NAME` or `mcp__NAME__TOOL` for the
//! servers of [`mcp_server`](Codex::mcp_server). Threads keep their tools, so that a turn with others
//! runs in another thread, and is told the whole view.
//!
//! What an app-server really does, and what it does not, stands beside the code that minds it. Tested
//! with version 0.169.0.

mod bill;
pub mod codec;
mod home;
mod hub;
mod inbox;
mod inner;
mod link;
mod recover;
mod server;
mod session;
mod setup;
mod shape;
mod token;
mod turn;
mod wire;

pub use setup::Sandbox;

use crate::{
    Capabilities, Close, CostSource, Environment, Error, ErrorKind, Harness, HarnessInfo, Permissions,
    Pricing, Probe, Result, RuntimeSession, RuntimeSpec, ToolDoor, ToolPort,
    prices::Prices,
    process::{probe_env, refused},
    socket::{Address, Bearer, Target},
};
use async_trait::async_trait;
use hub::Hub;
use inner::Inner;
use serde_json::Value;
use session::CodexSession;
use setup::{Setup, Source};
use std::{
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};
use tokio::process::Command;

/// How to get the binary.
const INSTALL: &str =
    "install Codex with `npm install -g @openai/codex`, or name its binary with `--codex-bin PATH`";

/// How long `codex --version` may take.
const PROBE: Duration = Duration::from_secs(30);

/// An app-server of Codex as a harness.
///
/// The server is shared by all sessions, and lives until [`shutdown`](Harness::shutdown), or until the
/// harness and its sessions are dropped.
#[derive(Debug)]
pub struct Codex {
    info: HarnessInfo,
    setup: Setup,
    hub: OnceLock<Arc<Hub>>,
    open: Mutex<Vec<Weak<Inner>>>,
}

impl Codex {
    /// A harness that starts a server of its own with `program`: a path, or a name that is looked up in
    /// `PATH`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        let is_name = program.components().count() == 1;
        // The server runs in a folder of its own, from where a relative path would lead elsewhere.
        let program = if is_name { program } else { std::path::absolute(&program).unwrap_or(program) };
        Self::with(Source::Own(program), Permissions::Lost)
    }

    /// A harness on a server that runs already: `ws://127.0.0.1:PORT`, or `unix:///PATH`, and the token
    /// that it was given. The server is not ended with the harness, and its turns outlive a host.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no such address, or one of another machine.
    pub fn attach(url: &str, token: Option<&str>) -> Result<Self> {
        let mut target = Target::new(Address::parse(url)?);
        target.bearer = token.map(Bearer::new);
        Ok(Self::with(Source::Attached(Box::new(target)), Permissions::Reissued))
    }

    fn with(source: Source, permissions: Permissions) -> Self {
        let capabilities = Capabilities {
            resume: true,
            tools: ToolDoor::InProcess,
            own_tools: true,
            permissions,
            steer: true,
            recover: true,
            cost: CostSource::Estimated,
            ..Capabilities::TEXT_ONLY
        };
        let info = HarnessInfo::new("codex", capabilities);
        Self { info, setup: Setup::new(source), hub: OnceLock::new(), open: Mutex::default() }.priced()
    }

    /// The server's whole environment, with the key of its model's provider; that of the first seat
    /// otherwise, and `PATH` and `HOME` of this process for a probe. No agent sees it: a seat's commands have the seat's own, without what is called a
    /// key, token, secret or password.
    #[must_use]
    pub fn env(mut self, env: impl Into<Environment>) -> Self {
        self.setup.env = Some(env.into());
        self
    }

    /// The server's own folder, its `CODEX_HOME`, which it keeps threads in. By itself it is one below
    /// `XDG_STATE_HOME`, or `.local/state` of `HOME`, of the server's environment; one that holds a
    /// login may be named. A server that runs has it alone.
    #[must_use]
    pub fn home(mut self, folder: impl Into<PathBuf>) -> Self {
        self.setup.home = Some(folder.into());
        self
    }

    /// The model of seats that name none.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.setup.model = Some(model.into());
        self.priced()
    }

    /// What models cost, in the place of [`Prices::shipped`]. What a turn costs is worked out of them and
    /// of the tokens that the server counts; it is unknown for a turn that broke off, and where the seat
    /// and the harness name no model.
    #[must_use]
    pub fn prices(mut self, prices: Prices) -> Self {
        self.setup.prices = Arc::new(prices);
        self.priced()
    }

    /// A setting of all threads, as in Codex's `config.toml`; dots in the name lead into tables. It goes
    /// before what the adapter sets.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.setup.config.insert(name.into(), value.into());
        self
    }

    /// An MCP server of the host, as in the table `mcp_servers` of Codex's `config.toml`. Turns have it
    /// that list `mcp__NAME` among their own tools, or single tools of it.
    #[must_use]
    pub fn mcp_server(mut self, name: impl Into<String>, config: impl Into<Value>) -> Self {
        self.setup.servers.insert(name.into(), config.into());
        self
    }

    /// What Codex may do to the machine in turns that list its shell or its editor; everything by
    /// itself. In other turns it only reads.
    #[must_use]
    pub const fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.setup.sandbox = sandbox;
        self
    }

    /// How long a server may take from its start until it listens; 30 s.
    #[must_use]
    pub const fn start_patience(mut self, patience: Duration) -> Self {
        self.setup.limits.start = patience;
        self
    }

    /// How long a server may take to answer a request; 30 s.
    #[must_use]
    pub const fn request_patience(mut self, patience: Duration) -> Self {
        self.setup.limits.request = patience;
        self
    }

    /// How long a turn may give no sign of life, while none of the host's tools is at work for it and no
    /// question waits; 10 minutes. It is stopped then, and has failed.
    #[must_use]
    pub const fn idle_patience(mut self, patience: Duration) -> Self {
        self.setup.limits.idle = patience;
        self
    }

    /// How long a question may wait for the host; 5 minutes. It is answered by no then.
    #[must_use]
    pub const fn answer_patience(mut self, patience: Duration) -> Self {
        self.setup.limits.answer = patience;
        self
    }

    /// How long a running turn may be without a connection; 30 s. It has failed then.
    #[must_use]
    pub const fn reconnect_patience(mut self, patience: Duration) -> Self {
        self.setup.limits.reconnect = patience;
        self
    }

    /// How long each step of an end may take; 5 s.
    #[must_use]
    pub const fn stop_patience(mut self, each: Duration) -> Self {
        self.setup.limits.stop = each;
        self
    }

    /// How large a message of the server may be; 64 MiB. A larger one ends the connection, and the turns
    /// that run on it.
    #[must_use]
    pub fn frame_limit(mut self, bytes: usize) -> Self {
        self.setup.frame_limit = bytes;
        if let Source::Attached(target) = &mut self.setup.source {
            target.limit = bytes;
        }
        self
    }

    fn hub(&self) -> &Arc<Hub> {
        self.hub.get_or_init(|| Arc::new(Hub::new(self.setup.clone())))
    }

    fn sessions(&self) -> Vec<Arc<Inner>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|inner| inner.strong_count() > 0);
        open.iter().filter_map(Weak::upgrade).collect()
    }

    /// Tells hosts by what costs are worked out.
    fn priced(mut self) -> Self {
        let (prices, model) = (Arc::clone(&self.setup.prices), self.setup.model.clone());
        self.info.pricing = Some(Pricing { prices, model });
        self
    }
}

#[async_trait]
impl Harness for Codex {
    fn info(&self) -> &HarnessInfo {
        &self.info
    }

    async fn probe(&self) -> Result<Probe> {
        let program = match &self.setup.source {
            Source::Own(program) => program,
            Source::Attached(_) => {
                self.hub().link(&Environment::default()).await?;
                return Ok(Probe::new(self.hub().version().unwrap_or_default()));
            }
        };
        let not_codex =
            |why: &str| Error::new(ErrorKind::Launch, format!("`{}` is not Codex: {why}", program.display()));
        let mut command = Command::new(program);
        let env = probe_env(self.setup.env.as_ref());
        command.arg("--version").env_clear().envs(&env).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PROBE, command.output()).await;
        let output = output.map_err(|_| not_codex("it does not answer"))?;
        let output = output.map_err(|error| refused(program, INSTALL, error))?;
        let said = String::from_utf8_lossy(&output.stdout);
        match said.trim().split_once(' ') {
            Some(("codex-cli", version)) if output.status.success() => Ok(Probe::new(version)),
            _ => Err(not_codex("its version is no version of Codex")),
        }
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        let hub = Arc::clone(self.hub());
        let inner = Arc::new(server::blocking(move || Inner::open(hub, spec, tools)).await?);
        self.sessions();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&inner));
        Ok(Arc::new(CodexSession { inner, capabilities: self.info.capabilities }))
    }

    async fn shutdown(&self) -> Result<()> {
        futures::future::join_all(self.sessions().iter().map(|inner| inner.end(Close::Orderly))).await;
        if let Some(hub) = self.hub.get() {
            hub.close().await;
        }
        Ok(())
    }
}
