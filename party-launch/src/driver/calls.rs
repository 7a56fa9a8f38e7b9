//! The host's tools: each runs as a task of its own, and reports what it gave.

use super::{Driver, handler};
use crate::{Result, log::now, tool::CallContext};
use party_core::{NewRecord, ReplyLost, ToolRan, TurnId};
use party_formats::{Effect, RunningTurn, ToolRecord};
use party_harness::ToolReply;
use std::time::Duration;
use tokio::{
    sync::oneshot,
    task::{Id, JoinError},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

/// So many may wait for the answer to one call; a runtime needs one, and another where it connects anew.
const MOST_WAITING: usize = 64;

/// Names a call: the turn, the attempt, and the runtime's id.
pub(super) type CallKey = (TurnId, u32, String);

/// A call that has no answer yet, or none that its agent was told.
#[derive(Default)]
pub(super) struct OpenCall {
    /// Who waits for the answer.
    replies: Vec<oneshot::Sender<ToolReply>>,
    /// The task that runs the tool.
    task: Option<Id>,
    /// Whether the task began while the attempt ran that asked.
    began_in_attempt: bool,
    cancel: CancellationToken,
}

impl OpenCall {
    /// Tells all who wait. `false` where all of them have gone.
    fn tell(&mut self, reply: &ToolReply) -> bool {
        let waited = !self.replies.is_empty();
        let heard = self.replies.drain(..).filter_map(|waits| waits.send(reply.clone()).ok()).count();
        heard > 0 || !waited
    }

    /// Tells its tool that it is of no more use.
    pub(super) fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Whether all who waited have gone.
    fn is_unheard(&self) -> bool {
        !self.replies.is_empty() && self.replies.iter().all(oneshot::Sender::is_closed)
    }
}

impl Driver {
    /// Waits for the answer to a call that is on the log.
    pub(super) fn await_answer(&mut self, key: CallKey, reply: oneshot::Sender<ToolReply>) {
        self.unheard.remove(&key);
        let replies = &mut self.calls.entry(key).or_default().replies;
        replies.retain(|reply| !reply.is_closed());
        if replies.len() < MOST_WAITING {
            replies.push(reply);
        } else {
            let _ = reply.send(ToolReply::error("too many wait for this call already"));
        }
        self.answer_calls();
    }

    /// Tells every answer that the log has by now, and lets go of calls whose attempt has ended.
    pub(super) fn answer_calls(&mut self) {
        let (engine, unheard) = (&self.log.engine, &mut self.unheard);
        self.calls.retain(|key, open| {
            let (turn, attempt, call) = key;
            let running = engine.turn(*turn);
            let has_ended = running.is_none_or(|turn| turn.attempt != *attempt);
            let asked = running.and_then(|turn| turn.tool_call(*attempt, call));
            let answer = asked.and_then(|asked| asked.answer.clone());
            let is_open = asked.is_some() && answer.is_none();
            if has_ended {
                open.tell(&ToolReply::error("the turn has ended"));
            } else if let Some((text, is_error)) = answer
                && !open.tell(&ToolReply::new(text, is_error))
            {
                unheard.insert(key.clone());
            }
            // What ran for an attempt that is over may still report; what is answered otherwise may not.
            if !is_open || (has_ended && open.began_in_attempt) {
                open.cancel();
            }
            is_open
        });
        self.unheard
            .retain(|(turn, attempt, _)| engine.turn(*turn).is_some_and(|turn| turn.attempt == *attempt));
    }

    /// Calls of an attempt whose answers nobody has heard. Each is told once.
    pub(super) fn lost_replies(&mut self, turn: TurnId, attempt: u32) -> Vec<NewRecord> {
        let is_here = |key: &CallKey| key.0 == turn && key.1 == attempt;
        let mut lost: Vec<CallKey> = self.unheard.iter().filter(|key| is_here(key)).cloned().collect();
        self.unheard.retain(|key| !is_here(key));
        for (key, open) in self.calls.iter_mut().filter(|(key, open)| is_here(key) && open.is_unheard()) {
            open.replies.clear();
            lost.push(key.clone());
        }
        let record = |(turn, attempt, call)| {
            NewRecord::new(now(), &ReplyLost { turn, attempt, call }.into()).in_turn(turn)
        };
        lost.into_iter().map(record).collect()
    }

    /// Starts every tool that the log asks for and this process does not run yet.
    pub(super) fn start_tools(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::RunTool { turn, attempt, call } = effect {
                let key = (*turn, *attempt, call.clone());
                if self.calls.get(&key).is_none_or(|open| open.task.is_none()) {
                    self.start_tool(key);
                }
            }
        }
    }

    fn start_tool(&mut self, key: CallKey) {
        let engine = &self.log.engine;
        let Some(turn) = engine.turn(key.0) else { return };
        let Some(asked) = turn.tool_call(key.1, &key.2) else { return };
        let limit = engine
            .intent(turn)
            .map_or(Duration::ZERO, |intent| Duration::from_secs(intent.timeout_secs.into()));
        let began_in_attempt = turn.attempt == key.1;
        let (context, span) = (self.context(turn, asked), span(turn, asked));
        let cancel = context.cancel.clone();
        let (name, arguments) = (asked.tool.clone(), asked.arguments.clone());
        let run = handler::run(self.tools.get(&name), name, arguments, context, limit);
        let task = self.handlers.spawn(run.instrument(span)).id();
        let open = self.calls.entry(key).or_default();
        open.task = Some(task);
        (open.began_in_attempt, open.cancel) = (began_in_attempt, cancel);
    }

    fn context(&self, turn: &RunningTurn, asked: &ToolRecord) -> CallContext {
        CallContext {
            session: self.log.session(),
            seat: turn.seat,
            agent: self.log.engine.seat(turn.seat).map(|seat| seat.name.clone()).unwrap_or_default(),
            turn: turn.turn,
            attempt: asked.attempt,
            call: asked.call.clone(),
            cancel: CancellationToken::new(),
        }
    }

    /// A tool gave an answer: it is committed, and told then.
    pub(super) async fn tool_ended(&mut self, ended: Result<(Id, ToolReply), JoinError>) -> Result<()> {
        let (id, reply) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), ToolReply::error("the tool was stopped")),
        };
        let found = self.calls.iter().find(|(_, open)| open.task == Some(id)).map(|(key, _)| key.clone());
        let Some((turn, attempt, call)) = found else { return Ok(()) };
        let ToolReply { text, is_error, .. } = reply;
        let event = ToolRan { turn, attempt, call, text, is_error };
        self.log.commit(vec![NewRecord::new(now(), &event.into()).in_turn(turn)]).await?;
        self.answer_calls();
        Ok(())
    }

    /// The end of a turn is the end of the calls that its tools still run for.
    pub(super) fn cut_short(turn: &RunningTurn) -> Vec<NewRecord> {
        let record = |call: &ToolRecord| {
            let event = ToolRan {
                turn: turn.turn,
                attempt: call.attempt,
                call: call.call.clone(),
                text: format!("outcome unknown: the turn ended while `{}` ran", call.tool),
                is_error: true,
            };
            NewRecord::new(now(), &event.into()).in_turn(turn.turn)
        };
        turn.open_calls().map(record).collect()
    }
}

/// A span with the names of OpenTelemetry's conventions for generative AI.
fn span(turn: &RunningTurn, asked: &ToolRecord) -> Span {
    tracing::info_span!(
        "tool",
        turn = %turn.turn,
        attempt = asked.attempt,
        seat = %turn.seat,
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = %asked.tool,
        gen_ai.tool.call.id = %asked.call,
    )
}
