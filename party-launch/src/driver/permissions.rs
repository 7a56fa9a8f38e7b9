//! Questions of a runtime: recorded before anybody is asked, answered once the answer is recorded.

use super::Driver;
use crate::{Result, log::now, tool::MOST_BYTES};
use party_core::{NewRecord, Permission, PermissionAsked, PermissionWithdrawn, TurnId};
use party_harness::{Answer, RawJson, RequestId, TurnKey};

/// So many questions one attempt may ask; what it asks beyond that is denied without a record.
pub(super) const MOST_QUESTIONS: usize = 1_000;

impl Driver {
    pub(super) async fn permission_asked(
        &mut self,
        key: TurnKey,
        request: RequestId,
        tool: String,
        input: &RawJson,
    ) -> Result<()> {
        let questions = self.log.engine.turn(key.turn).map_or(&[][..], |turn| &turn.questions);
        if let Some(known) = questions.iter().find(|question| question.request == request.0) {
            // A runtime that was handed over asks again; it is told again what it was told before.
            let answered = known.answer.is_some();
            if let Some(running) = self.running.get_mut(&key.turn).filter(|_| answered) {
                running.answered.remove(&request.0);
            }
            return Ok(());
        }
        if let Some(why) = refusal(questions.len(), &tool, input) {
            self.tell_runtime(key.turn, request, Answer::Deny { why });
            return Ok(());
        }
        // Nobody allows what cannot be shown.
        let Ok(input) = input.parse() else {
            let why = "the arguments cannot be shown to anybody; ask with simpler ones".to_owned();
            self.tell_runtime(key.turn, request, Answer::Deny { why });
            return Ok(());
        };
        let (TurnKey { turn, attempt, .. }, request) = (key, request.0);
        let event = PermissionAsked { turn, attempt, request, tool, input };
        self.log.commit(vec![NewRecord::new(now(), &event.into()).in_turn(turn)]).await?;
        Ok(())
    }

    pub(super) async fn permission_withdrawn(&mut self, key: TurnKey, request: RequestId) -> Result<()> {
        let TurnKey { turn, attempt, .. } = key;
        let questions = self.log.engine.turn(turn).map_or(&[][..], |turn| &turn.questions);
        if !questions.iter().any(|question| question.request == request.0) {
            return Ok(());
        }
        if let Some(running) = self.running.get_mut(&turn) {
            running.answered.remove(&request.0);
        }
        let event = PermissionWithdrawn { turn, attempt, request: request.0 };
        self.log.commit(vec![NewRecord::new(now(), &event.into()).in_turn(turn)]).await?;
        Ok(())
    }

    /// Passes an answer of the log on, once in this process.
    pub(super) fn pass_on(&mut self, turn: TurnId, attempt: u32, request: String, answer: Permission) {
        let runs_here = |running: &&mut super::Running| running.key.attempt == attempt;
        let Some(running) = self.running.get_mut(&turn).filter(runs_here) else { return };
        if !running.answered.insert(request.clone()) {
            return;
        }
        let answer = match answer {
            Permission::Allow => Answer::Allow,
            Permission::Deny { why } => Answer::Deny { why },
        };
        self.tell_runtime(turn, RequestId(request), answer);
    }

    fn tell_runtime(&self, turn: TurnId, request: RequestId, answer: Answer) {
        if let Some(running) = self.running.get(&turn)
            && running.answers.try_send((request, answer)).is_err()
        {
            tracing::warn!(%turn, "an answer came too late, or the attempt has too many to pass on");
        }
    }
}

/// Why a question is denied without a record. An input that is too long is not cut: nobody can allow what
/// was not shown.
fn refusal(asked: usize, tool: &str, input: &RawJson) -> Option<String> {
    let found = input.get().len();
    if asked >= MOST_QUESTIONS {
        Some(format!("a turn may ask {MOST_QUESTIONS} times; end it"))
    } else if found > MOST_BYTES {
        Some(format!("the input of `{tool}` has {found} bytes, and may have {MOST_BYTES}; give less"))
    } else {
        None
    }
}
