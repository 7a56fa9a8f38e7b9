//! Turns that ended without the tool call that their intent asks for: the seat is called again.

use super::{
    Engine,
    apply::{Applied, Impossible},
    state::{Opened, RunningTurn, Waiting},
};
use crate::intent::MOST_NUDGES;
use party_core::{AbsenceReason, NewRecord, Outcome, QueuedInvocation, SeatId};
use std::sync::Arc;

impl Engine {
    /// Whether a turn that ends so has not done its job: it finished, and no tool was called and
    /// answered without an error of which its intent asks for one. Known from the log alone.
    pub fn lacks_call(&self, turn: &RunningTurn, outcome: Outcome) -> bool {
        let required = self.intent(turn).map(crate::Intent::required).unwrap_or_default();
        let counts = |call: &Arc<super::ToolRecord>| {
            required.contains(&call.tool.as_str())
                && call.answer.as_ref().is_some_and(|(_, is_error)| !is_error)
        };
        let finished = match outcome {
            Outcome::Completed | Outcome::Empty => true,
            Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled | Outcome::Lost => false,
        };
        finished && !required.is_empty() && !turn.calls.iter().any(counts)
    }

    /// Files that a turn ended without its call.
    pub(super) fn call_missed(&mut self, turn: RunningTurn) {
        if turn.nudge >= MOST_NUDGES || self.stopping {
            self.wave.stays_silent(turn.seat, AbsenceReason::NoToolCall, turn.message);
            return;
        }
        let waits = |waiting: &Waiting| waiting.seat == turn.seat && waiting.intent == turn.intent;
        // What waits is a new chance already, with what is new since.
        if !self.queue.iter().any(waits) {
            let RunningTurn { seat, intent, because, nudge, .. } = turn;
            self.nudges.push(Waiting { seat, intent, because, nudge: nudge + 1 });
        }
    }

    /// Calls those again who missed their call.
    pub(super) fn call_again(&self, _: &Opened) -> Vec<NewRecord> {
        let again = self.nudges.iter().map(|owed| {
            let Waiting { seat, intent, because, nudge } = owed.clone();
            QueuedInvocation { seat, intent, because, reaction: false, nudge }
        });
        self.queue_all(again.collect()).into_iter().collect()
    }

    /// A seat is called again only where it missed its call, and once for each.
    pub(super) fn take_nudge(&mut self, seat: SeatId, intent: &str, nudge: u32) -> Applied {
        let owed = |owed: &Waiting| owed.seat == seat && owed.intent == intent && owed.nudge == nudge;
        let place = self.nudges.iter().position(owed).ok_or(Impossible)?;
        self.nudges.remove(place);
        Ok(())
    }
}
