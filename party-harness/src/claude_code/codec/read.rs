//! What a line is, and what follows from it.

use super::{
    Decoder,
    head::Head,
    message::Message,
    outcome::Outcome,
    seen::Kind,
    view::{Json, raw},
};
use crate::TurnEvent;
use serde_json::json;
use std::borrow::Cow;

/// So much is kept of a line that is no JSON.
const KEPT: usize = 256;

/// What was read of a line, where the line itself is not needed any more.
#[derive(Debug)]
pub(super) enum Read {
    Handled,
    /// And the line's id.
    Message(Message, Option<String>),
    Result(Box<Outcome>),
}

impl Decoder {
    pub(super) fn line(&mut self, line: Cow<'_, [u8]>) {
        if line.trim_ascii().is_empty() {
            return;
        }
        self.has_output = true;
        let read = match std::str::from_utf8(&line) {
            Ok(text) if may_be_whole(text) => self.read(text),
            _ => self.no_json(&line),
        };
        // A large line goes before its texts are copied to where they stay.
        drop(line);
        match read {
            Read::Handled => {}
            Read::Message(message, line) => self.message(message, line.as_deref()),
            Read::Result(outcome) => self.result(*outcome),
        }
    }

    pub(super) fn too_long(&mut self, bytes: usize) {
        let event = json!({"type": "party/lineTooLong", "bytes": bytes});
        self.event(TurnEvent::Raw { event: event.into() });
    }

    fn no_json(&mut self, line: &[u8]) -> Read {
        let text = String::from_utf8_lossy(&line[..line.len().min(KEPT)]);
        let event = json!({"type": "party/noJson", "bytes": line.len(), "text": text});
        self.event(TurnEvent::Raw { event: event.into() });
        Read::Handled
    }

    /// Hands a line on as it came.
    pub(super) fn keep(&mut self, line: &str) -> Read {
        self.event(TurnEvent::Raw { event: raw(line) });
        Read::Handled
    }

    /// Reads a line; one that is not what it says that it is is kept as it came.
    fn read(&mut self, line: &str) -> Read {
        let Some(head) = Head::read(line) else {
            return match Json::read(line) {
                Some(json) => self.keep(json.get()),
                None => self.no_json(line.as_bytes()),
            };
        };
        if let Some(id) = &head.uuid
            && !self.lines.insert(Kind::Line, (&head.kind, &head.subtype, id))
        {
            return Read::Handled;
        }
        self.typed(&head).unwrap_or_else(|| self.keep(head.line))
    }

    /// `None` where the line is kept as it came.
    fn typed(&mut self, head: &Head<'_>) -> Option<Read> {
        match (head.kind.as_deref()?, head.subtype.as_deref()) {
            ("assistant", _) if head.by_sub_agent => self.by_sub_agent(head),
            ("assistant", _) => self.by_model(head),
            ("user", _) if !head.by_sub_agent && !head.is_echo => {
                Some(Read::Message(Message::of_tools(&head.message())?, None))
            }
            ("result", _) => self.outcome(head),
            ("system", Some("init")) => Some(self.init(head)),
            ("system", Some("api_retry")) => Some(self.retry(head)),
            ("system", Some(subtype)) => {
                self.tasks.read(subtype, head);
                None
            }
            ("rate_limit_event", _) => self.rate_limit(head),
            ("conversation_reset", _) => Some(self.reset(head)),
            ("control_request", _) => self.asked(head),
            ("control_response", _) => self.answered(head),
            ("control_cancel_request", _) => self.withdrawn(head),
            _ => None,
        }
    }

    fn retry(&mut self, head: &Head<'_>) -> Read {
        let number = |name| head.field(name).and_then(Json::u64);
        let error = head.string("error");
        let why = error.as_deref().unwrap_or("error");
        let status = number("error_status").map(|status| format!(" ({status})")).unwrap_or_default();
        let [attempt, most] = ["attempt", "max_retries"].map(|name| number(name).unwrap_or(0));
        self.event(TurnEvent::Waiting { reason: format!("{why}{status}, retry {attempt} of {most}") });
        Read::Handled
    }

    fn rate_limit(&mut self, head: &Head<'_>) -> Option<Read> {
        let info = head.field("rate_limit_info")?;
        let rejected = info.field("status")?.string()? == "rejected";
        let resets_at = info.field("resetsAt").and_then(Json::i64);
        self.event(TurnEvent::RateLimit { rejected, resets_at });
        Some(Read::Handled)
    }
}

/// What begins as an object and does not end as one need not be searched for its error.
fn may_be_whole(line: &str) -> bool {
    !line.starts_with('{') || line.trim_ascii_end().ends_with('}')
}
