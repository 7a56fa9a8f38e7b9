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

use party_harness::{
    Answer, Capabilities, Close, CostSource, Error, ErrorKind, Harness, HarnessInfo, Health, Probe, Recovery,
    RequestId, Result, ResumeToken, RuntimeSession, RuntimeSpec, RuntimeState, Steered, ToolCall, ToolDoor,
    ToolPort, ToolReply, Turn, TurnControl, TurnEnd, TurnEvent, TurnKey, TurnRequest, async_trait,
    core::{Cost, Failure, Outcome, Sent, Usage, Usd, as_one_prompt},
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
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
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

impl Lines {
    /// `command` is a path, and arguments that come before the others.
    pub(crate) fn new(command: Vec<String>) -> Self {
        let capabilities = Capabilities {
            resume: true,
            tools: ToolDoor::InProcess,
            recover: true,
            cost: CostSource::Enforced,
            ..Capabilities::TEXT_ONLY
        };
        let info = HarnessInfo { name: "lines".to_owned(), capabilities };
        Self { info, command, open: Mutex::default() }
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
        Path::new(program).is_file().then(|| Probe { version: "1".to_owned() }).ok_or_else(missing)
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
struct Session {
    command: Vec<String>,
    spec: RuntimeSpec,
    tools: Arc<dyn ToolPort>,
    memory: PathBuf,
    token: ResumeToken,
    resumed: bool,
    state: Mutex<State>,
    stop: CancellationToken,
    /// The turns that run: at most one.
    turns: TaskTracker,
}

#[derive(Debug)]
struct State {
    remembers: bool,
    busy: bool,
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn end(&self) {
        self.stop.cancel();
        self.turns.close();
        self.turns.wait().await;
    }

    /// What a later process of the host must know: which turn was last, and how it ended.
    fn note(&self, key: TurnKey, end: Option<&TurnEnd>) -> Result<()> {
        let text = json!({ "key": key, "end": end }).to_string();
        fs::write(self.spec.folder.join("last.json"), text).map_err(trouble)
    }

    fn remember(&self, told: &str) -> Result<()> {
        let fresh = !std::mem::replace(&mut self.state().remembers, true);
        let mut file =
            File::options().create(true).append(!fresh).write(true).truncate(fresh).open(&self.memory);
        let written = file.as_mut().map(|file| writeln!(file, "{}", json!(told)));
        written.map_err(|error| trouble(std::io::Error::new(error.kind(), "the memory")))?.map_err(trouble)
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

struct Busy(Arc<Session>);

impl Busy {
    fn take(session: &Arc<Session>) -> Result<Self> {
        if std::mem::replace(&mut session.state().busy, true) {
            return Err(Error::new(ErrorKind::Busy, "a turn runs already"));
        }
        Ok(Self(Arc::clone(session)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state().busy = false;
    }
}

#[derive(Debug)]
struct Control(CancellationToken);

#[async_trait]
impl TurnControl for Control {
    async fn steer(&self, _: String) -> Result<Steered> {
        Err(Error::new(ErrorKind::Unsupported, "it takes one message per turn"))
    }

    async fn answer(&self, _: RequestId, _: Answer) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "it asks nothing"))
    }

    async fn interrupt(&self) -> Result<()> {
        self.0.cancel();
        Ok(())
    }
}

/// A turn in its task.
struct Run {
    session: Arc<Session>,
    request: TurnRequest,
    sent: Sent,
    events: mpsc::Sender<TurnEvent>,
    end: TurnEnd,
}

fn blank(sent: Sent) -> TurnEnd {
    TurnEnd {
        outcome: Outcome::Empty,
        text: None,
        usage: Usage::default(),
        cost: Cost::Reported(Usd::ZERO),
        reason: None,
        failure: None,
        sent,
        token: None,
    }
}

impl Run {
    async fn run(mut self, mut child: Child, message: String, stop: CancellationToken, busy: Busy) {
        let group = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
        let events = self.events.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => self.stopped(),
            () = events.closed() => self.stopped(),
            talked = self.talk(&mut child, &message) => if let Err(reason) = talked {
                self.failed(reason);
            },
        }
        // Whatever became of the turn, nothing of it lives on, and no zombie is left.
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.wait().await;
        self.end.token = Some(self.session.token.clone());
        if let Err(error) = self.session.note(self.request.key, Some(&self.end)) {
            self.failed(error.to_string());
        }
        // Whoever reads the end may start the next turn at once.
        drop(busy);
        let _ = self.events.send(TurnEvent::Ended(self.end)).await;
    }

    fn stopped(&mut self) {
        (self.end.outcome, self.end.reason) = (Outcome::Cancelled, Some("interrupted".to_owned()));
        self.end.cost = Cost::Unknown;
    }

    fn failed(&mut self, reason: String) {
        (self.end.outcome, self.end.reason) = (Outcome::Failed, Some(reason));
        self.end.failure.get_or_insert(Failure::Died);
    }

    /// The whole conversation with the program, until it exits.
    async fn talk(&mut self, child: &mut Child, message: &str) -> Result<(), String> {
        let (stdin, stdout) = child.stdin.take().zip(child.stdout.take()).ok_or("it has no pipes")?;
        let (mut stdin, mut lines) = (stdin, BufReader::new(stdout).lines());
        let token = self.session.token.clone();
        self.tell(TurnEvent::Started { token, sent: self.sent }).await;
        let mut answer = format!("{}\n", json!(message));
        loop {
            // A program that does not read says why by its exit.
            let _ = stdin.write_all(answer.as_bytes()).await;
            answer.clear();
            let Some(line) = lines.next_line().await.map_err(|error| error.to_string())? else { break };
            let line: Value = serde_json::from_str(&line).map_err(|error| format!("no json: {error}"))?;
            if let Some(reply) = self.line(&line).await? {
                self.session.remember(&reply).map_err(|error| error.to_string())?;
                answer = format!("{}\n", json!(reply));
            }
        }
        let exit = child.wait().await.map_err(|error| error.to_string())?;
        let complaint =
            || fs::read_to_string(self.session.spec.folder.join("stderr.txt")).unwrap_or_default();
        if exit.success() { Ok(()) } else { Err(format!("it ended with {exit}: {}", complaint().trim())) }
    }

    /// Handles a line, and gives what the program is told for it.
    async fn line(&mut self, line: &Value) -> Result<Option<String>, String> {
        if let Some(text) = line["think"].as_str() {
            self.tell(TurnEvent::Thinking { text: text.into() }).await;
        } else if let Some(text) = line["say"].as_str() {
            self.tell(TurnEvent::Text { text: text.into() }).await;
            (self.end.outcome, self.end.text) = (Outcome::Completed, Some(text.into()));
        } else if let Some(micros) = line["cost"].as_u64() {
            self.end.cost = Cost::Reported(Usd::from_micros(micros));
            if self.request.limit.is_some_and(|limit| micros > limit.as_micros()) {
                self.end.failure = Some(Failure::OverBudget);
                return Err("it spent more than it may".to_owned());
            }
        } else if line["call"].is_object() {
            return Ok(Some(self.call(&line["call"]).await));
        } else {
            self.tell(TurnEvent::Raw { event: line.clone().into() }).await;
        }
        Ok(None)
    }

    async fn call(&mut self, call: &Value) -> String {
        let text = |field: &str| call[field].as_str().unwrap_or_default().to_owned();
        let (id, name, arguments) = (text("id"), text("tool"), call["arguments"].clone());
        let input = arguments.clone().into();
        self.tell(TurnEvent::ToolUse { id: id.clone(), name: name.clone(), input }).await;
        let is_offered = self.request.tools.iter().any(|tool| tool.name == name);
        let reply = if is_offered {
            let call = ToolCall { key: self.request.key, id: id.clone(), name, arguments };
            self.session.tools.call(call).await
        } else {
            ToolReply::error(format!("there is no tool `{name}`"))
        };
        let result = TurnEvent::ToolResult { id, text: reply.text.as_str().into(), is_error: reply.is_error };
        self.tell(result).await;
        reply.text
    }

    async fn tell(&self, event: TurnEvent) {
        // Where nobody listens any more, the turn is being ended.
        let _ = self.events.send(event).await;
    }
}
