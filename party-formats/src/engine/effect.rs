//! What decisions ask of the outside.

use super::{Engine, RunningTurn};
use party_core::{Permission, TurnId};

/// Outside work that a record asked for and no record has reported.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Run the host's tool for a call, and report what it gave; again, where an earlier driver may have
    /// run it and the tool is idempotent.
    RunTool {
        /// The turn.
        turn: TurnId,
        /// The attempt that asked.
        attempt: u32,
        /// The call within the attempt.
        call: String,
    },
    /// Stop a turn; its end is reported as usual.
    Interrupt {
        /// The turn.
        turn: TurnId,
    },
    /// Pass an answer on to the runtime that asked. It stays until the attempt has ended: a runtime
    /// that is handed over after a crash is told again, which does nothing where it knows already.
    Answer {
        /// The turn.
        turn: TurnId,
        /// The attempt that asked.
        attempt: u32,
        /// The runtime's name of the question.
        request: String,
        /// The answer.
        answer: Permission,
    },
}

impl Engine {
    /// Outside work that the log asks for and does not report yet: tools, attempts, stops; each in
    /// order of the turns. A turn's next attempt waits until the calls of those before it are answered,
    /// because it is told the answers.
    pub fn pending_effects(&self) -> Vec<Effect> {
        if self.closed.is_some() {
            return Vec::new();
        }
        let mut effects = self.tools_to_run();
        let ready = self.running.values().filter(|turn| !turn.owes_answers());
        effects.extend(ready.map(|turn| Effect::Run { turn: turn.turn, attempt: turn.attempt }));
        let stops = self.running.values().filter(|turn| turn.interrupted);
        effects.extend(stops.map(|turn| Effect::Interrupt { turn: turn.turn }));
        effects.extend(self.running.values().flat_map(RunningTurn::answers));
        effects
    }
}

impl RunningTurn {
    fn answers(&self) -> impl Iterator<Item = Effect> {
        self.questions.iter().filter_map(|question| {
            let (request, answer) = (question.request.clone(), question.answer.clone()?);
            Some(Effect::Answer { turn: self.turn, attempt: self.attempt, request, answer })
        })
    }
}
