//! From lines to runs.

use super::{
    Decoded, Decoder, RUNS,
    frame::{Answer, Event, Frame, filled},
    run::{Run, Step},
    verdict::Verdict,
};
use crate::{
    RawJson, TurnEvent,
    claude_code::codec::{
        frame::Frame as Line,
        view::{Fields, Json, raw},
    },
};
use serde_json::json;

/// How much of a line that is no JSON is shown.
const SHOWN: usize = 4096;

/// Events of a gateway that belong to no run and are known.
const KNOWN: [&str; 22] = [
    "agent",
    "chat",
    "chat.metadata.changed",
    "config.changed",
    "connect.challenge",
    "device.pair.resolved",
    "exec.approval.requested",
    "exec.approval.resolved",
    "health",
    "node.invoke.request",
    "node.pair.requested",
    "node.pair.resolved",
    "presence",
    "session.message",
    "session.tool",
    "sessions.changed",
    "shutdown",
    "task",
    "tick",
    "update.available",
    "voicewake.changed",
    "voicewake.routing.changed",
];

impl Decoder {
    pub(super) fn line(&mut self, line: Line<'_>) {
        let bytes = match line {
            Line::Line(bytes) => bytes,
            Line::TooLong(length) => return self.other(json!({ "lineTooLong": length }).into()),
        };
        let text = std::str::from_utf8(&bytes).ok();
        match text.and_then(|text| Some((text, Fields::read(text)?))) {
            Some((text, fields)) => self.object(&fields, text),
            None => match text.filter(|text| Json::read(text).is_some()) {
                Some(text) => self.other(raw(text)),
                None if bytes.iter().all(u8::is_ascii_whitespace) => {}
                None => {
                    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned();
                    self.other(json!({ "noJson": shown }).into());
                }
            },
        }
    }

    fn object(&mut self, fields: &Fields<'_>, text: &str) {
        match fields.get("dir").and_then(Json::string).as_deref() {
            None if fields.get("note").is_some() && fields.get("type").is_none() => {}
            None => self.frame(fields, text),
            Some("recv") => {
                if let Some(frame) = fields.get("frame") {
                    self.frame(&frame.fields(), frame.get());
                }
            }
            Some("send") => self.sent(fields),
            Some(_) => {}
        }
    }

    /// A request that was sent names the run of its answers.
    fn sent(&mut self, fields: &Fields<'_>) {
        let Some(frame) = filled(fields, "frame").map(Json::fields) else { return };
        let string = |name| frame.get(name).and_then(Json::string);
        if string("method").as_deref() != Some("agent") {
            return;
        }
        let key = filled(&frame, "params").and_then(|params| params.field("idempotencyKey"));
        if let (Some(id), Some(run)) = (string("id"), key.and_then(Json::string)) {
            self.request(id, run);
        }
    }

    fn frame(&mut self, fields: &Fields<'_>, text: &str) {
        match Frame::of(fields) {
            Frame::Answer(answer) => self.answer(&answer),
            Frame::Event(event) => self.event(&event, text),
            Frame::Strange => self.other(raw(text)),
        }
    }

    fn event(&mut self, event: &Event<'_>, text: &str) {
        let Some(run) = event.run() else {
            if !KNOWN.contains(&event.name.as_str()) {
                self.other(raw(text));
            }
            return;
        };
        let events = self.run(&run).event(event);
        self.out.extend(events.into_iter().map(|event| Decoded::Event { run: run.clone(), event }));
    }

    /// Only answers to method `agent` are about a run's life: those of other methods only tell of it.
    fn answer(&mut self, answer: &Answer<'_>) {
        let (named, status) = (answer.text("runId"), answer.text("status"));
        let begins = matches!(status.as_deref(), Some("accepted"));
        let ends = answer.payload.is_some_and(|payload| payload.field("summary").is_some());
        let known = self.requests.get(&answer.id).cloned();
        let Some(run) = known.or_else(|| named.filter(|_| begins || ends)) else { return };
        if begins {
            self.request(answer.id.clone(), run.clone());
        }
        match self.run(&run).answer(answer) {
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
