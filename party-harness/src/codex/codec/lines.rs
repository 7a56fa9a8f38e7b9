//! From lines to turns.

use super::{
    Asked, Decoded, Decoder, RUNS,
    frame::{Frame, Line, is_delta, plain},
    run::Run,
};
use crate::{
    RawJson,
    jsonl::{
        frame::{Frame as Cut, Said},
        seen::Kind,
        view::{Json, own, raw},
    },
};
use std::sync::Arc;

/// Whether a method belongs to no turn and is known.
fn is_known(method: &str) -> bool {
    matches!(
        method,
        "account/rateLimits/updated"
            | "account/updated"
            | "mcpServer/startupStatus/updated"
            | "remoteControl/status/changed"
            | "skills/changed"
            | "thread/archived"
            | "thread/closed"
            | "thread/goal/cleared"
            | "thread/goal/updated"
            | "thread/name/updated"
            | "thread/queue/changed"
            | "thread/readState/changed"
            | "thread/settings/updated"
            | "thread/started"
            | "thread/status/changed"
            | "thread/unarchived"
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
        match line.dir.and_then(plain) {
            None => self.frame(&line.into_frame(), text),
            Some("s2c") => self.frame(&line.msg.unwrap_or_default(), text),
            Some(_) => {}
        }
    }

    /// JSON that is no message; what a recording holds beside what was received is nothing.
    fn strange(&mut self, text: &str) {
        let dir = Json::read(text).and_then(|json| json.field("dir")).and_then(plain);
        if dir.is_none_or(|dir| dir == "s2c") {
            self.other(own(text, "msg"));
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, text: &str) {
        match (frame.method(), frame.id) {
            (Some(method), None) if is_delta(method) || is_known(method) => {}
            (Some(method), Some(id)) => self.asked(Asked::read(method, id, frame)),
            (Some(method), None) => self.told(method, frame, text),
            (None, Some(id)) => self.answered(id, frame),
            (None, None) => self.other(own(text, "msg")),
        }
    }

    /// A question that is asked again has the same id, and is about the same.
    fn asked(&mut self, asked: Asked) {
        if self.seen.insert(Kind::Asked, (asked.id.get(), &asked.thread, &asked.turn)) {
            self.out.push(Decoded::Asked(Box::new(asked)));
        }
    }

    fn answered(&mut self, id: Json<'_>, frame: &Frame<'_>) {
        let Some(error) = frame.error.map(Json::fields) else { return };
        let code = error.get("code").and_then(Json::i64).unwrap_or_default();
        let message = error.get("message").and_then(Json::string).unwrap_or_default();
        if self.seen.insert(Kind::Answered, (id.get(), &message)) {
            self.out.push(Decoded::Refused { id: raw(id.get()), code, message });
        }
    }

    fn told(&mut self, method: &str, frame: &Frame<'_>, text: &str) {
        let params = &frame.params;
        match (params.turn_name(), params.thread_id.and_then(plain)) {
            (Some(turn), Some(thread)) => self.of_turn(thread, turn, frame, text),
            _ if method == "serverRequest/resolved" => self.settled(params.request_id),
            _ => self.other(own(text, "msg")),
        }
    }

    fn settled(&mut self, id: Option<Json<'_>>) {
        let Some(id) = id else { return };
        if self.seen.insert(Kind::Withdrawn, id.get()) {
            self.out.push(Decoded::Settled { id: raw(id.get()) });
        }
    }

    fn of_turn(&mut self, thread: &str, turn: &str, frame: &Frame<'_>, text: &str) {
        let run = match self.runs.get_mut(turn) {
            Some(run) => run,
            None => {
                // Of too many, the oldest is forgotten: their names are in order.
                if self.runs.len() >= RUNS {
                    self.runs.pop_first();
                }
                let name: Arc<str> = turn.into();
                self.out.push(Decoded::Began { thread: thread.into(), turn: Arc::clone(&name) });
                let run = Box::new(Run::of(Arc::clone(&name), &self.namespace));
                self.runs.entry(name).or_insert(run)
            }
        };
        let verdict = run.read(frame, text, &mut self.events);
        let name = &run.name;
        self.out.extend(self.events.drain(..).map(|event| Decoded::Event { turn: Arc::clone(name), event }));
        if let Some(verdict) = verdict {
            self.out.push(Decoded::Ended { turn: Arc::clone(name), verdict: Box::new(verdict) });
        }
    }

    fn other(&mut self, json: RawJson) {
        self.out.push(Decoded::Other(json));
    }
}
