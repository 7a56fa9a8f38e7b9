//! From lines to runs.

use super::{
    Decoded, Decoder, RUNS,
    frame::{Answer, Event, Frame, Head, Line},
    run::{Run, Step},
    verdict::Verdict,
};
use crate::{
    RawJson, TurnEvent,
    jsonl::{
        frame::{Frame as Cut, Said},
        view::{Json, own},
    },
};
use std::borrow::Cow;

/// Whether an event belongs to no run and is known.
fn is_known(name: &str) -> bool {
    matches!(
        name,
        "agent"
            | "chat"
            | "chat.metadata.changed"
            | "config.changed"
            | "connect.challenge"
            | "device.pair.resolved"
            | "exec.approval.requested"
            | "exec.approval.resolved"
            | "health"
            | "node.invoke.request"
            | "node.pair.requested"
            | "node.pair.resolved"
            | "presence"
            | "session.message"
            | "session.tool"
            | "sessions.changed"
            | "shutdown"
            | "task"
            | "tick"
            | "update.available"
            | "voicewake.changed"
            | "voicewake.routing.changed"
    )
}

impl Decoder {
    pub(super) fn line(&mut self, line: Cut<'_>) {
        match line.read() {
            Said::Object(line, text) => self.object(line, text),
            Said::Strange(text) => self.strange(text),
            Said::Unreadable(shown) => self.other(shown),
            Said::Nothing => {}
        }
    }

    fn object(&mut self, line: Line<'_>, text: &str) {
        match line.dir.and_then(Json::cow).as_deref() {
            None if line.note.is_some() && line.kind.is_none() => {}
            None => self.frame(line.into_head(), text),
            Some("recv") => {
                if let Some(head) = line.frame {
                    self.frame(head, text);
                }
            }
            Some("send") => self.sent(line.frame.unwrap_or_default()),
            Some(_) => {}
        }
    }

    /// JSON that is no frame; what a recording holds beside what was received is nothing.
    fn strange(&mut self, text: &str) {
        let dir = Json::read(text).and_then(|json| json.field("dir")).and_then(Json::cow);
        if dir.is_none_or(|dir| dir == "recv") {
            self.other(own(text, "frame"));
        }
    }

    /// A request that was sent names the run of its answers.
    fn sent(&mut self, head: Head<'_>) {
        if head.method.and_then(Json::cow).as_deref() != Some("agent") {
            return;
        }
        let key = head.params.and_then(|params| params.field("idempotencyKey"));
        if let (Some(id), Some(run)) = (head.id.and_then(Json::string), key.and_then(Json::string)) {
            self.request(id, run);
        }
    }

    fn frame(&mut self, head: Head<'_>, text: &str) {
        match head.into_frame() {
            Frame::Answer(answer) => self.answer(&answer),
            Frame::Event(event) => self.event(&event, text),
            Frame::Strange => self.other(own(text, "frame")),
        }
    }

    fn event(&mut self, event: &Event<'_>, text: &str) {
        let Some(run) = event.run() else {
            if !is_known(&event.name) {
                self.other(own(text, "frame"));
            }
            return;
        };
        let events = self.run(&run).event(event);
        self.out
            .extend(events.into_iter().map(|event| Decoded::Event { run: run.clone().into_owned(), event }));
    }

    /// Only answers to method `agent` are about a run's life: those of other methods only tell of it.
    fn answer(&mut self, answer: &Answer<'_>) {
        let payload = answer.fields();
        let text = |name| payload.get(name).and_then(Json::cow);
        let begins = text("status").as_deref() == Some("accepted");
        let ends = payload.get("summary").is_some();
        let known = self.requests.get(&*answer.id).cloned();
        let named = || text("runId").filter(|_| begins || ends).map(Cow::into_owned);
        let Some(run) = known.or_else(named) else { return };
        if begins {
            self.request(answer.id.clone().into_owned(), run.clone());
        }
        match self.run(&run).answer(answer, &payload) {
            Step::Accepted(session) => self.out.push(Decoded::Accepted { run, session }),
            Step::Over(verdict) => self.ended(run, *verdict),
            Step::InFlight | Step::Nothing => {}
        }
    }

    pub(super) fn ended(&mut self, run: String, verdict: Verdict) {
        let (usage, cost) = (verdict.usage, verdict.cost);
        if usage != party_core::Usage::default() {
            self.out.push(Decoded::Event { run: run.clone(), event: TurnEvent::Spent { usage, cost } });
        }
        self.out.push(Decoded::Ended { run, verdict: Box::new(verdict) });
    }

    /// A run by its name. Of too many, one is forgotten.
    fn run(&mut self, name: &str) -> &mut Run {
        if self.runs.len() >= RUNS && !self.runs.contains_key(name) {
            self.runs.pop_first();
        }
        let prefix = &self.prefix;
        self.runs.entry(name.to_owned()).or_insert_with(|| Run::new(prefix))
    }

    fn request(&mut self, id: String, run: String) {
        if self.requests.len() >= RUNS {
            self.requests.pop_first();
        }
        self.requests.insert(id, run);
    }

    fn other(&mut self, json: RawJson) {
        self.out.push(Decoded::Other(json));
    }
}
