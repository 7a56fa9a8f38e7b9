//! A turn in its task: steps one after another, with the answers of tools between them.

use super::{
    bill::Bill,
    fault::{Fault, Less},
    session::Inner,
    talk::Talk,
    wire::{Answered, Call, Message, Stop},
};
use crate::{Completion, ToolCall, ToolChoice, ToolReply, TurnEnd, TurnEvent, TurnRequest, session::Busy};
use futures::future::join_all;
use party_core::{Failure, Outcome, Sent};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};

/// What the model is told where it wrote a call that its provider could not read.
const BAD_CALL: &str = "Your call of a tool could not be read. Call the tool again, with arguments that \
                        are one JSON object.";

/// A turn with all that ends it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) run: Run,
    pub(super) bill: Bill,
    pub(super) events: mpsc::Sender<TurnEvent>,
    pub(super) stop: CancellationToken,
    /// A close waits until it is given back.
    pub(super) busy: (Busy, TaskTrackerToken),
}

/// How a turn ends.
#[derive(Debug)]
struct Finish {
    outcome: Outcome,
    text: Option<Arc<str>>,
    reason: Option<String>,
    failure: Option<Failure>,
}

impl Running {
    pub(super) async fn run(self) {
        let Self { mut run, mut bill, events, stop, busy } = self;
        let finish = tokio::select! {
            biased;
            () = stop.cancelled() => Finish::cancelled("interrupted"),
            () = events.closed() => Finish::cancelled("nobody reads the turn any more"),
            finish = run.steps(&mut bill) => finish,
        };
        drop(run);
        bill.settle(false);
        let end = TurnEnd {
            outcome: finish.outcome,
            text: finish.text,
            usage: bill.usage(),
            cost: bill.cost(),
            reason: finish.reason,
            failure: finish.failure,
            sent: Sent::Full,
            token: None,
        };
        // Whoever reads the end finds the session free, and a close does not wait for a reader.
        drop(busy);
        let _ = events.send(TurnEvent::Ended(end)).await;
    }
}

impl Finish {
    fn cancelled(reason: &str) -> Self {
        let reason = Some(reason.to_owned());
        Self { outcome: Outcome::Cancelled, text: None, reason, failure: None }
    }

    /// The turn is done; `has_worked` where a tool did something for it.
    fn done(text: String, has_worked: bool) -> Self {
        let text = Some(text).filter(|text| !text.trim().is_empty());
        let outcome = if text.is_some() || has_worked { Outcome::Completed } else { Outcome::Empty };
        Self { outcome, text: text.map(Into::into), reason: None, failure: None }
    }
}

impl From<Fault> for Finish {
    fn from(fault: Fault) -> Self {
        let (reason, failure) = (Some(fault.reason), Some(fault.failure));
        Self { outcome: Outcome::Failed, text: None, reason, failure }
    }
}

/// The conversation of a turn as far as it is.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) inner: Arc<Inner>,
    pub(super) request: TurnRequest,
    pub(super) system: String,
    pub(super) messages: Vec<Message>,
    events: mpsc::Sender<TurnEvent>,
    steps: u32,
    /// The ids of the conversation's calls.
    ids: BTreeSet<String>,
    /// A step called a tool.
    has_called: bool,
    /// A tool that was called answered without an error.
    has_worked: bool,
    /// How long this turn's calls may still wait for their providers.
    pub(super) patience: Duration,
}

impl Run {
    pub(super) fn new(
        inner: Arc<Inner>,
        request: TurnRequest,
        talk: Talk,
        events: mpsc::Sender<TurnEvent>,
    ) -> Self {
        let patience = inner.setup.retry.within;
        let system = if talk.system.is_empty() { inner.system.clone() } else { talk.system };
        let calls = talk.messages.iter().flat_map(|message| match message {
            Message::Model(_, calls) => calls.as_slice(),
            Message::User(..) => &[],
        });
        let ids = calls.map(|call| call.id.clone()).collect();
        let messages = talk.messages;
        let (has_called, has_worked) = (false, false);
        Self { inner, request, system, messages, events, steps: 0, ids, has_called, has_worked, patience }
    }

    async fn steps(&mut self, bill: &mut Bill) -> Finish {
        loop {
            match self.step(bill).await {
                Ok(None) => {}
                Ok(Some(finish)) => return finish,
                Err(fault) => return fault.into(),
            }
        }
    }

    /// One model call and what it calls; the end, where that was the last.
    async fn step(&mut self, bill: &mut Bill) -> Result<Option<Finish>, Fault> {
        self.may_go_on(bill)?;
        let mut reply = self.ask(bill).await?;
        self.steps = self.steps.saturating_add(1);
        let (usage, cost) = (bill.usage(), bill.cost());
        self.tell(TurnEvent::Spent { usage, cost }).await;
        let cannot_read = self.check(reply.stop.as_ref(), !reply.calls.is_empty())?;
        reply.name_calls(&mut self.ids);
        let text = reply.text();
        let answers = self.answers(&reply.calls).await;
        if self.is_done(&answers) || (answers.is_empty() && !cannot_read) {
            return Ok(Some(Finish::done(text, self.has_worked)));
        }
        let words = if cannot_read { BAD_CALL } else { "" };
        if !reply.parts.is_empty() {
            self.messages.push(Message::Model(reply.parts, reply.calls));
            self.messages.push(Message::User(answers, words.to_owned()));
        } else if let Some(Message::User(_, text)) = self.messages.last_mut()
            && !text.ends_with(words)
        {
            text.push_str("\n\n");
            text.push_str(words);
        }
        Ok(None)
    }

    fn may_go_on(&self, bill: &Bill) -> Result<(), Fault> {
        if self.request.limit.is_some_and(|limit| bill.has_spent(limit)) {
            return Err(Fault::over(Failure::OverBudget, "what the turn may spend was spent"));
        }
        let most = self.request.most_steps.unwrap_or(self.inner.setup.most_steps);
        if self.steps >= most {
            let reason = format!("the turn took {most} steps, and may not take more");
            return Err(Fault::over(Failure::StepLimit, reason));
        }
        Ok(())
    }

    /// Whether the model stopped as it should; true where it wrote a call that cannot be read.
    fn check(&self, stop: Option<&Stop>, has_calls: bool) -> Result<bool, Fault> {
        match stop {
            None | Some(Stop::Done) => Ok(false),
            Some(Stop::BadCall) => Ok(!has_calls && !self.request.tools.is_empty()),
            // A call that was cut off is answered by an error.
            Some(Stop::Length) if has_calls => Ok(false),
            Some(Stop::Length) => Err(Fault::over(
                Failure::Other,
                "the answer was cut off at the limit on what the model may write in a step; raise it by `most_output`",
            )),
            Some(Stop::Context) => {
                Err(Fault::over(Failure::TooLong, "the conversation is too long for the model"))
            }
            Some(Stop::Withheld(why)) => {
                Err(Fault::over(Failure::Rejected, format!("the provider withheld the answer: {why}")))
            }
        }
    }

    pub(super) fn is_forced(&self) -> bool {
        let asks = match self.request.tool_choice {
            ToolChoice::Auto => false,
            ToolChoice::Once => !self.has_called,
            ToolChoice::Always => true,
        };
        asks && !self.request.tools.is_empty() && self.inner.can(Less::Force)
    }

    /// Whether the step with these answers is the last, by the turn's rule. Where no tool is offered
    /// no wire takes an answer of one.
    fn is_done(&self, answers: &[Answered]) -> bool {
        let by_rule = match &self.request.completion {
            Completion::NoToolCall => false,
            Completion::FirstStep => true,
            Completion::ToolCall(tool) => {
                answers.iter().any(|answer| answer.name == *tool && !answer.is_error)
            }
            Completion::Steps(count) => self.steps >= *count,
        };
        by_rule || self.request.tools.is_empty()
    }

    /// Has the host answer all calls of a step at once; their answers stand in the order of the calls.
    async fn answers(&mut self, calls: &[Call]) -> Vec<Answered> {
        for call in calls {
            let (id, name, input) = (call.id.clone(), call.name.clone(), call.shown());
            self.tell(TurnEvent::ToolUse { id, name, input }).await;
        }
        let answers = join_all(calls.iter().map(|call| self.answer(call))).await;
        self.has_called |= !answers.is_empty();
        self.has_worked |= answers.iter().any(|answer| !answer.is_error);
        answers
    }

    async fn answer(&self, call: &Call) -> Answered {
        let is_listed = self.request.tools.iter().any(|tool| tool.name == call.name);
        let reply = match call.value() {
            _ if !is_listed => ToolReply::error(format!("there is no tool `{}` in this turn", call.name)),
            Err(why) => ToolReply::error(why),
            Ok(arguments) => {
                let (id, name) = (call.id.clone(), call.name.clone());
                self.inner.tools.call(ToolCall { key: self.request.key, id, name, arguments }).await
            }
        };
        let (id, text) = (call.id.clone(), reply.text.as_str().into());
        self.tell(TurnEvent::ToolResult { id, text, is_error: reply.is_error }).await;
        call.answered(reply.text, reply.is_error)
    }

    /// Nobody may listen any more; the turn is being ended then.
    pub(super) async fn tell(&self, event: TurnEvent) {
        let _ = self.events.send(event).await;
    }
}
