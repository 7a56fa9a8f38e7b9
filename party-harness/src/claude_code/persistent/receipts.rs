//! How far the CLI is with the messages of a turn. Pure.
//!
//! A message is taken when the CLI says it again in the middle of a run (`--replay-user-messages`):
//! at once in a run of its own, or between two steps of a run that goes on. A result ends a turn only
//! when all of its messages are taken, so that neither a message that was sent late nor a run that
//! the CLI began by itself shifts answers from one turn to the next. A newer CLI also says when it
//! drops a message.

use crate::RawJson;
use serde::Deserialize;
use std::collections::VecDeque;

/// What a line tells of runs and messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// A run began.
    Begun,
    /// The CLI said a message again.
    Said(String),
    /// The CLI is through with a message, one way or the other.
    Settled(String),
    /// The CLI goes on with a message.
    Progress,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    subtype: String,
    #[serde(default, rename = "isReplay")]
    is_replay: bool,
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    command_uuid: String,
    #[serde(default)]
    state: String,
}

impl Note {
    pub(super) fn read(event: &RawJson) -> Option<Self> {
        let line: Line = event.parse().ok()?;
        match (line.r#type.as_str(), line.subtype.as_str(), line.state.as_str()) {
            ("system", "init", _) => Some(Self::Begun),
            ("user", ..) if line.is_replay => Some(Self::Said(line.uuid)),
            ("command_lifecycle", _, "queued" | "started") => Some(Self::Progress),
            ("command_lifecycle", ..) => Some(Self::Settled(line.command_uuid)),
            _ => None,
        }
    }
}

/// The messages of one turn, from the first one that is sent to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receipts {
    first: String,
    /// What was sent and is not taken, oldest first.
    waiting: VecDeque<String>,
    running: bool,
    ran: bool,
    repeated: bool,
}

impl Receipts {
    /// A turn whose first message is sent.
    pub(super) fn new(first: String) -> Self {
        let waiting = VecDeque::from([first.clone()]);
        Self { first, waiting, running: false, ran: false, repeated: false }
    }

    /// A further message is sent.
    pub(super) fn sent(&mut self, id: String) {
        self.waiting.push_back(id);
    }

    pub(super) fn note(&mut self, note: &Note) {
        match note {
            Note::Begun => (self.running, self.ran) = (true, true),
            Note::Said(id) => self.said(id),
            Note::Settled(id) => self.waiting.retain(|waiting| waiting != id),
            Note::Progress => {}
        }
    }

    /// Several messages are merged into one run under the last one's id; the others are only
    /// acknowledged, before the run. An acknowledgement of the first message, without a run, says
    /// that the session had it already.
    fn said(&mut self, id: &str) {
        match self.waiting.iter().position(|waiting| waiting == id) {
            Some(at) if self.running => drop(self.waiting.drain(..=at)),
            Some(_) if !self.ran && *id == self.first => self.repeated = true,
            _ => {}
        }
    }

    /// A run is over.
    pub(super) fn paused(&mut self) {
        self.running = false;
    }

    /// Whether the turn's own run has begun.
    pub(super) fn is_taken(&self) -> bool {
        self.ran && !self.waiting.contains(&self.first)
    }

    /// Whether the CLI is through with all messages.
    pub(super) fn is_settled(&self) -> bool {
        self.repeated || self.waiting.is_empty()
    }

    /// Whether any run began.
    pub(super) const fn ran(&self) -> bool {
        self.ran
    }

    /// Whether the session had the first message already, and does nothing with it.
    pub(super) const fn is_repeated(&self) -> bool {
        self.repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn begun() -> Note {
        Note::read(&json!({"type": "system", "subtype": "init", "uuid": "u"}).into()).unwrap()
    }

    fn said(id: &str) -> Note {
        Note::read(&json!({"type": "user", "isReplay": true, "uuid": id}).into()).unwrap()
    }

    fn lifecycle(id: &str, state: &str) -> Note {
        let line = json!({"type": "command_lifecycle", "command_uuid": id, "state": state, "uuid": "u"});
        Note::read(&line.into()).unwrap()
    }

    fn after(sent: &[&str], notes: &[Note]) -> Receipts {
        let mut receipts = Receipts::new(sent[0].to_owned());
        sent[1..].iter().for_each(|id| receipts.sent((*id).to_owned()));
        notes.iter().for_each(|note| receipts.note(note));
        receipts
    }

    #[test]
    fn a_message_is_taken_in_a_run_only() {
        let receipts = after(&["a"], &[lifecycle("a", "queued"), begun(), said("a")]);
        assert!(receipts.is_taken() && receipts.is_settled() && !receipts.is_repeated());
        assert!(!after(&["a"], &[begun()]).is_settled(), "another's run");
        let receipts = after(&["a"], &[said("a")]);
        assert!(receipts.is_repeated() && receipts.is_settled() && !receipts.is_taken());
    }

    #[test]
    fn a_late_message_keeps_the_turn_open_until_it_is_taken_too() {
        let mut receipts = after(&["a", "b"], &[begun(), said("a")]);
        receipts.paused();
        assert!(!receipts.is_settled());
        receipts.note(&begun());
        receipts.note(&said("b"));
        assert!(receipts.is_settled());
    }

    #[test]
    fn merged_messages_are_taken_with_the_last_of_them() {
        let mut receipts = after(&["a", "b", "c"], &[begun(), said("a")]);
        receipts.paused();
        receipts.note(&said("b"));
        assert!(!receipts.is_settled() && !receipts.is_repeated());
        receipts.note(&begun());
        assert!(!receipts.is_settled());
        receipts.note(&said("c"));
        assert!(receipts.is_settled());
    }

    #[test]
    fn a_dropped_message_is_waited_for_no_longer() {
        let receipts = after(&["a"], &[lifecycle("a", "queued"), lifecycle("a", "cancelled")]);
        assert!(receipts.is_settled() && !receipts.ran() && !receipts.is_taken());
        assert!(!after(&["a"], &[lifecycle("x", "cancelled")]).is_settled(), "another's message");
    }

    #[test]
    fn other_lines_tell_nothing() {
        for line in [json!({"type": "user", "uuid": "a"}), json!([1]), json!({"type": "system"})] {
            assert_eq!(Note::read(&line.into()), None);
        }
    }
}
