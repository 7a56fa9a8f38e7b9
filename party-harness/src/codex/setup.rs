//! How an app-server is reached, and what all its threads have in common.

use crate::{Environment, prices::Prices, process::Patience, socket::Target};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

/// Where the server comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// It is started from this program.
    Own(PathBuf),
    /// It runs already.
    Attached(Box<Target>),
}

/// What Codex may do to the machine in a turn that has its shell or its editor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sandbox {
    /// Read files.
    ReadOnly,
    /// Write in the seat's working folder too.
    WorkspaceWrite,
    /// Whatever the host's user may, as other runtimes do.
    #[default]
    Full,
}

impl Sandbox {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::WorkspaceWrite => "workspace-write",
            Self::Full => "danger-full-access",
        }
    }
}

/// How long each wait may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the start of a server until it listens.
    pub(super) start: Duration,
    /// For the answer to a request.
    pub(super) request: Duration,
    /// Without a sign of life of a turn.
    pub(super) idle: Duration,
    /// For the answer to a question of the runtime.
    pub(super) answer: Duration,
    /// Without a connection, in the middle of a turn.
    pub(super) reconnect: Duration,
    /// For each step of an end.
    pub(super) stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(30),
            request: Duration::from_secs(30),
            idle: Duration::from_secs(10 * 60),
            answer: Duration::from_secs(5 * 60),
            reconnect: Duration::from_secs(30),
            stop: Patience::default().rung,
        }
    }
}

/// What all threads of a harness have in common.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) source: Source,
    /// The server's whole environment; that of the first seat where absent.
    pub(super) env: Option<Environment>,
    /// The server's own folder.
    pub(super) home: Option<PathBuf>,
    pub(super) model: Option<String>,
    pub(super) prices: Arc<Prices>,
    pub(super) sandbox: Sandbox,
    /// Settings of each thread, by dotted names.
    pub(super) config: Map<String, Value>,
    /// MCP servers that a turn may be given, by name.
    pub(super) servers: BTreeMap<String, Value>,
    pub(super) frame_limit: usize,
    pub(super) limits: Limits,
}

/// Settings are shown by their names: they may hold secrets.
impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("source", &self.source)
            .field("env", &self.env)
            .field("home", &self.home)
            .field("model", &self.model)
            .field("sandbox", &self.sandbox)
            .field("config", &self.config.keys().collect::<Vec<_>>())
            .field("servers", &self.servers.keys().collect::<Vec<_>>())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Setup {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            env: None,
            home: None,
            model: None,
            prices: Arc::new(Prices::shipped()),
            sandbox: Sandbox::default(),
            config: Map::new(),
            servers: BTreeMap::new(),
            frame_limit: 64 << 20,
            limits: Limits::default(),
        }
    }
}
