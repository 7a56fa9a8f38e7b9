//! A harness for a runtime of one's own, written as any host would: with public items only.
//!
//! The runtime is a program, started once per turn as `COMMAND… MEMORY SYSTEM MODEL TOOLS`. It reads its
//! message from stdin as a line of JSON, a string. It writes lines of JSON, each with one field:
//!
//! ```text
//! {"think": TEXT}   {"say": TEXT}   {"cost": MICRODOLLARS}
//! {"call": {"id": ID, "tool": NAME, "arguments": {…}}}      the reply comes on stdin, a line like the message
//! ```
//!
//! The exit ends the turn: 0 is good, any other code is a failure that stderr explains. All that it was
//! told stands in the file MEMORY, which is the session.

use crate::turn::{Busy, Control, Run, blank};
use party_harness::{
    Capabilities, Close, CostSource, Error, ErrorKind, Harness, HarnessInfo, Health, Probe, Recovery, Result,
    ResumeToken, RuntimeSession, RuntimeSpec, RuntimeState, ToolDoor, ToolPort, Turn, TurnEnd, TurnEvent,
    TurnKey, TurnRequest, async_trait,
    core::{Sent, as_one_prompt},
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The harness: how the program is started, and the sessions that are open.
#[derive(Debug)]
pub(crate) struct Lines {
    info: HarnessInfo,
    command: Vec<String>,
    open: Mutex<Vec<Weak<Session>>>,
}

/// What it can do; all else is refused.
const CAN: Capabilities = Capabilities {
    resume: true,
    tools: ToolDoor::InProcess,
    recover: true,
    cost: CostSource::Enforced,
    ..Capabilities::TEXT_ONLY
};

impl Lines {
    /// `command` is a path, and arguments that come before the others.
    pub(crate) fn new(command: Vec<String>) -> Self {
        Self { info: HarnessInfo::new("lines", CAN), command, open: Mutex::default() }
    }
}

#[async_trait]
impl Harness for Lines {
    fn info(&self) -> &HarnessInfo {
        &self.info
    }

    async fn probe(&self) -> Result<Probe> {
        let program = self.command.first().map(String::as_str).unwrap_or_default();
        let missing = || Error::new(ErrorKind::Missing, format!("there is no program `{program}`"));
        Path::new(program).is_file().then(|| Probe::new("1")).ok_or_else(missing)
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        let memory = spec.folder.join("memory.jsonl");
        let own = ResumeToken(json!({ "memory": memory }));
        let resumed = spec.resume.as_ref() == Some(&own) && memory.is_file();
        let state = State { remembers: resumed, busy: false };
        let session = Arc::new(Session {
            command: self.command.clone(),
            state: Mutex::new(state),
            stop: CancellationToken::new(),
            turns: TaskTracker::new(),
            spec,
            tools,
            memory,
            token: own,
            resumed,
        });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|session| session.strong_count() > 0);
        open.push(Arc::downgrade(&session));
        Ok(Arc::new(Opened(session)))
    }

    async fn shutdown(&self) -> Result<()> {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for session in open.iter().filter_map(Weak::upgrade) {
            session.end().await;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Session {
    command: Vec<String>,
    pub(crate) spec: RuntimeSpec,
    pub(crate) tools: Arc<dyn ToolPort>,
    memory: PathBuf,
    pub(crate) token: ResumeToken,
    resumed: bool,
    state: Mutex<State>,
    stop: CancellationToken,
    /// The turns that run: at most one.
    turns: TaskTracker,
}

#[derive(Debug)]
pub(crate) struct State {
    remembers: bool,
    pub(crate) busy: bool,
}

impl Session {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn end(&self) {
        self.stop.cancel();
        self.turns.close();
        self.turns.wait().await;
    }

    /// What a later process of the host must know: which turn was last, and how it ended.
    pub(crate) fn note(&self, key: TurnKey, end: Option<&TurnEnd>) -> Result<()> {
        let text = json!({ "key": key, "end": end }).to_string();
        fs::write(self.spec.folder.join("last.json"), text).map_err(trouble)
    }

    /// Adds what the runtime is told to its memory, which a fresh session begins anew.
    pub(crate) fn remember(&self, told: &str) -> Result<()> {
        let fresh = !std::mem::replace(&mut self.state().remembers, true);
        let file = File::options().create(true).append(!fresh).write(true).truncate(fresh).open(&self.memory);
        file.and_then(|mut file| writeln!(file, "{}", json!(told))).map_err(trouble)
    }

    fn start(&self, request: &TurnRequest) -> Result<Child> {
        let tools: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
        let (program, before) = self
            .command
            .split_first()
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "the command is empty"))?;
        Command::new(program)
            .args(before)
            .arg(&self.memory)
            .args([
                &self.spec.system_prompt,
                self.spec.model.as_deref().unwrap_or_default(),
                &tools.join(","),
            ])
            // Nothing of the host's reaches it.
            .env_clear()
            .envs(&self.spec.env)
            .current_dir(&self.spec.cwd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A file never blocks a program that complains much.
            .stderr(File::create(self.spec.folder.join("stderr.txt")).map_err(trouble)?)
            // Its children are ended with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                Error::new(ErrorKind::Launch, "the program cannot be started").with_source(error)
            })
    }
}

fn trouble(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "the seat's folder cannot be written").with_source(error)
}

/// The session as its user holds it.
#[derive(Debug)]
struct Opened(Arc<Session>);

#[async_trait]
impl RuntimeSession for Opened {
    fn state(&self) -> RuntimeState {
        let state = self.0.state();
        let health = match state.busy {
            _ if self.0.stop.is_cancelled() => Health::Closed,
            true => Health::Running,
            false => Health::Idle,
        };
        let token = state.remembers.then(|| self.0.token.clone());
        RuntimeState { token, resumed: self.0.resumed, health }
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        let session = &self.0;
        if session.stop.is_cancelled() {
            return Err(Error::new(ErrorKind::Closed, "the session was closed"));
        }
        CAN.allow(&request)?;
        // From here on it is busy, and free again when this is dropped, however that comes about.
        let busy = Busy::take(session)?;
        let sent = if session.state().remembers { Sent::Delta } else { Sent::Full };
        let message = match sent {
            Sent::Full => as_one_prompt(&request.full.load().await?),
            _ => as_one_prompt(&request.delta),
        };
        session.note(request.key, None)?;
        session.remember(&message)?;
        let child = session.start(&request)?;
        let (events, receiver) = mpsc::channel(64);
        let stop = session.stop.child_token();
        let run = Run { session: Arc::clone(session), request, sent, events, end: blank(sent) };
        session.turns.spawn(run.run(child, message, stop.clone(), busy));
        let events = futures::stream::unfold(receiver, async |mut receiver: mpsc::Receiver<TurnEvent>| {
            Some((receiver.recv().await?, receiver))
        });
        Ok(Turn::new(Box::pin(events), Arc::new(Control(stop))))
    }

    async fn recover(&self, turn: TurnKey) -> Result<Recovery> {
        let last = fs::read(self.0.spec.folder.join("last.json")).unwrap_or_default();
        let last: Value = serde_json::from_slice(&last).unwrap_or_default();
        if last["key"] != json!(turn) {
            return Ok(Recovery::NotSeen);
        }
        let end = serde_json::from_value(last["end"].clone());
        Ok(end.map_or(Recovery::Unknown, Recovery::Ended))
    }

    async fn close(&self, _: Close) -> Result<()> {
        self.0.end().await;
        Ok(())
    }
}
