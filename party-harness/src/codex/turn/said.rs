//! What the server says and asks in a turn, and what the host tells it.

use super::{Command, Done, STEERS, Serving, asks::Form, begin::input, stop::Stopping};
use crate::{
    Answer as Decision, Error, ErrorKind, RawJson, Result, Steered, ToolCall, TurnEvent,
    codex::{
        codec::{Asked, Frame, PATCH, Question, SHELL, Verdict},
        link::{Answer, Trouble},
        token::message_id,
    },
    jsonl::view::Json,
};
use futures::FutureExt as _;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{sync::oneshot, time::Instant};

impl Serving {
    /// Reads a message; gives the turn's end.
    pub(super) fn said(&mut self, text: &str) -> Option<Verdict> {
        let frame = Frame::read(text)?;
        let method = frame.method()?;
        if let Some(id) = frame.id {
            self.asked(Asked::read(method, id, &frame));
            return None;
        }
        if method == "serverRequest/resolved" {
            self.settled(frame.params.request_id);
            return None;
        }
        if frame.params.turn_name()? != self.at.turn {
            return None;
        }
        self.announce();
        self.send_early();
        let mut events = std::mem::take(&mut self.read);
        let verdict = self.run.read(&frame, text, &mut events);
        for mut event in events.drain(..) {
            if let TurnEvent::Spent { usage, cost } = &mut event {
                *cost = self.bill.count(*usage);
            }
            let event = self.named(event);
            self.push(event);
        }
        self.read = events;
        verdict
    }

    /// Tools by the host's names, and denials with their reasons.
    fn named(&self, event: TurnEvent) -> TurnEvent {
        match event {
            TurnEvent::ToolUse { id, name, input } => {
                let name = self.order.shape.host_name(&name).map_or(name.clone(), str::to_owned);
                TurnEvent::ToolUse { id, name, input }
            }
            TurnEvent::ToolResult { id, text, is_error } => {
                let why = self.questions.why(&id).filter(|_| is_error);
                let text = why.map_or(text, |why| format!("not allowed: {why}").into());
                TurnEvent::ToolResult { id, text, is_error }
            }
            event => event,
        }
    }

    fn settled(&mut self, id: Option<Json<'_>>) {
        let Some(id) = id.map(RawJson::from) else { return };
        self.calls.forget(&id);
        if let Some(request) = self.questions.settle(&id) {
            self.push(TurnEvent::PermissionWithdrawn { request });
        }
    }

    fn asked(&mut self, asked: Asked) {
        let Asked { id, turn, what, .. } = asked;
        let is_own = turn.is_none_or(|turn| *turn == *self.at.turn);
        let answer = match what {
            _ if !is_own || self.stopping.is_some() => Some(Answer::Error("the turn is over")),
            Question::Call { id: call, tool, arguments, .. } => self.call(&id, call, &tool, &arguments),
            Question::Command { item, input } => self.leave(&id, SHELL, item, input, Form::Approval),
            Question::Files { item, input } => self.leave(&id, PATCH, item, input, Form::Approval),
            Question::Elicitation { server, tool: Some(tool), input } => {
                let name = format!("mcp__{server}__{tool}");
                self.leave(&id, &name, name.clone(), input, Form::Elicitation)
            }
            Question::Elicitation { .. } => Some(Form::Elicitation.deny()),
            Question::Input => Some(Answer::Error("nobody is there to be asked")),
            Question::Other { method } => {
                tracing::warn!(method, "codex asks something that is not known");
                Some(Answer::Unsupported)
            }
        };
        if let Some(answer) = answer {
            self.at.link.answer(&id, &answer);
        }
    }

    /// A call of the host's tools; the answer where it is known at once.
    fn call(&mut self, id: &RawJson, call: String, tool: &str, arguments: &RawJson) -> Option<Answer> {
        let refused = |why: &str| {
            let content = json!([{"type": "inputText", "text": why}]);
            Some(Answer::Result(json!({"contentItems": content, "success": false})))
        };
        let Some(name) = self.order.shape.host_name(tool) else {
            return refused("this turn does not have the tool");
        };
        let Ok(arguments) = arguments.parse::<Value>() else {
            return refused("the arguments cannot be read; use simpler ones");
        };
        let call = ToolCall { key: self.order.request.key, id: call, name: name.to_owned(), arguments };
        let port = Arc::clone(&self.order.inner.tools);
        if self.calls.begin(&port, &self.at.link, id.clone(), call) {
            None
        } else {
            refused("too many calls")
        }
    }

    /// Leave to use a tool of the runtime's own; the answer where the host is not asked.
    fn leave(
        &mut self,
        id: &RawJson,
        tool: &str,
        item: String,
        input: RawJson,
        form: Form,
    ) -> Option<Answer> {
        if self.questions.is_open(id) {
            return None;
        }
        let is_listed = self.order.shape.lists(tool);
        if !is_listed || !self.order.request.ask {
            return Some(if is_listed { form.allow() } else { form.deny() });
        }
        let due = Instant::now() + self.order.inner.hub.setup.limits.answer;
        match self.questions.file(id.clone(), form, item, due) {
            Some(request) => {
                self.push(TurnEvent::PermissionAsked { request, tool: tool.to_owned(), input });
                None
            }
            None => Some(form.deny()),
        }
    }

    pub(super) fn told(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Steer(text, reply)) => self.steer(text, reply),
            Some(Command::Answer(request, decision)) => {
                if self.questions.decide(&self.at.link, &request, &decision)
                    && let Decision::Deny { why } = decision
                {
                    self.explain(request, &why);
                }
            }
            None => self.commanded = false,
        }
    }

    /// Tells the model why before it learns that it may not: both come with its next call.
    pub(super) fn explain(&mut self, request: crate::RequestId, why: &str) {
        let asked = self.steering(&format!("You may not do this: {why}"));
        let done = asked.map(|_| Done::Explained(request)).boxed();
        self.work.push(done);
    }

    fn steer(&mut self, text: String, reply: oneshot::Sender<Result<Steered>>) {
        if self.stopping.is_some() {
            let _ = reply.send(Ok(Steered::TooLate));
        } else if self.early.len() + self.work.len() >= STEERS {
            let _ = reply.send(Err(Error::new(ErrorKind::Busy, "too many messages wait for the agent")));
        } else if self.announced {
            let done = self.steering(&text).map(|result| Done::Steered(result, reply)).boxed();
            self.work.push(done);
        } else {
            self.early.push((text, reply));
        }
    }

    fn send_early(&mut self) {
        for (text, reply) in std::mem::take(&mut self.early) {
            self.steer(text, reply);
        }
    }

    fn steering(&mut self, text: &str) -> impl Future<Output = Result<RawJson, Trouble>> + use<> {
        self.steers += 1;
        let id = message_id(&self.order.inner.spec, self.order.request.key);
        let params = json!({"threadId": self.at.thread, "expectedTurnId": self.at.turn, "input": input(text),
            "clientUserMessageId": format!("{id}-further-{}", self.steers)});
        let link = Arc::clone(&self.at.link);
        async move { link.request("turn/steer", params).await }
    }

    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Interrupted(result) => {
                if let Some(stopping) = &mut self.stopping {
                    stopping.answered(result.is_ok());
                }
            }
            Done::Steered(result, reply) => {
                let _ = reply.send(match result {
                    Ok(_) => Ok(Steered::Taken),
                    // It is over, or of a kind that takes nothing.
                    Err(Trouble::Refused { code: -32600, .. }) => Ok(Steered::TooLate),
                    Err(trouble) => Err(trouble.into()),
                });
            }
            Done::Explained(request) => self.questions.deny(&self.at.link, &request),
        }
    }

    /// Stops the turn; `why` where that is the turn's failure.
    pub(super) fn stop(&mut self, why: Option<(String, crate::core::Failure)>) {
        if self.stopping.is_none() {
            self.stopping = Some(Stopping::new(self.order.inner.hub.setup.limits.stop, why));
            self.interrupt();
        }
    }

    pub(super) fn interrupt(&mut self) {
        let params = json!({"threadId": self.at.thread, "turnId": self.at.turn});
        let link = Arc::clone(&self.at.link);
        let asked = async move { Done::Interrupted(link.request("turn/interrupt", params).await) };
        self.work.push(asked.boxed());
    }
}
