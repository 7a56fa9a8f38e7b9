//! Questions of a runtime: whether it may use a tool of its own. People answer them.

use super::{
    Engine,
    apply::{Applied, Impossible},
    state::{Asked, Opened, Question},
};
use party_core::{NewRecord, PermissionAnswered, PermissionAsked, PermissionWithdrawn, Refused, TurnId};
use std::sync::Arc;

impl Engine {
    /// The questions that nobody has answered, in order of the turns that wait.
    pub fn questions(&self) -> impl Iterator<Item = (TurnId, &Question)> {
        let all =
            self.running.values().flat_map(|turn| turn.questions.iter().map(|asked| (turn.turn, &**asked)));
        all.filter(|(_, question)| question.answer.is_none())
    }

    pub(super) fn permission_asked(&mut self, event: PermissionAsked) -> Applied {
        let turn = self.running.get_mut(&event.turn).ok_or(Impossible)?;
        let PermissionAsked { attempt, request, tool, input, .. } = event;
        if attempt != turn.attempt || turn.questions.iter().any(|known| known.request == request) {
            return Err(Impossible);
        }
        turn.questions.push(Arc::new(Question { request, tool, input, answer: None }));
        Ok(())
    }

    pub(super) fn permission_withdrawn(&mut self, event: &PermissionWithdrawn) -> Applied {
        let turn = self.running.get_mut(&event.turn).ok_or(Impossible)?;
        let place = turn.questions.iter().position(|question| question.request == event.request);
        if event.attempt != turn.attempt {
            return Err(Impossible);
        }
        turn.questions.remove(place.ok_or(Impossible)?);
        Ok(())
    }

    pub(super) fn permission_answered(&mut self, event: PermissionAnswered) -> Applied {
        let is_it =
            |input: &super::Input| input.offset == event.input && matches!(input.what, Asked::Answer { .. });
        let place = self.inbox.iter().position(is_it).ok_or(Impossible)?;
        let turn = self.running.get_mut(&event.turn).ok_or(Impossible)?;
        let current = turn.attempt == event.attempt;
        let question = turn.questions.iter_mut().find(|question| question.request == event.request);
        let open = question.filter(|question| current && question.answer.is_none()).ok_or(Impossible)?;
        Arc::make_mut(open).answer = Some(event.answer);
        self.inbox.remove(place);
        Ok(())
    }

    /// Acts on the oldest answer, whatever waits in front of it: its turn waits too.
    pub(super) fn answer_question(&self, _: &Opened) -> Vec<NewRecord> {
        let answers = self.inbox.iter().find_map(|input| match &input.what {
            Asked::Answer { turn, request, answer } => Some((input.offset, *turn, request, answer)),
            _ => None,
        });
        let Some((input, turn, request, answer)) = answers else { return Vec::new() };
        match self.open_question(turn, request) {
            Ok(attempt) => {
                let (request, answer) = (request.clone(), answer.clone());
                vec![self.record(PermissionAnswered { input, turn, attempt, request, answer }).in_turn(turn)]
            }
            Err(why) => vec![self.record(Refused { input, why: why.to_owned() })],
        }
    }

    /// The attempt that waits for this answer.
    fn open_question(&self, turn: TurnId, request: &str) -> Result<u32, &'static str> {
        let turn = self.running.get(&turn).ok_or("the turn does not run")?;
        let question = turn.questions.iter().find(|question| question.request == request);
        match &question.ok_or("the turn has no such open question")?.answer {
            None => Ok(turn.attempt),
            Some(_) => Err("the question is answered already"),
        }
    }
}
