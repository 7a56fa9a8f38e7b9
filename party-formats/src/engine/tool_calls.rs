//! Deciding how a tool call is answered.

use super::{
    Engine,
    state::{Opened, RunningTurn, Share, ToolRecord},
};
use crate::{EngineTool, engine_tool};
use party_core::{Author, Item, ItemId, NewRecord, ToolAnswered};

impl Engine {
    /// Answers the oldest unanswered call.
    pub(super) fn answer_tool_call(&self, opened: &Opened) -> Vec<NewRecord> {
        let unanswered = self.running.values().find_map(|turn| {
            turn.calls.iter().position(|call| call.answer.is_none()).map(|index| (turn, index))
        });
        let Some((turn, index)) = unanswered else { return Vec::new() };
        let call = &turn.calls[index];
        if let Some(earlier) = turn.answered_before(index) {
            let (text, is_error) = turn.calls[earlier].answer.clone().unwrap_or_default();
            return vec![self.answer(turn, call, text, is_error, true)];
        }
        let intent = self.intent(turn);
        let tool = engine_tool(&call.tool).filter(|_| intent.is_some_and(|intent| intent.offers(&call.tool)));
        match tool {
            Some(EngineTool::Share) => self.answer_share(opened, turn, call),
            None => {
                vec![self.refuse(turn, call, format!("the tool `{}` is not offered in this turn", call.tool))]
            }
        }
    }

    fn answer_share(&self, opened: &Opened, turn: &RunningTurn, call: &ToolRecord) -> Vec<NewRecord> {
        let text = call.arguments.get("text").and_then(|text| text.as_str()).unwrap_or_default();
        if text.trim().is_empty() {
            return vec![self.refuse(turn, call, "share needs `text`, which is not empty".to_owned())];
        }
        if turn.interrupted {
            return vec![self.refuse(turn, call, "the turn was stopped; nothing is shared".to_owned())];
        }
        let cap = self.intent(turn).map_or(1, |intent| intent.shares);
        if let Some(last) = turn.shared.last().filter(|_| turn.shared.len() >= cap as usize) {
            return vec![self.answer(turn, call, format!("already shared as {last}"), false, false)];
        }
        let Some(seat) = self.seat(turn.seat) else { return Vec::new() };
        // The answer comes first, so the item is carried by the record behind it.
        let offset = self.head.plus(2).0.to_be_bytes();
        let id = ItemId::derive(&[self.session.as_bytes(), &offset, &[0]]);
        let item = Item::message(id, Author::agent(&seat.name), self.now, text);
        let share = Share { seat: turn.seat, turn: turn.turn, item: id };
        let mut records = vec![self.answer(turn, call, format!("shared as {id}"), false, false)];
        records.extend(self.deliver(opened, &share, Some(item)));
        records
    }

    fn refuse(&self, turn: &RunningTurn, call: &ToolRecord, why: String) -> NewRecord {
        self.answer(turn, call, why, true, false)
    }

    fn answer(
        &self,
        turn: &RunningTurn,
        call: &ToolRecord,
        text: String,
        is_error: bool,
        repeated: bool,
    ) -> NewRecord {
        let (attempt, call) = (call.attempt, call.call.clone());
        self.record(ToolAnswered { turn: turn.turn, attempt, call, text, is_error, repeated })
            .in_turn(turn.turn)
    }
}

impl RunningTurn {
    /// The place of a call.
    pub(super) fn call(&self, attempt: u32, call: &str) -> Option<usize> {
        self.calls.iter().position(|known| known.attempt == attempt && known.call == call)
    }

    /// The answer to a call, once there is one.
    pub fn answer(&self, attempt: u32, call: &str) -> Option<&(String, bool)> {
        self.calls[self.call(attempt, call)?].answer.as_ref()
    }

    /// An equal call of an earlier attempt whose answer nobody has been given again: a runtime that
    /// lost the answer makes the call once more, and it must not take effect twice.
    pub(super) fn answered_before(&self, index: usize) -> Option<usize> {
        let asked = self.calls.get(index)?;
        self.calls.iter().position(|earlier| {
            earlier.attempt < asked.attempt
                && !earlier.claimed
                && earlier.answer.is_some()
                && earlier.tool == asked.tool
                && earlier.arguments == asked.arguments
        })
    }
}
