//! What an agent is told at render time, behind the conversation.

use crate::{Engine, Intent, RunningTurn};
use party_core::{Framing, Reader, SeatSpec, escape_tags};
use std::fmt::Write as _;

impl Engine {
    /// Who reads in this turn.
    pub fn reader(&self, turn: &RunningTurn) -> Option<Reader> {
        self.seat(turn.seat).map(|seat| Reader::agent(&seat.name))
    }

    /// The intent's instruction for this turn, filled in, and behind it which tool call was missed
    /// where that is why the seat was called again; none where there is neither.
    pub fn framing(&self, turn: &RunningTurn) -> Option<Framing> {
        let format = self.format()?;
        let intent = format.intents.get(&turn.intent)?;
        let mut filled = intent
            .instruction
            .trim_end()
            .replace("{rounds}", &format.rounds.to_string())
            .replace("{round}", &turn.round.to_string())
            .replace("{absent}", &self.absent_in_words(turn));
        if turn.nudge > 0 {
            let separator = if filled.is_empty() { "" } else { "\n\n" };
            let _ = write!(filled, "{separator}{}", nudge(intent));
        }
        (!filled.is_empty()).then(|| Framing::new(filled))
    }

    fn absent_in_words(&self, turn: &RunningTurn) -> String {
        let mut words = String::new();
        for absence in &turn.absent {
            let name = self.seat(absence.seat).map_or("somebody", |seat: &SeatSpec| &seat.name);
            let separator = if words.is_empty() { " Name as absent: " } else { ", " };
            let _ = write!(words, "{separator}{} ({})", escape_tags(name), absence.reason);
        }
        if !words.is_empty() {
            words.push('.');
        }
        words
    }
}

/// What a seat is told that ended its turn without the call that its intent asks for.
fn nudge(intent: &Intent) -> String {
    let tools: Vec<String> = intent.required().iter().map(|tool| format!("`{tool}`")).collect();
    let call = tools.join(" or ");
    format!(
        "You ended your turn without calling {call}. Call {call} before you end your turn; \
         what you write without it is not passed on."
    )
}
