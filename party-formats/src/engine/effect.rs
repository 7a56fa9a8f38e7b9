//! What decisions ask of the outside.

use super::Engine;
use party_core::TurnId;

/// Outside work that a record asked for and no record has reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver must do every effect: a forgotten arm must not compile"
)]
pub enum Effect {
    /// Run an attempt at a turn, and report how it ended.
    Run {
        /// The turn.
        turn: TurnId,
        /// The attempt, counted from 1.
        attempt: u32,
    },
    /// Stop a turn; its end is reported as usual.
    Interrupt {
        /// The turn.
        turn: TurnId,
    },
}

impl Engine {
    /// Outside work that the log asks for and does not report yet, in order of the turns.
    pub fn pending_effects(&self) -> Vec<Effect> {
        if self.closed.is_some() {
            return Vec::new();
        }
        let runs = self.running.values().map(|turn| Effect::Run { turn: turn.turn, attempt: turn.attempt });
        let stops = self.running.values().filter(|turn| turn.interrupted);
        runs.chain(stops.map(|turn| Effect::Interrupt { turn: turn.turn })).collect()
    }
}
