//! What an agent is told at render time, behind the conversation.

use crate::{Engine, RunningTurn};
use party_core::{Framing, Reader, SeatSpec};
use std::fmt::Write as _;

impl Engine {
    /// Who reads in this turn.
    pub fn reader(&self, turn: &RunningTurn) -> Option<Reader> {
        self.seat(turn.seat).map(|seat| Reader::agent(&seat.name))
    }

    /// The intent's instruction for this turn, filled in; none where the intent has none.
    pub fn framing(&self, turn: &RunningTurn) -> Option<Framing> {
        let format = self.format()?;
        let instruction = format.intents.get(&turn.intent)?.instruction.trim_end();
        let filled = instruction
            .replace("{rounds}", &format.rounds.to_string())
            .replace("{round}", &turn.round.to_string())
            .replace("{absent}", &self.absent_in_words(turn));
        (!filled.is_empty()).then(|| Framing::new(filled))
    }

    fn absent_in_words(&self, turn: &RunningTurn) -> String {
        let mut words = String::new();
        for absence in &turn.absent {
            let name = self.seat(absence.seat).map_or("somebody", |seat: &SeatSpec| &seat.name);
            let separator = if words.is_empty() { " Name as absent: " } else { ", " };
            let _ = write!(words, "{separator}{name} ({})", absence.reason);
        }
        if !words.is_empty() {
            words.push('.');
        }
        words
    }
}
