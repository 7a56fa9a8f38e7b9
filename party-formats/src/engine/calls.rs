//! Filing tool calls and their answers.

use super::{
    Engine,
    apply::{Applied, Impossible},
    canonical,
    state::{RunningTurn, ToolRecord},
};
use party_core::{ReplyLost, ToolAnswered, ToolCalled, ToolRan};
use std::sync::Arc;

impl Engine {
    pub(super) fn tool_called(&mut self, event: ToolCalled) -> Applied {
        let turn = self.running.get_mut(&event.turn).ok_or(Impossible)?;
        if event.attempt != turn.attempt || turn.call(event.attempt, &event.call).is_some() {
            return Err(Impossible);
        }
        let again = turn.lost_twin(&event);
        if let Some(earlier) = again {
            Arc::make_mut(&mut turn.calls[earlier]).claimed = true;
        }
        let ToolCalled { attempt, call, tool, arguments, .. } = event;
        turn.calls.push(Arc::new(ToolRecord {
            attempt,
            call,
            tool,
            arguments,
            answer: None,
            again,
            claimed: false,
            unheard: false,
            late: turn.interrupted,
            orphaned: false,
        }));
        Ok(())
    }

    pub(super) fn tool_answered(&mut self, event: ToolAnswered) -> Applied {
        let turn = self.running.get_mut(&event.turn).ok_or(Impossible)?;
        let asked = turn.unanswered(event.attempt, &event.call).ok_or(Impossible)?;
        if event.repeated && turn.calls[asked].again.is_none() {
            return Err(Impossible);
        }
        Arc::make_mut(&mut turn.calls[asked]).answer = Some((event.text, event.is_error));
        Ok(())
    }

    pub(super) fn tool_ran(&mut self, event: ToolRan) -> Applied {
        let turn = self.running.get_mut(&event.turn).ok_or(Impossible)?;
        let asked = turn.unanswered(event.attempt, &event.call).ok_or(Impossible)?;
        Arc::make_mut(&mut turn.calls[asked]).answer = Some((event.text, event.is_error));
        Ok(())
    }

    pub(super) fn reply_lost(&mut self, event: &ReplyLost) -> Applied {
        let turn = self.running.get_mut(&event.turn).ok_or(Impossible)?;
        let asked = turn.call(event.attempt, &event.call).ok_or(Impossible)?;
        Arc::make_mut(&mut turn.calls[asked]).unheard = true;
        Ok(())
    }

    /// A new driver does not know how far the last one came with the host's tools.
    pub(super) fn orphan_calls(&mut self) {
        for call in self.running.values_mut().flat_map(|turn| &mut turn.calls) {
            Arc::make_mut(call).orphaned = true;
        }
    }
}

impl RunningTurn {
    /// The place of a call.
    pub(super) fn call(&self, attempt: u32, call: &str) -> Option<usize> {
        self.calls.iter().position(|known| known.attempt == attempt && known.call == call)
    }

    fn unanswered(&self, attempt: u32, call: &str) -> Option<usize> {
        self.call(attempt, call).filter(|place| self.calls[*place].answer.is_none())
    }

    /// The answer to a call, once there is one.
    pub fn answer(&self, attempt: u32, call: &str) -> Option<&(String, bool)> {
        self.calls[self.call(attempt, call)?].answer.as_ref()
    }

    /// A call, once it is known.
    pub fn tool_call(&self, attempt: u32, call: &str) -> Option<&ToolRecord> {
        self.calls.get(self.call(attempt, call)?).map(Arc::as_ref)
    }

    /// The calls that have no answer yet, oldest first.
    pub fn open_calls(&self) -> impl Iterator<Item = &ToolRecord> {
        self.calls.iter().map(Arc::as_ref).filter(|call| call.answer.is_none())
    }

    /// Whether calls of attempts that have ended are still open.
    pub(super) fn owes_answers(&self) -> bool {
        self.open_calls().any(|call| call.attempt < self.attempt)
    }

    /// The oldest equal call whose answer was lost, with its attempt or by itself, and which nobody has
    /// made again: a runtime that lost an answer makes the call once more, and it must not take effect
    /// twice.
    fn lost_twin(&self, asked: &ToolCalled) -> Option<usize> {
        self.calls.iter().position(|earlier| {
            (earlier.attempt < asked.attempt || earlier.unheard)
                && !earlier.claimed
                && earlier.tool == asked.tool
                && canonical::equal(&earlier.arguments, &asked.arguments)
        })
    }
}
