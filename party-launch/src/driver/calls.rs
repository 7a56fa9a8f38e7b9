//! The host's tools: each runs as a task of its own, and reports what it gave.

use super::Driver;
use crate::{
    Result,
    log::now,
    tool::{BoxError, CallContext, HostTool},
};
use futures::FutureExt as _;
use party_core::{NewRecord, ReplyLost, ToolRan, TurnId};
use party_formats::{Effect, RunningTurn};
use party_harness::ToolReply;
use serde_json::Value;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    task::{Id, JoinError},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// So long a tool that was cancelled may still take.
const GRACE: Duration = Duration::from_secs(1);

/// So many may wait for the answer to one call; a runtime needs one, and another where it connects anew.
const MOST_WAITING: usize = 64;

/// A longer answer is none; as much as arguments may have.
const MOST_TEXT: usize = 1 << 20;

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
        let engine = &self.log.engine;
        let unheard = &mut self.unheard;
        self.calls.retain(|key, open| {
            let (turn, attempt, call) = key;
            let running = engine.turn(*turn);
            let ended = running.is_none_or(|turn| turn.attempt != *attempt);
            let answer = running.and_then(|turn| turn.answer(*attempt, call)).filter(|_| !ended);
            let reply = match answer {
                Some((text, is_error)) => ToolReply { text: text.clone(), is_error: *is_error },
                None => ToolReply::error("the turn has ended"),
            };
            if ended || answer.is_some() {
                let sent = open.replies.drain(..).fold(None, |heard, waits| {
                    Some(heard.unwrap_or(false) | waits.send(reply.clone()).is_ok())
                });
                if sent == Some(false) && !ended {
                    unheard.insert(key.clone());
                }
            }
            // What ran for an attempt that is over may still report; what is answered otherwise may not.
            let is_open = running
                .and_then(|turn| turn.tool_call(*attempt, call))
                .is_some_and(|call| call.answer.is_none());
            if !is_open || (ended && open.began_in_attempt) {
                open.cancel.cancel();
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
        let cancel = CancellationToken::new();
        let context = CallContext {
            session: self.log.session(),
            seat: turn.seat,
            agent: engine.seat(turn.seat).map(|seat| seat.name.clone()).unwrap_or_default(),
            turn: key.0,
            attempt: key.1,
            call: key.2.clone(),
            cancel: cancel.clone(),
        };
        let span = tracing::info_span!(
            "tool",
            turn = %key.0,
            attempt = key.1,
            seat = %turn.seat,
            gen_ai.operation.name = "execute_tool",
            gen_ai.tool.name = %asked.tool,
            gen_ai.tool.call.id = %key.2,
        );
        let (name, arguments) = (asked.tool.clone(), asked.arguments.clone());
        let run = run(self.tools.get(&name), name, arguments, context, limit);
        let task = self.handlers.spawn(run.instrument(span)).id();
        let open = self.calls.entry(key).or_default();
        open.task = Some(task);
        (open.began_in_attempt, open.cancel) = (began_in_attempt, cancel);
    }

    /// A tool gave an answer: it is committed, and told then.
    pub(super) async fn tool_ended(&mut self, ended: Result<(Id, ToolReply), JoinError>) -> Result<()> {
        let (id, reply) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), ToolReply::error("the tool was stopped")),
        };
        let found = self.calls.iter().find(|(_, open)| open.task == Some(id)).map(|(key, _)| key.clone());
        let Some((turn, attempt, call)) = found else { return Ok(()) };
        let ToolReply { text, is_error } = reply;
        let event = ToolRan { turn, attempt, call, text, is_error };
        self.log.commit(vec![NewRecord::new(now(), &event.into()).in_turn(turn)]).await?;
        self.answer_calls();
        Ok(())
    }

    /// The end of a turn is the end of the calls that its tools still run for.
    pub(super) fn cut_short(turn: &RunningTurn) -> Vec<NewRecord> {
        let record = |call: &party_formats::ToolRecord| {
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

/// Runs a tool for one call, within its time. It always gives an answer.
async fn run(
    tool: Option<Arc<dyn HostTool>>,
    name: String,
    arguments: Value,
    context: CallContext,
    limit: Duration,
) -> ToolReply {
    let Some(tool) = tool else { return ToolReply::error(format!("the host has no tool `{name}`")) };
    let cancel = context.cancel.clone();
    // Made within, so that a panic before the first await is caught as well.
    let call = AssertUnwindSafe(async { tool.call(arguments, context).await }).catch_unwind();
    tokio::pin!(call);
    let why = tokio::select! {
        ended = &mut call => return checked(&name, ended),
        () = cancel.cancelled() => "the turn ended",
        () = sleep(limit) => "its time was over",
    };
    cancel.cancel();
    tokio::select! {
        ended = &mut call => checked(&name, ended),
        () = sleep(GRACE) => ToolReply::error(format!("outcome unknown: {why} while `{name}` ran")),
    }
}

/// What the agent is told of an end.
fn checked<P>(name: &str, ended: Result<Result<ToolReply, BoxError>, P>) -> ToolReply {
    let reply = match ended {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => ToolReply::error(in_full(name, &*error)),
        Err(_) => ToolReply::error(format!("`{name}` panicked")),
    };
    if reply.text.len() > MOST_TEXT {
        let found = reply.text.len();
        return ToolReply::error(format!(
            "`{name}` gave {found} bytes, and an answer has {MOST_TEXT} at most; ask for less"
        ));
    }
    reply
}

fn in_full(name: &str, error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = format!("`{name}` failed: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
