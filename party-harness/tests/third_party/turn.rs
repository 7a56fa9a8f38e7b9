//! A turn of the runtime: its process, what the two say to each other, and one end.

use crate::lines::Session;
use party_harness::{
    Answer, Error, ErrorKind, RequestId, Result, Steered, ToolCall, ToolReply, TurnControl, TurnEnd,
    TurnEvent, TurnRequest, async_trait,
    core::{Cost, Failure, Outcome, Sent, Usage, Usd},
};
use serde_json::{Value, json};
use std::{fs, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Child,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// The right to run the session's one turn.
pub(crate) struct Busy(Arc<Session>);

impl Busy {
    pub(crate) fn take(session: &Arc<Session>) -> Result<Self> {
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
pub(crate) struct Control(pub(crate) CancellationToken);

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
pub(crate) struct Run {
    pub(crate) session: Arc<Session>,
    pub(crate) request: TurnRequest,
    pub(crate) sent: Sent,
    pub(crate) events: mpsc::Sender<TurnEvent>,
    pub(crate) end: TurnEnd,
}

/// The end of a turn in which nothing happened.
pub(crate) fn blank(sent: Sent) -> TurnEnd {
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
    pub(crate) async fn run(
        mut self,
        mut child: Child,
        message: String,
        stop: CancellationToken,
        busy: Busy,
    ) {
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
