//! Claude Code: the `claude` binary, one process per turn.
//!
//! ```text
//! TurnRequest ── launch ──> arguments, files, stdin ── process ──> stdout ── codec ──> TurnEvents
//!                  (a value)                          (tree, ladder)         (pure)
//! ```
//!
//! A turn is one process, or a few where the runtime refuses to resume. It reads its message from
//! stdin, writes lines of JSON, and is read to its end: the answer is the last result, and only the
//! exit ends the turn. What the binary really does, and why each flag is there, stands beside the
//! flags in `launch.rs`.
//!
//! Tested with versions 2.1.329 and 2.1.197, which are launched and told the same; only what a turn costs
//! is worked out by the version. A tool of its own that a turn names and a version lacks is not offered.
//!
//! A persistent process, with the control protocol, will be a second transport under the same
//! codec.

mod attempt;
mod codec;
mod files;
mod identity;
mod launch;
mod run;
mod session;
mod tools;

pub use codec::{Control, ControlRequest, Decoded, Decoder, Exit, Status, Verdict};

use crate::process::{self, Patience};
use crate::{
    Capabilities, Close, CostSource, Error, ErrorKind, Harness, HarnessInfo, Probe, Result, RuntimeSession,
    RuntimeSpec, ToolDoor, ToolPort,
};
use async_trait::async_trait;
use session::{ClaudeSession, Inner, blocking};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::process::Command;

/// How long `claude --version` may take; a cold start reads a few hundred megabytes.
const PROBE: Duration = Duration::from_secs(30);

/// How to get the binary.
const INSTALL: &str = "install Claude Code with `npm install -g @anthropic-ai/claude-code`, or name its binary \
                       with `--claude-bin PATH`";

/// The `claude` binary as a harness.
#[derive(Debug)]
pub struct ClaudeCode {
    info: HarnessInfo,
    program: PathBuf,
    env: BTreeMap<String, String>,
    patience: Patience,
    line_limit: usize,
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
        Self {
            info: HarnessInfo { name: "claude".to_owned(), capabilities },
            // Turns run in other folders, from where a relative path would lead elsewhere.
            program: if is_name { program } else { std::path::absolute(&program).unwrap_or(program) },
            env: BTreeMap::new(),
            patience: Patience::default(),
            line_limit: 64 << 20,
            open: Mutex::default(),
        }
    }

    /// The whole environment of a probe; turns bring their own.
    #[must_use]
    pub fn env(mut self, env: BTreeMap<String, String>) -> Self {
        self.env = env;
        self
    }

    /// How long a process may take from SIGINT to SIGTERM, and from there to SIGKILL; 5 s each.
    #[must_use]
    pub const fn stop_patience(mut self, each: Duration) -> Self {
        self.patience.rung = each;
        self
    }

    /// How long a process may take from its answer to its exit; 10 s.
    #[must_use]
    pub const fn exit_patience(mut self, patience: Duration) -> Self {
        self.patience.exit = patience;
        self
    }

    /// How long a line of output may be; 64 MiB. A longer one is dropped.
    #[must_use]
    pub const fn line_limit(mut self, bytes: usize) -> Self {
        self.line_limit = bytes;
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
        let mut command = Command::new(&self.program);
        command.arg("--version").env_clear().envs(&self.env).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PROBE, command.output()).await;
        let output = output.map_err(|_| not_claude(&self.program, "it does not answer"))?;
        let output = output.map_err(|error| process::refused(&self.program, INSTALL, error))?;
        let said = String::from_utf8_lossy(&output.stdout);
        match said.trim().split_once(' ') {
            Some((version, "(Claude Code)")) if output.status.success() => {
                Ok(Probe { version: version.to_owned() })
            }
            _ => Err(not_claude(&self.program, "its version is no version of Claude Code")),
        }
    }

    async fn open(&self, spec: RuntimeSpec, _tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        let (program, patience, line_limit) = (self.program.clone(), self.patience, self.line_limit);
        let inner = blocking(move || Inner::open(program, spec, patience, line_limit));
        let inner = Arc::new(inner.await?);
        self.sessions();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&inner));
        Ok(Arc::new(ClaudeSession(inner)))
    }

    async fn shutdown(&self) -> Result<()> {
        futures::future::join_all(self.sessions().iter().map(|inner| inner.end(Close::Orderly))).await;
        Ok(())
    }
}

fn not_claude(program: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Launch, format!("`{}` is not Claude Code: {why}", program.display()))
}
