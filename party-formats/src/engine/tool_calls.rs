//! Deciding how a tool call is answered.

use super::{
    Effect, Engine,
    state::{Opened, RunningTurn, Share, ToolRecord},
};
use crate::{EngineTool, engine_tool};
use party_core::{Author, HostToolTerms, Item, ItemId, NewRecord, ToolAnswered};

/// What is to become of a call that has no answer.
enum Due<'e> {
    /// The stored answer of the call that this is once more.
    Repeat(&'e (String, bool)),
    /// An answer of the engine.
    Engine(EngineTool),
    /// An error, with the reason.
    Refuse(String),
    /// The host's tool runs for it.
    Run,
    /// It waits for the call that it is once more.
    Wait,
}

impl Engine {
    /// Answers the oldest call that the engine can answer.
    pub(super) fn answer_tool_call(&self, opened: &Opened) -> Vec<NewRecord> {
        for turn in self.running.values() {
            for call in turn.open_calls() {
                match self.due(opened, turn, call) {
                    Due::Repeat((text, is_error)) => {
                        return vec![self.answer(turn, call, text.clone(), *is_error, true)];
                    }
                    Due::Engine(EngineTool::Share) => return self.answer_share(opened, turn, call),
                    Due::Refuse(why) => return vec![self.refuse(turn, call, why)],
                    Due::Run | Due::Wait => {}
                }
            }
        }
        Vec::new()
    }

    /// The calls that the host's tools have to run for, in order of the turns.
    pub(super) fn tools_to_run(&self) -> Vec<Effect> {
        let Some(opened) = &self.opened else { return Vec::new() };
        let mut effects = Vec::new();
        for turn in self.running.values() {
            let due = turn.open_calls().filter(|call| matches!(self.due(opened, turn, call), Due::Run));
            effects.extend(due.map(|call| Effect::RunTool {
                turn: turn.turn,
                attempt: call.attempt,
                call: call.call.clone(),
            }));
        }
        effects
    }

    fn due<'e>(&self, opened: &Opened, turn: &'e RunningTurn, call: &ToolRecord) -> Due<'e> {
        if let Some(earlier) = call.again.and_then(|place| turn.calls.get(place)) {
            return earlier.answer.as_ref().map_or(Due::Wait, Due::Repeat);
        }
        if !self.intent(turn).is_some_and(|intent| intent.offers(&call.tool)) {
            return Due::Refuse(format!("the tool `{}` is not offered in this turn", call.tool));
        }
        if let Some(tool) = engine_tool(&call.tool) {
            return Due::Engine(tool);
        }
        match opened.host_tools.iter().find(|tool| tool.name == call.tool) {
            Some(tool) => Self::due_of_host(turn, call, tool),
            None => Due::Refuse(format!("the tool `{}` is not offered in this turn", call.tool)),
        }
    }

    fn due_of_host<'e>(turn: &RunningTurn, call: &ToolRecord, tool: &HostToolTerms) -> Due<'e> {
        let name = &tool.name;
        if !call.arguments.is_object() {
            return Due::Refuse(format!("`{name}` takes an object of arguments"));
        }
        if call.late {
            return Due::Refuse(format!("the turn was stopped; `{name}` is not run"));
        }
        if call.orphaned && !tool.idempotent {
            return Due::Refuse(format!("outcome unknown: the host went away while `{name}` ran"));
        }
        if turn.interrupted && call.attempt < turn.attempt {
            return Due::Refuse(format!("outcome unknown: the turn was stopped while `{name}` ran"));
        }
        Due::Run
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
