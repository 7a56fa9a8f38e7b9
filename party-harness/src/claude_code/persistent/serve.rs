//! A turn in its process: one `select`, one method per thing that happens.

use super::{
    Command, Order,
    asked::{self, Needs},
    calls::Calls,
    lines,
    live::{Live, Next},
    mcp,
    receipts::{Note, Receipts},
};
use crate::claude_code::{
    attempt::Attempt,
    codec::{Control, Decoded, Status, Verdict},
    identity::further_id,
    launch::{Message, stdin_line},
    session::Inner,
    tools::full_names,
};
use crate::{Answer, Error, ErrorKind, RawJson, RequestId, Result, Steered, ToolCall, ToolReply, TurnEvent};
use party_core::{Cost, Failure, Usd};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

/// How many messages to the agent may wait until its turn has begun, and how many questions of the CLI
/// for an answer.
const MOST_WAITING: usize = 64;

/// A turn, over all launches that it takes.
#[derive(Debug)]
pub(super) struct Serving {
    inner: Arc<Inner>,
    pub(super) order: Order,
    /// What the reader is told next. Nothing is read from the CLI while something waits here.
    queue: VecDeque<TurnEvent>,
    started: bool,
    listened: bool,
    commanded: bool,
    /// Messages to a run that has not begun.
    early: Vec<String>,
    questions: BTreeMap<String, RawJson>,
    calls: Calls,
    receipts: Receipts,
    stopping: Option<Stopping>,
    /// When a message that the CLI passes over is given up.
    late: Option<Instant>,
    out_of_step: bool,
    fatal: Option<String>,
    numbers: u32,
}

/// How a turn is stopped, ever less kindly.
#[derive(Debug)]
struct Stopping {
    at: Instant,
    signals: Vec<Signal>,
    /// Whether the process itself was asked to end.
    hard: bool,
}

/// How a turn left its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Alive,
    Gone,
}

#[derive(Debug)]
enum Happened {
    Next(Next),
    Told(Option<Command>),
    Called(Option<(String, Value, ToolReply)>),
    Relayed,
    Unheard,
    Stop,
    Now,
    Due,
}

impl Serving {
    pub(super) fn new(inner: &Arc<Inner>, order: Order) -> Self {
        Self {
            inner: Arc::clone(inner),
            order,
            queue: VecDeque::new(),
            started: false,
            listened: true,
            commanded: true,
            early: Vec::new(),
            questions: BTreeMap::new(),
            calls: Calls::default(),
            receipts: Receipts::new(String::new()),
            stopping: None,
            late: None,
            out_of_step: false,
            fatal: None,
            numbers: 0,
        }
    }

    /// An id for a further message.
    pub(super) fn further_id(&mut self) -> String {
        self.numbers += 1;
        further_id(&self.inner.spec, self.order.request.key, self.numbers)
    }

    pub(super) const fn is_stopped(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether the process can serve the next turn.
    pub(super) fn leaves_in_step(&self) -> bool {
        let hard = self.stopping.as_ref().is_some_and(|stopping| stopping.hard);
        !hard && !self.out_of_step && (self.receipts.is_taken() || self.receipts.is_repeated())
    }

    /// Whether the CLI never came to work on the turn.
    pub(super) const fn never_ran(&self) -> bool {
        !self.receipts.ran()
    }

    /// The turn's message, whose id is `first`, is on its way to `live`. Serves until the turn is over
    /// there.
    pub(super) async fn serve(&mut self, live: &mut Live, attempt: &Attempt, first: String) -> Left {
        self.receipts = Receipts::new(first);
        while !self.is_over(live) {
            match self.happens(live).await {
                Happened::Next(Next::Gone) => return Left::Gone,
                Happened::Next(Next::Said(said)) => self.said(live, attempt, said).await,
                Happened::Told(command) => self.told(live, command),
                Happened::Called(done) => answered(live, done),
                Happened::Relayed => {}
                Happened::Unheard => self.unheard(live),
                Happened::Stop => self.stop(live),
                Happened::Now => self.stop_now(live).await,
                Happened::Due => self.due(live).await,
            }
        }
        Left::Alive
    }

    /// Each of these is safe to cancel.
    async fn happens(&mut self, live: &mut Live) -> Happened {
        let deadline = self.deadline(live);
        let due = async {
            match deadline {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let hard = self.stopping.as_ref().is_some_and(|stopping| stopping.hard);
        let Order { events, commands, stop, .. } = &mut self.order;
        tokio::select! {
            next = live.next(self.queue.is_empty()) => Happened::Next(next),
            Ok(permit) = events.reserve(), if !self.queue.is_empty() => {
                if let Some(event) = self.queue.pop_front() {
                    permit.send(event);
                }
                Happened::Relayed
            }
            command = commands.recv(), if self.commanded => Happened::Told(command),
            done = self.calls.done(), if !self.calls.is_empty() => Happened::Called(done),
            () = events.closed(), if self.listened => Happened::Unheard,
            () = stop.cancelled(), if self.stopping.is_none() => Happened::Stop,
            () = self.inner.kill.cancelled(), if !hard => Happened::Now,
            () = due => Happened::Due,
        }
    }

    fn deadline(&self, live: &Live) -> Option<Instant> {
        let stopping = self.stopping.as_ref().map(|stopping| stopping.at);
        [stopping, self.late, live.opening].into_iter().flatten().min()
    }

    fn is_over(&self, live: &Live) -> bool {
        if live.decoder.poisoned().is_some() || self.fatal.is_some() {
            return false;
        }
        let at_rest = live.decoder.is_done() || !self.receipts.ran();
        self.out_of_step || (self.receipts.is_settled() && at_rest)
    }

    async fn said(&mut self, live: &mut Live, attempt: &Attempt, said: Vec<Decoded>) {
        for decoded in said {
            match decoded {
                Decoded::Session(id) => {
                    live.session = Some(id.clone());
                    self.named(id, attempt);
                }
                Decoded::Event(event) => self.event(live, event),
                Decoded::Control(control) => self.control(live, control),
            }
        }
        if live.decoder.poisoned().is_some() || self.fatal.is_some() {
            live.child.kill().await;
        }
        let waits = live.decoder.is_done() && !self.receipts.is_settled();
        if live.decoder.is_done() {
            self.receipts.paused();
        }
        // What was sent late begins a run of its own at once.
        self.late =
            waits.then(|| self.late.unwrap_or_else(|| Instant::now() + self.inner.setup.patience.exit));
    }

    /// The turn runs in the session `id`; said once.
    pub(super) fn named(&mut self, id: String, attempt: &Attempt) {
        let started = self.inner.named(id, attempt);
        if !std::mem::replace(&mut self.started, true) {
            self.emit(started);
        }
    }

    fn event(&mut self, live: &mut Live, event: TurnEvent) {
        let TurnEvent::Raw { event: raw } = &event else { return self.emit(event) };
        let Some(note) = Note::read(raw) else { return self.emit(event) };
        self.receipts.note(&note);
        match note {
            // A message that could not be called back has a run of its own now.
            Note::Begun if self.is_stopped() => live.write(&lines::interrupt(self.number())),
            _ if self.receipts.is_taken() => self.send_early(live),
            _ => {}
        }
        if note == Note::Begun {
            self.emit(event);
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers.into()
    }

    fn emit(&mut self, event: TurnEvent) {
        if self.listened {
            self.queue.push_back(event);
        }
    }

    fn control(&mut self, live: &mut Live, control: Control) {
        match control {
            Control::Asked { id, what } => {
                let needs = asked::read(&id, what, live.shape.tools());
                self.asked(live, id, needs);
            }
            Control::Withdrawn { id } => {
                self.calls.forget(&id);
                if self.questions.remove(&id).is_some() {
                    self.emit(TurnEvent::PermissionWithdrawn { request: RequestId(id) });
                }
            }
            Control::Answered { id, answer } if id == lines::INITIALIZE => {
                live.opening = None;
                self.fatal = answer.err().map(|why| format!("claude refused the control protocol: {why}"));
            }
            Control::Answered { .. } => {}
        }
    }

    fn asked(&mut self, live: &mut Live, id: String, needs: Needs) {
        match needs {
            Needs::Line(line) => live.write(&line),
            Needs::Forget(request, line) => {
                self.calls.forget_id(&request);
                live.write(&line);
            }
            Needs::Call { id: request, call, name, arguments } => {
                let key = self.order.request.key;
                let call = ToolCall { key, id: call.unwrap_or_else(|| id.clone()), name, arguments };
                if !self.calls.begin(&self.inner.tools, id.clone(), request.clone(), call) {
                    live.write(&lines::mcp(&id, &mcp::error(&request, -32000, "too many calls at once")));
                }
            }
            Needs::Leave { tool, input } => self.leave(live, id, tool, input),
        }
    }

    /// The host's own tools are allowed to whoever has them.
    fn leave(&mut self, live: &mut Live, id: String, tool: String, input: RawJson) {
        if full_names(mcp::SERVER, live.shape.tools()).contains(&tool) {
            return live.write(&lines::allow(&id, &input));
        }
        if !self.order.request.ask || self.questions.len() >= MOST_WAITING {
            return live.write(&lines::deny(&id, "this turn may not use the tool"));
        }
        self.questions.insert(id.clone(), input.clone());
        self.emit(TurnEvent::PermissionAsked { request: RequestId(id), tool, input });
    }

    fn told(&mut self, live: &mut Live, command: Option<Command>) {
        match command {
            Some(Command::Steer(text, reply)) => self.steer(live, text, reply),
            Some(Command::Answer(RequestId(id), answer)) => {
                let Some(input) = self.questions.remove(&id) else { return };
                live.write(&match answer {
                    Answer::Allow => lines::allow(&id, &input),
                    Answer::Deny { why } => lines::deny(&id, &why),
                });
            }
            None => self.commanded = false,
        }
    }

    /// A message waits until the turn's own is taken: the CLI would merge them.
    fn steer(&mut self, live: &mut Live, text: String, reply: oneshot::Sender<Result<Steered>>) {
        let steered = if self.is_stopped() {
            Ok(Steered::TooLate)
        } else if self.early.len() >= MOST_WAITING {
            Err(Error::new(ErrorKind::Busy, "too many messages wait for the turn to begin"))
        } else {
            self.early.push(text);
            Ok(Steered::Taken)
        };
        let _ = reply.send(steered);
        if self.receipts.is_taken() {
            self.send_early(live);
        }
    }

    fn send_early(&mut self, live: &mut Live) {
        for text in std::mem::take(&mut self.early) {
            let id = self.further_id();
            live.write(&stdin_line(&Message { text, id: Some(id.clone()) }));
            self.receipts.sent(id);
        }
    }

    /// Nobody reads the events any more.
    fn unheard(&mut self, live: &mut Live) {
        self.listened = false;
        self.queue.clear();
        self.stop(live);
    }

    fn stop(&mut self, live: &mut Live) {
        if self.stopping.is_none() {
            let at = Instant::now() + self.inner.setup.patience.rung;
            // The last comes first.
            self.stopping = Some(Stopping { at, signals: vec![Signal::TERM, Signal::INT], hard: false });
            self.early.clear();
            live.write(&lines::interrupt(self.number()));
        }
    }

    async fn stop_now(&mut self, live: &mut Live) {
        let at = Instant::now() + self.inner.setup.patience.rung;
        self.stopping = Some(Stopping { at, signals: Vec::new(), hard: true });
        live.child.kill().await;
    }

    /// Whatever was awaited did not come in time.
    async fn due(&mut self, live: &mut Live) {
        let now = Instant::now();
        let rung = self.inner.setup.patience.rung;
        if let Some(stopping) = self.stopping.as_mut().filter(|stopping| stopping.at <= now) {
            (stopping.hard, stopping.at) = (true, now + rung);
            match stopping.signals.pop() {
                Some(signal) => live.child.signal(signal),
                None => live.child.kill().await,
            }
        } else if self.late.is_some_and(|late| late <= now) {
            self.out_of_step = true;
        } else if live.opening.take_if(|opening| *opening <= now).is_some() {
            self.fatal = Some("claude does not answer the control protocol".to_owned());
            live.child.kill().await;
        }
    }

    /// What the turn came to, in a process that goes on.
    pub(super) fn verdict(&mut self, live: &mut Live) -> Verdict {
        let mut verdict = live.decoder.end_turn();
        if self.receipts.is_repeated() {
            let reason = "claude has the message already, and does nothing with it".to_owned();
            (verdict.status, verdict.reason) = (Status::Repeated, Some(reason));
            verdict.failure = Some(Failure::Other);
        } else if self.never_ran() && self.is_stopped() {
            (verdict.status, verdict.reason) = (Status::Cancelled, Some("interrupted".to_owned()));
            verdict.failure = None;
        }
        if self.never_ran() {
            verdict.cost = Cost::Reported(Usd::ZERO);
            verdict.session.clone_from(&live.session);
        }
        // Whatever the CLI still waits for, it waits for in vain.
        for (request, id) in self.calls.end() {
            live.write(&lines::mcp(&request, &mcp::error(&id, -32600, "the turn is over")));
        }
        for id in std::mem::take(&mut self.questions).into_keys() {
            live.write(&lines::deny(&id, "the turn is over"));
            self.emit(TurnEvent::PermissionWithdrawn { request: RequestId(id) });
        }
        self.late = None;
        verdict
    }

    /// What the turn came to, as its process is gone.
    pub(super) fn last_verdict(&mut self, rest: Vec<Decoded>, mut verdict: Verdict) -> Verdict {
        for decoded in rest {
            if let Decoded::Event(event) = decoded {
                self.emit(event);
            }
        }
        if let Some(why) = self.fatal.take() {
            (verdict.status, verdict.reason) = (Status::Failed, Some(why));
            verdict.failure = Some(Failure::Died);
        }
        self.calls.end();
        for id in std::mem::take(&mut self.questions).into_keys() {
            self.emit(TurnEvent::PermissionWithdrawn { request: RequestId(id) });
        }
        self.late = None;
        verdict
    }

    /// The next event that the reader has not been told. Safe to cancel.
    pub(super) async fn deliver(&mut self) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        match (self.order.events.reserve().await, self.queue.pop_front()) {
            (Ok(permit), Some(event)) => permit.send(event),
            _ => self.queue.clear(),
        }
        true
    }
}

fn answered(live: &mut Live, done: Option<(String, Value, ToolReply)>) {
    if let Some((request, id, reply)) = done {
        live.write(&lines::mcp(&request, &mcp::answer(&id, &reply)));
    }
}
