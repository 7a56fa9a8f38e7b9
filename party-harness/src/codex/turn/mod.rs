//! A running turn: one task that reads, relays, answers, and ends it once.
//!
//! ```text
//! Order ── thread/start|resume, turn/start ──> Serving ── events ──> host
//!                                               │   ▲
//!          connection lost: resume, look ───────┘   └─ steer, answer, interrupt, tools' answers
//! ```
//!
//! One `select` does all of it, so nothing that it awaits can depend on something else that it has to
//! do. Every wait has an end: requests, questions, silence, reconnecting, and each step of a stop.

mod abandon;
mod asks;
mod begin;
mod calls;
mod reconnect;
mod said;
mod stop;

use super::{
    bill::Bill,
    codec::{Run, Status, Verdict},
    inbox::Inbox,
    inner::Inner,
    link::{Link, Trouble},
    shape::{NAMESPACE, Shape},
    token::Token,
};
use crate::{
    RawJson, RequestId, Result, Steered, TurnEnd, TurnEvent, TurnRequest,
    core::{Failure, Sent},
    session::{Busy, Command},
};
pub(super) use begin::{LOOKED_AT, Listed, turns};

use asks::Questions;
use calls::Calls;
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{collections::VecDeque, sync::Arc};
use stop::Stopping;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};

/// How many events may wait here for the host's; nothing more is read then.
const WAITING: usize = 64;

/// How many messages may wait until the turn takes them.
const STEERS: usize = 16;

/// What a host learns of a turn's start.
pub(super) type Begun = Result<()>;

/// A turn that is to be served.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) inner: Arc<Inner>,
    pub(super) request: TurnRequest,
    pub(super) shape: Shape,
    pub(super) events: mpsc::Sender<TurnEvent>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) stop: CancellationToken,
    /// Told once the turn runs, or why it does not.
    pub(super) begun: Option<oneshot::Sender<Begun>>,
    pub(super) busy: Busy,
    pub(super) held: TaskTrackerToken,
}

/// A turn that the server runs.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) link: Arc<Link>,
    pub(super) inbox: Inbox,
    pub(super) thread: String,
    pub(super) turn: String,
    pub(super) sent: Sent,
    pub(super) heard: Heard,
}

/// What was heard of a turn when it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    FromStart,
    /// It runs; what it did before was missed.
    FromNow,
    /// It may be over.
    Nothing,
}

/// The answer to a request of this task's own.
#[derive(Debug)]
enum Done {
    Interrupted(Result<RawJson, Trouble>),
    Steered(Result<RawJson, Trouble>, oneshot::Sender<Result<Steered>>),
    /// The model was told why a tool is not allowed; the question can be answered now.
    Explained(RequestId),
}

type Work = FuturesUnordered<BoxFuture<'static, Done>>;

#[derive(Debug)]
struct Serving {
    order: Order,
    at: Started,
    run: Run,
    bill: Bill,
    /// Events that wait for the host's.
    relay: VecDeque<TurnEvent>,
    read: Vec<TurnEvent>,
    announced: bool,
    calls: Calls,
    questions: Questions,
    /// Messages that came before the turn can take one.
    early: Vec<(String, oneshot::Sender<Result<Steered>>)>,
    steers: u32,
    commanded: bool,
    unheard: bool,
    stopping: Option<Stopping>,
    work: Work,
}

enum Happened {
    Relayed,
    Said(Option<super::wire::Text>),
    Lost,
    Told(Option<Command>),
    Called(Option<(String, crate::ToolReply)>),
    Done(Done),
    Unheard,
    Stop,
    Now,
    Due,
}

impl Order {
    /// Serves the turn to its end.
    pub(super) async fn run(mut self) {
        let begun = self.begun.take();
        let mut asked = None;
        match (Box::pin(self.begin(&mut asked)).await, asked) {
            (Ok(started), _) => {
                let is_heard = begun.is_none_or(|begun| begun.send(Ok(())).is_ok());
                if !is_heard {
                    self.stop.cancel();
                }
                self.serve(started).await;
            }
            (Err(error), Some(asked)) => {
                let end = self.unheard(&error, &asked);
                // It may run: only an end says that it may have cost something.
                begun.map(|begun| begun.send(Ok(())));
                Box::pin(self.abandon(&asked)).await;
                let Self { events, busy, held, .. } = self;
                drop((busy, held));
                let _ = events.send(TurnEvent::Ended(end)).await;
            }
            (Err(error), None) => {
                let Self { busy, held, .. } = self;
                drop((busy, held));
                if let Some(begun) = begun {
                    let _ = begun.send(Err(error));
                }
            }
        }
    }

    /// Serves a turn that runs.
    pub(super) async fn serve(self, started: Started) {
        let namespace: Arc<str> = NAMESPACE.into();
        let serving = Serving {
            run: Run::new(&namespace),
            bill: Bill::new(&self.inner.hub.setup, &self.inner.spec),
            at: started,
            relay: VecDeque::new(),
            read: Vec::new(),
            announced: false,
            calls: Calls::default(),
            questions: Questions::default(),
            early: Vec::new(),
            steers: 0,
            commanded: true,
            unheard: false,
            stopping: None,
            work: FuturesUnordered::new(),
            order: self,
        };
        Box::pin(serving.run()).await;
    }
}

impl Serving {
    async fn run(mut self) {
        if self.at.heard != Heard::FromStart {
            self.bill.missed();
        }
        let mut found = if self.at.heard == Heard::Nothing { Box::pin(self.lost()).await } else { None };
        let verdict = loop {
            if let Some(verdict) = found.take() {
                break verdict;
            }
            let verdict = match self.next().await {
                Happened::Relayed => None,
                Happened::Said(Some(text)) => self.said(&text),
                Happened::Said(None) | Happened::Lost => Box::pin(self.lost()).await,
                Happened::Told(command) => {
                    self.told(command);
                    None
                }
                Happened::Called(done) => {
                    if let Some((id, reply)) = done {
                        self.calls.answered(&self.at.link, &id, &reply);
                    }
                    None
                }
                Happened::Done(done) => {
                    self.done(done);
                    None
                }
                Happened::Unheard => {
                    self.unheard = true;
                    self.relay.clear();
                    self.stop(None);
                    None
                }
                Happened::Stop => {
                    self.stop(None);
                    None
                }
                Happened::Now => {
                    self.stop_now();
                    None
                }
                Happened::Due => self.due().await,
            };
            if let Some(verdict) = verdict {
                break verdict;
            }
        };
        self.end(verdict).await;
    }

    async fn next(&mut self) -> Happened {
        let due = self.due_at();
        let killed = self.order.inner.life.kill.is_cancelled() && self.stopping.is_some();
        let may_read = self.relay.len() < WAITING || self.unheard;
        let Self { order, at, relay, calls, work, stopping, unheard, .. } = self;
        let Order { events, commands, stop, inner, .. } = order;
        let overrun = at.inbox.overrun();
        tokio::select! {
            biased;
            () = inner.life.kill.cancelled(), if !killed => Happened::Now,
            () = stop.cancelled(), if stopping.is_none() => Happened::Stop,
            () = events.closed(), if !*unheard => Happened::Unheard,
            permit = events.reserve(), if !relay.is_empty() && !*unheard => {
                if let (Ok(permit), Some(event)) = (permit, relay.pop_front()) {
                    permit.send(event);
                }
                Happened::Relayed
            }
            said = at.inbox.next(), if may_read => Happened::Said(said),
            () = at.link.gone().cancelled(), if may_read => Happened::Lost,
            () = overrun.cancelled(), if !may_read => Happened::Lost,
            Some(done) = work.next(), if !work.is_empty() => Happened::Done(done),
            done = calls.done(), if !calls.is_empty() => Happened::Called(done),
            command = commands.recv(), if self.commanded => Happened::Told(command),
            () = sleep_until(due) => Happened::Due,
        }
    }

    /// When the next wait has taken too long.
    fn due_at(&self) -> Instant {
        let limits = &self.order.inner.hub.setup.limits;
        if let Some(stopping) = &self.stopping {
            return stopping.due();
        }
        // A tool that is still at work, or a question that waits, is no silence of the runtime.
        let is_awaited = !self.calls.is_empty() || !self.questions.is_empty() || self.relay.len() >= WAITING;
        let silent =
            if is_awaited { Instant::now() + limits.idle } else { self.at.inbox.seen() + limits.idle };
        self.questions.due().map_or(silent, |due| due.min(silent))
    }

    fn push(&mut self, event: TurnEvent) {
        if !self.unheard {
            self.relay.push_back(event);
        }
    }

    /// The turn's start, told once, when it can be resumed.
    fn announce(&mut self) {
        if !std::mem::replace(&mut self.announced, true) {
            let token = self.token();
            self.order.inner.remember(Some(token.clone()), Some(&self.at.link));
            self.push(TurnEvent::Started { token: token.write(), sent: self.at.sent });
        }
    }

    fn token(&self) -> Token {
        let (place, shape) = (self.order.inner.place.clone(), self.order.shape.hash());
        Token::new(place, self.at.thread.clone(), shape)
    }

    /// What the turn came to, whatever became of its connection: nothing of it is left when it is told.
    async fn end(mut self, verdict: Verdict) {
        let verdict = self.judged(verdict);
        self.calls.end();
        for request in self.questions.end() {
            self.push(TurnEvent::PermissionWithdrawn { request });
        }
        for (_, reply) in std::mem::take(&mut self.early) {
            let _ = reply.send(Ok(Steered::TooLate));
        }
        let inner = Arc::clone(&self.order.inner);
        let link = Some(&*self.at.link).filter(|link| !link.gone().is_cancelled());
        inner.clean(link, &self.order.shape, &self.at.thread).await;
        if matches!(verdict.status, Status::Answered | Status::Silent) {
            self.announce();
        }
        let (sent, token) = (self.at.sent, self.order.inner.token().map(|token| token.write()));
        let Self { relay, order, unheard, bill, .. } = self;
        let cost = bill.of(&verdict);
        let Verdict { status, text, reason, failure, usage } = verdict;
        let end = TurnEnd { outcome: status.outcome(), text, usage, cost, reason, failure, sent, token };
        let Order { events, busy, held, .. } = order;
        // Nothing runs any more: whoever closes the session waits for no reader.
        drop(held);
        for event in relay {
            let is_heard = !unheard && events.send(event).await.is_ok();
            if !is_heard {
                break;
            }
        }
        drop(busy);
        let _ = events.send(TurnEvent::Ended(end)).await;
    }
}

/// An end that the server does not tell of.
fn broken(run: &mut Run, reason: impl Into<String>, failure: Failure) -> Verdict {
    let cut = run.conclude();
    let (text, usage) = cut.map(|cut| (cut.text, cut.usage)).unwrap_or_default();
    let reason = Some(super::codec::one_line(&reason.into()));
    Verdict { status: Status::Failed, text, reason, failure: Some(failure), usage }
}
