//! Where a turn begins and ends, and in which session.

use super::{Decoded, Decoder, head::Head, outcome::Outcome, read::Read};
use crate::TurnEvent;

impl Decoder {
    pub(super) fn init(&mut self, head: &Head<'_>) -> Read {
        self.in_turn = true;
        self.error = None;
        if let Some(version) = head.string("claude_code_version") {
            self.bill.version(&version);
        }
        self.name_session(head);
        let read = self.keep(head.line);
        self.announce();
        self.poisoned = self.poisoned.take().or_else(|| self.poison(head));
        read
    }

    /// The process goes on in another session.
    pub(super) fn reset(&mut self, head: &Head<'_>) -> Read {
        let id = head.string("new_conversation_id");
        self.session = id.or_else(|| self.session.take());
        let read = self.keep(head.line);
        if self.announced.is_some() {
            self.announce();
        }
        read
    }

    fn announce(&mut self) {
        let session = self.session.clone().filter(|session| self.announced.as_ref() != Some(session));
        if let Some(session) = session {
            self.announced = Some(session.clone());
            self.out.push(Decoded::Session(session));
        }
    }

    pub(super) fn name_session(&mut self, head: &Head<'_>) {
        if let Some(id) = head.session.as_deref().filter(|id| self.session.as_deref() != Some(id)) {
            self.session = Some(id.to_owned());
        }
    }

    pub(super) fn outcome(&mut self, head: &Head<'_>) -> Option<Read> {
        let outcome = Outcome::read(&head.fields, self.answer.last())?;
        self.name_session(head);
        Some(Read::Result(Box::new(outcome)))
    }

    /// A later result replaces an earlier one; their costs add up.
    pub(super) fn result(&mut self, outcome: Outcome) {
        self.bill.result(&outcome);
        self.last = Some(outcome.settled());
        self.in_turn = false;
        let (usage, cost) = (self.bill.usage(), self.bill.cost());
        self.event(TurnEvent::Spent { usage, cost });
    }
}
