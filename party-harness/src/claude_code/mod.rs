//! Claude Code: the `claude` binary, one process per turn or one for many.
//!
//! ```text
//! TurnRequest ── launch ──> arguments, files, stdin ── process ──> stdout ── codec ──> TurnEvents
//!                  (a value)                          (tree, ladder)         (pure)
//! ```
//!
//! By itself a turn is one process, or a few where the runtime refuses to resume. It reads its message
//! from stdin, writes lines of JSON, and is read to its end: the answer is the last result, and only
//! the exit ends the turn. [`ClaudeCode::persistent`] keeps the process for the next turn, and talks
//! with it while a turn runs: tools without a port, questions, further messages. What the binary really
//! does, and why each flag is there, stands beside the flags in `launch.rs`.
//!
//! Tested with versions 2.1.329 and 2.1.197, which are launched and told the same; only what a turn costs
//! is worked out by the version. A tool of its own that a turn names and a version lacks is not offered.

mod attempt;
pub mod codec;
mod files;
mod identity;
mod inner;
mod launch;
mod persistent;
mod run;
mod session;
mod tools;

use crate::process::{self, Patience};
use crate::{
    Capabilities, Close, CostSource, Environment, Error, ErrorKind, Harness, HarnessInfo, Permissions, Probe,
    Result, RuntimeSession, RuntimeSpec, ToolDoor, ToolPort,
};
use async_trait::async_trait;
use inner::{Inner, Setup, blocking};
use session::ClaudeSession;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::process::Command;

/// How long `claude --version` may take; a cold start reads a few hundred megabytes.
const PROBE: Duration = Duration::from_secs(30);

/// How long a persistent process may wait for its next turn: seats that sleep cost nothing, and a new
/// process costs half a second.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// How to get the binary.
const INSTALL: &str = "install Claude Code with `npm install -g @anthropic-ai/claude-code`, or name its binary \
                       with `--claude-bin PATH`";

/// The `claude` binary as a harness.
#[derive(Debug)]
pub struct ClaudeCode {
    info: HarnessInfo,
    env: Option<Environment>,
    setup: Setup,
    open: Mutex<Vec<Weak<Inner>>>,
}

impl ClaudeCode {
    /// A harness that runs `program`: a path, or a name that is looked up in `PATH`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        let is_name = program.components().count() == 1;
        let capabilities = Capabilities {
            resume: true,
            tools: ToolDoor::McpHttp,
            own_tools: true,
            cost: CostSource::Enforced,
            ..Capabilities::TEXT_ONLY
        };
        let setup = Setup {
            // Turns run in other folders, from where a relative path would lead elsewhere.
            program: if is_name { program } else { std::path::absolute(&program).unwrap_or(program) },
            patience: Patience::default(),
            line_limit: 64 << 20,
            idle: None,
        };
        let info = HarnessInfo::new("claude", capabilities);
        Self { info, env: None, setup, open: Mutex::default() }
    }

    /// The same harness with one process for many turns of a session: turns begin at once, the host's
    /// tools need no port, the CLI asks before it uses its own, and a running turn takes further
    /// messages. A turn with other tools gets a process of its own, in the same session.
    ///
    /// A turn's limit is not kept: the CLI counts what it may spend over all turns of a process.
    #[must_use]
    pub const fn persistent(mut self) -> Self {
        self.setup.idle = Some(IDLE);
        let capabilities = &mut self.info.capabilities;
        capabilities.tools = ToolDoor::InProcess;
        capabilities.permissions = Permissions::Lost;
        capabilities.steer = true;
        capabilities.cost = CostSource::Reported;
        self
    }

    /// How long a [persistent](Self::persistent) process may wait for its next turn before it is ended;
    /// 5 minutes. The turn after resumes the session in a process of its own.
    #[must_use]
    pub const fn idle_patience(mut self, patience: Duration) -> Self {
        if self.setup.idle.is_some() {
            self.setup.idle = Some(patience);
        }
        self
    }

    /// The whole environment of a probe, by itself `PATH` and `HOME` of this process; turns bring their
    /// own.
    #[must_use]
    pub fn env(mut self, env: impl Into<Environment>) -> Self {
        self.env = Some(env.into());
        self
    }

    /// How long a process may take from SIGINT to SIGTERM, and from there to SIGKILL; 5 s each.
    #[must_use]
    pub const fn stop_patience(mut self, each: Duration) -> Self {
        self.setup.patience.rung = each;
        self
    }

    /// How long a process may take from its answer to its exit; 10 s.
    #[must_use]
    pub const fn exit_patience(mut self, patience: Duration) -> Self {
        self.setup.patience.exit = patience;
        self
    }

    /// How long a line of output may be; 64 MiB. A longer one is dropped.
    #[must_use]
    pub const fn line_limit(mut self, bytes: usize) -> Self {
        self.setup.line_limit = bytes;
        self
    }

    fn sessions(&self) -> Vec<Arc<Inner>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|inner| inner.strong_count() > 0);
        open.iter().filter_map(Weak::upgrade).collect()
    }
}

#[async_trait]
impl Harness for ClaudeCode {
    fn info(&self) -> &HarnessInfo {
        &self.info
    }

    async fn probe(&self) -> Result<Probe> {
        let mut command = Command::new(&self.setup.program);
        let env = process::probe_env(self.env.as_ref());
        command.arg("--version").env_clear().envs(&env).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PROBE, command.output()).await;
        let output = output.map_err(|_| not_claude(&self.setup.program, "it does not answer"))?;
        let output = output.map_err(|error| process::refused(&self.setup.program, INSTALL, error))?;
        let said = String::from_utf8_lossy(&output.stdout);
        match said.trim().split_once(' ') {
            Some((version, "(Claude Code)")) if output.status.success() => Ok(Probe::new(version)),
            _ => Err(not_claude(&self.setup.program, "its version is no version of Claude Code")),
        }
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        let setup = self.setup.clone();
        let inner = Arc::new(blocking(move || Inner::open(setup, spec, tools)).await?);
        self.sessions();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&inner));
        Ok(Arc::new(ClaudeSession::new(inner, self.info.capabilities)))
    }

    async fn shutdown(&self) -> Result<()> {
        futures::future::join_all(self.sessions().iter().map(|inner| inner.life.end(Close::Orderly))).await;
        Ok(())
    }
}

fn not_claude(program: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Launch, format!("`{}` is not Claude Code: {why}", program.display()))
}
