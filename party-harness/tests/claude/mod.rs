//! What the tests of the Claude Code adapter share: a seat with its folders, and turns read to their end.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]
#![allow(dead_code, reason = "each test program uses a part")]

use futures::StreamExt as _;
use party_core::{ContentBlock, Framing, ModelMessage, Offset, SeatId, SessionId, TurnId};
use party_harness::{
    FullView, Harness as _, Probe, Result, ResumeToken, RuntimeSession, RuntimeSpec, ToolCall, ToolChoice,
    ToolPort, ToolReply, Turn, TurnEnd, TurnEvent, TurnKey, TurnRequest, async_trait,
    claude_code::ClaudeCode,
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

#[derive(Debug)]
struct NoTools;

#[async_trait]
impl ToolPort for NoTools {
    async fn call(&self, _call: ToolCall) -> ToolReply {
        ToolReply::error("no tools")
    }
}

#[derive(Debug)]
struct Whole(String);

#[async_trait]
impl FullView for Whole {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        Ok(vec![message(&self.0)])
    }
}

fn message(text: &str) -> ModelMessage {
    let mut message = Framing::new(text).into_message();
    message.injected = 0;
    message.content = vec![ContentBlock::text(text)];
    message
}

pub(crate) fn turn(offset: u64) -> TurnId {
    TurnId(Offset(offset))
}

/// A seat of a session, with all its folders.
#[derive(Debug)]
pub(crate) struct Bench {
    root: PathBuf,
    seat: &'static str,
    _temporary: Option<tempfile::TempDir>,
    harness: ClaudeCode,
    env: BTreeMap<String, String>,
}

impl Bench {
    pub(crate) fn new(program: PathBuf) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "work", "seat"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let mut bench = Self::with(root.path().to_owned(), program, Duration::from_millis(1500));
        bench._temporary = Some(root);
        bench
    }

    /// A seat whose `claude` is a shell script.
    pub(crate) fn script(lines: &str) -> Self {
        let mut bench = Self::new(PathBuf::from("/nonexistent/claude"));
        let path = bench.root.join("claude");
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let temporary = bench._temporary.take();
        Self { _temporary: temporary, ..Self::at(bench.root) }
    }

    /// The seat of a script whose folders exist.
    pub(crate) fn at(root: PathBuf) -> Self {
        let program = root.join("claude");
        Self::with(root, program, Duration::from_millis(400))
    }

    fn with(root: PathBuf, program: PathBuf, patience: Duration) -> Self {
        let home = root.join("home").to_string_lossy().into_owned();
        let env =
            BTreeMap::from([("HOME".to_owned(), home), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let harness =
            ClaudeCode::new(program).stop_patience(patience).exit_patience(patience).env(env.clone());
        Self { root, seat: "seat", _temporary: None, harness, env }
    }

    pub(crate) fn env(mut self, env: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(env);
        self.harness = self.harness.env(self.env.clone());
        self
    }

    /// How long each step of a process's end may take.
    pub(crate) fn patience(mut self, each: Duration) -> Self {
        self.harness = self.harness.stop_patience(each).exit_patience(each);
        self
    }

    /// One process for many turns.
    pub(crate) fn persistent(mut self) -> Self {
        self.harness = self.harness.persistent();
        self
    }

    /// How long a persistent process may wait for its next turn.
    pub(crate) fn idle(mut self, patience: Duration) -> Self {
        self.harness = self.harness.idle_patience(patience);
        self
    }

    /// Another host of the same session, with a folder of its own for the seat.
    pub(crate) fn elsewhere(&self) -> Self {
        let mut other = Self::at(self.root.clone());
        other.seat = "seat-elsewhere";
        fs::create_dir_all(other.seat()).unwrap();
        other
    }

    /// The locks of runtime sessions that there are.
    pub(crate) fn locks(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.home().join(".claude/party/locks")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(crate) fn seat(&self) -> PathBuf {
        self.root.join(self.seat)
    }

    pub(crate) fn spec(&self, resume: Option<ResumeToken>) -> RuntimeSpec {
        RuntimeSpec {
            session: SessionId::from_bytes([7; 16]),
            seat: SeatId(3),
            agent: "Märy \"the\" Strategist".to_owned(),
            system_prompt: "You are Mary.".to_owned(),
            model: None,
            cwd: self.root.join("work"),
            folder: self.seat(),
            env: self.env.clone().into(),
            resume,
        }
    }

    pub(crate) async fn open(&self, resume: Option<ResumeToken>) -> Arc<dyn RuntimeSession> {
        self.harness.open(self.spec(resume), Arc::new(NoTools)).await.unwrap()
    }

    pub(crate) async fn open_with(
        &self,
        tools: Arc<dyn ToolPort>,
        resume: Option<ResumeToken>,
    ) -> Arc<dyn RuntimeSession> {
        self.harness.open(self.spec(resume), tools).await.unwrap()
    }

    pub(crate) async fn harness_probe(&self) -> Result<Probe> {
        self.harness.probe().await
    }

    pub(crate) fn harness(&self) -> &ClaudeCode {
        &self.harness
    }

    pub(crate) fn key(&self, offset: u64, attempt: u32) -> TurnKey {
        TurnKey { session: SessionId::from_bytes([7; 16]), turn: turn(offset), attempt }
    }

    pub(crate) fn request(&self, offset: u64, attempt: u32, delta: &str, full: &str) -> TurnRequest {
        TurnRequest {
            key: self.key(offset, attempt),
            delta: vec![message(delta)],
            full: Arc::new(Whole(full.to_owned())),
            continuation: None,
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            completion: Default::default(),
            most_steps: None,
            mcp: None,
            own_tools: Vec::new(),
            ask: false,
            limit: None,
            alongside: vec![turn(offset)],
        }
    }

    /// All that the host kept for the seat is lost.
    pub(crate) fn forget(&self) -> &Self {
        fs::remove_dir_all(self.seat()).unwrap();
        fs::create_dir(self.seat()).unwrap();
        self
    }

    /// All that the CLI keeps of its sessions.
    pub(crate) fn transcripts(&self) -> String {
        let projects = fs::read_dir(self.home().join(".claude/projects")).into_iter().flatten().flatten();
        let files = projects.flat_map(|project| fs::read_dir(project.path()).into_iter().flatten().flatten());
        files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
    }

    /// The processes of this seat that live.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let marker = format!("CLAUDE_CODE_TMPDIR={}", self.seat().join("claude-tmp").display());
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes())
        })
        .collect()
    }

    pub(crate) fn alive(&self) -> usize {
        self.pids().len()
    }

    /// Kills the process of the seat, and nothing else.
    pub(crate) fn kill(&self) {
        for pid in self.pids() {
            assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
        }
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < end, "timed out: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(crate) async fn open(bench: &Bench, spec: RuntimeSpec) -> Arc<dyn RuntimeSession> {
    bench.harness.open(spec, Arc::new(NoTools)).await.unwrap()
}

pub(crate) fn no_tools() -> Arc<dyn ToolPort> {
    Arc::new(NoTools)
}

/// All events of a turn: one end, and it is the last.
pub(crate) async fn events_of(turn: Turn) -> Vec<TurnEvent> {
    let read = turn.events.collect::<Vec<_>>();
    let events = tokio::time::timeout(Duration::from_secs(60), read).await.unwrap();
    let ends = events.iter().filter(|event| matches!(event, TurnEvent::Ended(_))).count();
    assert!(ends == 1 && matches!(events.last(), Some(TurnEvent::Ended(_))), "{events:?}");
    events
}

pub(crate) async fn end_of(turn: Turn) -> TurnEnd {
    match events_of(turn).await.pop() {
        Some(TurnEvent::Ended(end)) => end,
        other => panic!("{other:?}"),
    }
}
