//! Turns: starting what the log asks for, and reporting how it ended.

use super::{Driver, permissions::MOST_QUESTIONS};
use crate::{
    Result,
    attempt::{Attempt, broken},
    log::{fresh_item, now},
    view::View,
};
use party_core::{
    Author, Failure, Framing, How, Item, NewRecord, Offset, Op, Outcome, RuntimeBound, SeatId, Sent, Traced,
    TurnEnded, TurnId, escape_tags,
};
use party_formats::{Effect, Engine, Intent, RunningTurn, engine_tool};
use party_harness::{
    Answer, Capabilities, Close, Completion, RequestId, ResumeToken, ToolChoice, ToolSpec, TurnEnd,
    TurnEvent, TurnKey,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::{Id, JoinError},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// What a fresh runtime session has seen.
const NOTHING: TurnId = TurnId(Offset::START);

/// An attempt that runs in this process.
pub(super) struct Running {
    pub(super) key: TurnKey,
    interrupt: CancellationToken,
    /// The attempt passes answers to its runtime on.
    pub(super) answers: mpsc::Sender<(RequestId, Answer)>,
    /// The questions whose answers were passed on.
    pub(super) answered: BTreeSet<String>,
    task: Id,
}

impl Driver {
    /// Starts every tool and every attempt that the log asks for and this process does not run yet.
    pub(super) fn start_effects(&mut self) {
        let effects = self.log.engine.pending_effects();
        self.start_tools(&effects);
        let fresh: Vec<TurnId> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Run { turn, .. } if !self.running.contains_key(turn) => Some(*turn),
                Effect::Run { .. }
                | Effect::RunTool { .. }
                | Effect::Interrupt { .. }
                | Effect::Answer { .. } => None,
            })
            .collect();
        let alongside = self.by_harness(&fresh);
        for turn in fresh {
            self.start(turn, &alongside);
        }
        for effect in effects {
            match effect {
                Effect::Run { .. } | Effect::RunTool { .. } => {}
                Effect::Interrupt { turn } => {
                    self.running.get(&turn).inspect(|running| running.interrupt.cancel());
                }
                Effect::Answer { turn, attempt, request, answer } => {
                    self.pass_on(turn, attempt, request, answer);
                }
            }
        }
    }

    fn by_harness(&self, turns: &[TurnId]) -> BTreeMap<String, Vec<TurnId>> {
        let mut groups: BTreeMap<String, Vec<TurnId>> = BTreeMap::new();
        for turn in turns {
            if let Some(seat) =
                self.log.engine.turn(*turn).and_then(|turn| self.seats.get(usize::from(turn.seat.0)))
            {
                groups.entry(seat.harness_name.clone()).or_default().push(*turn);
            }
        }
        groups
    }

    fn start(&mut self, turn: TurnId, alongside: &BTreeMap<String, Vec<TurnId>>) {
        let (answers, answers_here) = mpsc::channel(MOST_QUESTIONS);
        let Some(attempt) = self.prepare(turn, alongside, answers_here) else { return };
        let (key, interrupt) = (attempt.key, attempt.interrupt.clone());
        let handed_over = self.handed_over.remove(&key);
        let span = attempt.span();
        let task = self.tasks.spawn(attempt.run(handed_over).instrument(span)).id();
        self.running.insert(turn, Running { key, interrupt, answers, answered: BTreeSet::new(), task });
    }

    fn prepare(
        &self,
        turn: TurnId,
        alongside: &BTreeMap<String, Vec<TurnId>>,
        answers: mpsc::Receiver<(RequestId, Answer)>,
    ) -> Option<Attempt> {
        let engine = &self.log.engine;
        let running = engine.turn(turn)?;
        let seat = self.seats.get(usize::from(running.seat.0))?;
        let intent = engine.intent(running)?;
        let group = alongside.get(&seat.harness_name);
        let key = TurnKey { session: self.log.session(), turn, attempt: running.attempt };
        Some(Attempt {
            key,
            seat: Arc::clone(seat),
            view: View {
                bus: Arc::clone(&self.log.bus),
                session: self.log.session(),
                thread: engine.seat(running.seat)?.thread,
                reader: engine.reader(running)?,
                up_to: running.visible_up_to,
                framing: framing(engine, running),
            },
            seen: seen(engine, running.seat).0,
            continuation: (running.attempt > 1).then(|| continuation(running)),
            tools: intent.offered().filter_map(|name| self.tool_spec(name)).collect(),
            tool_choice: tool_choice(&intent.tool_choice),
            completion: completion(intent, seat.harness.info().capabilities),
            most_steps: intent.most_steps,
            own_tools: intent.offered_own().to_vec(),
            ask: intent.ask,
            limit: running.budget_left(),
            timeout: Duration::from_secs(intent.timeout_secs.into()),
            grace: Duration::from_secs(intent.grace_secs.into()),
            idle: intent.idle_secs.map(|secs| Duration::from_secs(secs.into())),
            alongside: group.cloned().unwrap_or_default(),
            mcp: self.mcp.clone(),
            port: Arc::clone(&self.port),
            interrupt: CancellationToken::new(),
            answers,
            calls: self.call_counts.enter(key),
            asked: open_questions(running),
            requests: self.outbox.clone(),
        })
    }

    pub(super) async fn turn_event(&mut self, key: TurnKey, event: TurnEvent) -> Result<()> {
        if !self.runs_here(key) {
            return Ok(());
        }
        match event {
            TurnEvent::Ended(end) => self.turn_ended(key, end).await,
            TurnEvent::Started { token, sent } => {
                let Some(seat) = self.log.engine.turn(key.turn).map(|turn| turn.seat) else { return Ok(()) };
                drop(self.seats[usize::from(seat.0)].bind(Some(token.clone())).await);
                // What it is sent now may be lost with it, and counts when it has answered.
                let seen = if sent == Sent::Delta { seen(&self.log.engine, seat) } else { NOTHING };
                self.log.note(bound(seat, Some(token), seen).in_turn(key.turn)).await
            }
            TurnEvent::PermissionAsked { request, tool, input } => {
                self.permission_asked(key, request, tool, &input).await
            }
            TurnEvent::PermissionWithdrawn { request } => self.permission_withdrawn(key, request).await,
            _ => Ok(()), // All else is traced.
        }
    }

    pub(super) async fn trace(&mut self, key: TurnKey, event: Value) -> Result<()> {
        if !self.runs_here(key) {
            return Ok(());
        }
        let traced = Traced { turn: key.turn, attempt: key.attempt, event };
        self.log.note(NewRecord::new(now(), &traced.into()).in_turn(key.turn)).await
    }

    fn runs_here(&self, key: TurnKey) -> bool {
        self.running.get(&key.turn).is_some_and(|running| running.key == key)
    }

    async fn turn_ended(&mut self, key: TurnKey, end: TurnEnd) -> Result<()> {
        let Some(seat) = self.log.engine.turn(key.turn).map(|turn| turn.seat) else { return Ok(()) };
        let runtime = Arc::clone(&self.seats[usize::from(seat.0)]);
        if let Some(old) = runtime.bind(end.token.clone()).await {
            // Its process may take its time to end; the driver waits for it when it lets go.
            self.closing.spawn(async move { drop(old.close(Close::Orderly).await) });
        }
        self.log.commit(report(&self.log.engine, key, end)).await?;
        self.running.remove(&key.turn);
        Ok(())
    }

    /// A tool that the session has; of the host's, those that it was opened with.
    fn tool_spec(&self, name: &str) -> Option<ToolSpec> {
        let Some(tool) = engine_tool(name) else {
            let has = self.log.engine.host_tools().iter().any(|tool| tool.name == name);
            return self.tools.spec(name).filter(|_| has);
        };
        let (name, description) = (tool.name().to_owned(), tool.description().to_owned());
        Some(ToolSpec::new(name, description, tool.input_schema()))
    }

    /// A task that ended without telling has panicked.
    pub(super) async fn task_ended(&mut self, ended_task: &Result<(Id, ()), JoinError>) -> Result<()> {
        let Err(error) = ended_task else { return Ok(()) };
        let turn =
            self.running.values().find(|running| running.task == error.id()).map(|running| running.key);
        match turn {
            Some(key) => self.turn_ended(key, broken(Failure::Died, "the adapter panicked")).await,
            None => Ok(()),
        }
    }
}

/// The records that tell how a turn ended.
pub(super) fn report(engine: &Engine, key: TurnKey, end: TurnEnd) -> Vec<NewRecord> {
    let Some(turn) = engine.turn(key.turn) else { return Vec::new() };
    let (at, spec) = (now(), engine.seat(turn.seat));
    let seen = match end.outcome {
        Outcome::Completed | Outcome::Empty => key.turn,
        Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled | Outcome::Lost => seen(engine, turn.seat),
    };
    let lacks_call = engine.lacks_call(turn, end.outcome);
    let no_call = lacks_call.then(|| "it ended without the tool call that its intent asks for".to_owned());
    let text = end.text.filter(|text| !text.trim().is_empty());
    let item = text.zip(spec).map(|(text, spec)| {
        (Item::message(fresh_item(), Author::agent(&spec.name), at, &*text), spec.thread)
    });
    let event = TurnEnded {
        turn: key.turn,
        attempt: key.attempt,
        outcome: end.outcome,
        item: item.as_ref().map(|(item, _)| item.id),
        usage: end.usage,
        cost: end.cost,
        reason: end.reason.or(no_call),
        failure: end.failure.or(lacks_call.then_some(Failure::NoToolCall)),
        sent: end.sent,
    };
    let mut record = NewRecord::new(at, &event.into()).in_turn(key.turn);
    if let Some((item, thread)) = item {
        let said = Op::Add { threads: vec![thread], item: item.id, how: How::Said };
        record = record.with_item(item).with_op(said);
    }
    let mut records = Driver::cut_short(turn);
    records.extend([bound(turn.seat, end.token, seen).in_turn(key.turn), record]);
    records
}

fn open_questions(turn: &RunningTurn) -> Vec<RequestId> {
    let open = turn.questions.iter().filter(|question| question.answer.is_none());
    open.map(|question| RequestId(question.request.clone())).collect()
}

/// The last turn that the seat's runtime session has answered.
fn seen(engine: &Engine, seat: SeatId) -> TurnId {
    let bound = engine.binding(seat).filter(|bound| !bound.token.is_null());
    bound.map_or(NOTHING, |bound| bound.seen)
}

/// What a runtime that can see to it is to see to. One that cannot is called again by the engine.
const fn tool_choice(choice: &party_formats::ToolChoice) -> ToolChoice {
    match choice {
        party_formats::ToolChoice::Auto | party_formats::ToolChoice::None => ToolChoice::Auto,
        party_formats::ToolChoice::Once => ToolChoice::Once,
        party_formats::ToolChoice::Until(_) => ToolChoice::Always,
    }
}

/// A turn that has to call a tool until it called a certain one is over then, where the runtime counts
/// steps; it goes on until the model is done elsewhere.
fn completion(intent: &Intent, can: Capabilities) -> Completion {
    match (&intent.completion, &intent.tool_choice) {
        (party_formats::Completion::NoToolCall, party_formats::ToolChoice::Until(tool)) if can.steps => {
            Completion::ToolCall(tool.clone())
        }
        (party_formats::Completion::NoToolCall, _) => Completion::NoToolCall,
        (party_formats::Completion::FirstStep, _) => Completion::FirstStep,
        (party_formats::Completion::ToolCall(tool), _) => Completion::ToolCall(tool.clone()),
        (party_formats::Completion::Steps(count), _) => Completion::Steps(*count),
    }
}

fn bound(seat: SeatId, token: Option<ResumeToken>, seen: TurnId) -> NewRecord {
    let token = token.map_or(Value::Null, |token| token.0);
    NewRecord::new(now(), &RuntimeBound { seat, token, seen }.into())
}

/// What a runtime session that has the message already is told after a lost attempt.
fn continuation(turn: &RunningTurn) -> String {
    format!(
        "Your turn was interrupted before it ended. Go on where you were and finish it.{}",
        answered_calls(turn)
    )
}

/// The instruction; behind it what the calls of lost attempts were answered, since the runtime may have
/// lost the calls and be sent the message again.
fn framing(engine: &Engine, turn: &RunningTurn) -> Option<Framing> {
    let (framing, calls) = (engine.framing(turn), answered_calls(turn));
    if calls.is_empty() {
        return framing;
    }
    let instruction = framing.as_ref().map_or("", Framing::text);
    Some(Framing::new(format!("{instruction}\n\nYou began this turn before, and were interrupted.{calls}")))
}

/// A line for each call of an earlier attempt that was answered. Answers come from anywhere, so their
/// tags are escaped.
fn answered_calls(turn: &RunningTurn) -> String {
    let mut text = String::new();
    for call in turn.calls.iter().filter(|call| call.attempt < turn.attempt) {
        if let Some((answer, _)) = &call.answer {
            text.push_str(&format!(
                "\nYour call of `{}` with {} was answered: {answer}",
                call.tool, call.arguments
            ));
        }
    }
    escape_tags(&text)
}
