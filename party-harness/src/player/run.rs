//! A turn that is being played.

use super::{
    Act, Ending, Part,
    inbox::Inbox,
    session::Memory,
    timeline::{PATIENCE, Place},
};
use crate::{
    Answer, RequestId, Result, ToolCall, ToolPort, ToolReply, TurnEnd, TurnEvent, TurnKey, TurnRequest,
};
use party_core::{ContentBlock, Cost, ModelMessage, Outcome, Sent, Usage};
use serde_json::Value;
use std::{collections::VecDeque, sync::Arc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What a tool of the agent's own answers; it does nothing.
const USED: &str = "(scripted)";

pub(super) struct Run {
    acts: VecDeque<Act>,
    usage: Usage,
    cost: Cost,
    request: TurnRequest,
    sent: Sent,
    /// The timeline stands still while this turn's moment lasts.
    place: Place,
    memory: Arc<Memory>,
    tools: Arc<dyn ToolPort>,
    inbox: Arc<Inbox>,
    stop: CancellationToken,
    /// What the agent answers.
    question: String,
    /// What the last tool answered.
    reply: String,
    pending: VecDeque<TurnEvent>,
    /// The agent was sent something.
    happens: bool,
    ended: bool,
}

impl Run {
    pub(super) fn new(
        part: Part,
        place: Place,
        (memory, tools, inbox, stop): (Arc<Memory>, Arc<dyn ToolPort>, Arc<Inbox>, CancellationToken),
        request: TurnRequest,
    ) -> Self {
        Self {
            acts: part.acts.into(),
            usage: part.usage,
            cost: part.cost,
            question: oldest(&request.delta),
            reply: String::new(),
            sent: Sent::Delta,
            pending: VecDeque::new(),
            happens: false,
            ended: false,
            request,
            place,
            memory,
            tools,
            inbox,
            stop,
        }
    }

    pub(super) const fn key(&self) -> TurnKey {
        self.request.key
    }

    /// Reads what the agent is sent. Where that fails the turn did not happen.
    pub(super) async fn read(&mut self, sent: Sent) -> Result<()> {
        self.sent = sent;
        if sent == Sent::Full {
            let full = self.request.full.load().await?;
            if self.request.delta.is_empty() {
                self.question = oldest(&full);
            }
        }
        self.happens = true;
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Option<TurnEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let act = self.acts.pop_front().unwrap_or(Act::Hang);
            let stop = self.stop.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => self.end(Ending::because(Outcome::Cancelled, "interrupted")),
                () = self.perform(act) => {}
            }
            // What people do, or nobody, has no place in script time.
            if matches!(self.acts.front(), Some(Act::AwaitSteer | Act::Hang)) {
                self.place.leave();
            }
        }
    }

    async fn perform(&mut self, act: Act) {
        match act {
            Act::Wait(ms) => self.place.reach(ms).await,
            Act::Start => self.start(),
            Act::Event(event) => self.pending.push_back(event),
            Act::Say(text) => self.say(&text),
            Act::Call { id, name, mut arguments } => {
                fill(&mut arguments, &|text| self.filled(text));
                self.tell(&id, &name, &arguments);
                self.acts.push_front(Act::Answered { id, name, arguments });
            }
            Act::Answered { id, name, arguments } => {
                let reply = self.answered(id.clone(), name, arguments).await;
                self.result(id, reply);
            }
            Act::Own { id, name, input } => self.own(id, name, input),
            Act::Permitted { id } => {
                let reply = match self.inbox.answer().await {
                    Answer::Allow => ToolReply { text: USED.to_owned(), is_error: false },
                    Answer::Deny { why } => ToolReply::error(why),
                };
                self.result(id, reply);
            }
            Act::AwaitSteer => self.inbox.steer().await,
            Act::Hang => std::future::pending().await,
            Act::End(ending) => self.end(ending),
        }
    }

    fn start(&mut self) {
        self.memory.begin();
        if let Some(token) = self.memory.token() {
            self.pending.push_back(TurnEvent::Started { token, sent: self.sent });
        }
    }

    /// Says the last thing of the turn, which then completes.
    fn say(&mut self, text: &str) {
        let text = self.filled(text);
        self.pending.push_back(TurnEvent::Text { text: text.as_str().into() });
        let outcome = if text.trim().is_empty() { Outcome::Empty } else { Outcome::Completed };
        self.acts.push_front(Act::End(Ending { text: Some(text.into()), ..Ending::of(outcome) }));
    }

    /// Script time stands still for a call, so that what it does has its place; but not for one that
    /// waits for others.
    async fn answered(&self, id: String, name: String, arguments: Value) -> ToolReply {
        if !self.request.tools.iter().any(|tool| tool.name == name) {
            return ToolReply::error(format!("there is no tool `{name}` in this turn"));
        }
        let mut call = self.tools.call(ToolCall { key: self.key(), id, name, arguments });
        match timeout(PATIENCE, &mut call).await {
            Ok(reply) => reply,
            Err(_) => {
                self.place.leave();
                call.await
            }
        }
    }

    fn own(&mut self, id: String, name: String, input: Value) {
        self.tell(&id, &name, &input);
        if !self.request.own_tools.contains(&name) {
            let reply = ToolReply::error(format!("there is no tool `{name}` in this turn"));
            return self.result(id, reply);
        }
        if !self.request.ask {
            return self.result(id, ToolReply { text: USED.to_owned(), is_error: false });
        }
        self.place.leave();
        let request = RequestId(id.clone());
        self.inbox.ask(request.clone());
        self.pending.push_back(TurnEvent::PermissionAsked { request, tool: name, input: input.into() });
        self.acts.push_front(Act::Permitted { id });
    }

    fn tell(&mut self, id: &str, name: &str, input: &Value) {
        let (id, name, input) = (id.to_owned(), name.to_owned(), input.clone().into());
        self.pending.push_back(TurnEvent::ToolUse { id, name, input });
    }

    fn result(&mut self, id: String, reply: ToolReply) {
        self.reply.clone_from(&reply.text);
        let (text, is_error) = (reply.text.into(), reply.is_error);
        self.pending.push_back(TurnEvent::ToolResult { id, text, is_error });
    }

    fn end(&mut self, ending: Ending) {
        self.close();
        self.pending.push_back(TurnEvent::Ended(TurnEnd {
            outcome: ending.outcome,
            text: ending.text.filter(|text| !text.trim().is_empty()),
            usage: self.usage,
            cost: self.cost,
            reason: ending.reason,
            failure: ending.failure,
            sent: self.sent,
            token: self.memory.token(),
        }));
    }

    /// Nothing more happens in this turn.
    fn close(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.place.leave();
            self.inbox.close();
            self.memory.end_turn(self.happens);
        }
    }

    /// The text with its placeholders filled; what is put in is left as it is.
    fn filled(&self, text: &str) -> String {
        let steered = self.inbox.steered();
        let values = [("{question}", &self.question), ("{reply}", &self.reply), ("{steer}", &steered)];
        let (mut rest, mut filled) = (text, String::with_capacity(text.len()));
        while let Some(at) = rest.find('{') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            let found = values.iter().find(|(name, _)| rest.starts_with(name));
            let (name, value) = found.map_or(("{", "{"), |(name, value)| (name, value.as_str()));
            filled.push_str(value);
            rest = &rest[name.len()..];
        }
        filled + rest
    }
}

/// A turn that nobody reads any more is over; the agent has been told what it was told.
impl Drop for Run {
    fn drop(&mut self) {
        self.close();
    }
}

/// Fills the placeholders of all texts in a value.
fn fill(value: &mut Value, filled: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = filled(text),
        Value::Array(values) => values.iter_mut().for_each(|value| fill(value, filled)),
        Value::Object(fields) => fields.values_mut().for_each(|value| fill(value, filled)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The oldest thing that was said to the agent.
fn oldest(messages: &[ModelMessage]) -> String {
    let said = messages.iter().find_map(|message| message.spoken().first());
    said.and_then(ContentBlock::as_text).unwrap_or_default().to_owned()
}
