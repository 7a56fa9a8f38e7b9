//! A running turn: one run of the gateway, over as many connections as it takes, and one end.

use super::{
    codec::{Frame, Run, Status, Step, Verdict},
    history::Past,
    inner::Inner,
    link::{Answers, Conn, Events, Gone},
    order::Order,
    outbox::Outbox,
};
use crate::{Result, TurnEvent, session::Busy};
use futures::future::BoxFuture;
use party_core::Usage;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};

/// How long a gateway is asked to wait for a run at a time.
const WAIT: Duration = Duration::from_secs(20);

/// How long lies between two requests that came to nothing.
const PAUSE: Duration = Duration::from_millis(200);

/// How many connections a run may take, and how long lies between two at most.
const MOST_RIDES: u32 = 8;
const MOST_PAUSE: Duration = Duration::from_secs(2);

/// How long the last answer may take behind the last event; it holds the whole text.
const LAST: Duration = Duration::from_secs(15);

/// How long a run may take to end that is killed.
const KILL: Duration = Duration::from_secs(2);

/// Why a run that is not asked for again has no end.
const RESTARTED: &str = "the gateway was restarted in the middle of the run";
const FORGOTTEN: &str = "the gateway was out of reach for too long to be asked for the run again";

/// What is said of a run that was to be stopped while it was out of reach.
const UNCONFIRMED: &str = ", but the gateway cannot confirm it";

/// A turn in its task.
#[derive(Debug)]
pub(super) struct Running {
    inner: Arc<Inner>,
    order: Order,
    out: Outbox,
    run: Run,
    stop: CancellationToken,
    has_begun: bool,
    /// When the run was told to end, and why; and when there was no more time for that.
    stopping: Option<(Instant, Status)>,
    killed: Option<Instant>,
    /// How many connections it took.
    rides: u32,
    /// Until when the gateway surely knows the order by its key, and does not take it for a new one.
    known_until: Instant,
    /// The turn ended before it was sure that the run has.
    is_loose: bool,
}

/// How one connection ended for the run.
enum Left {
    Over(Box<Verdict>),
    Gone(Gone),
}

/// Something that happened.
enum Heard {
    Answer(Option<crate::socket::Text>),
    Event(Option<crate::socket::Text>),
    Waited(Result<Value>),
    Aborted,
    HandedOn,
    Stop,
    Kill,
    Late,
}

/// The run on one connection.
struct Ride {
    conn: Arc<Conn>,
    answers: Answers,
    events: Events,
    has_events: bool,
    is_answered: bool,
    since: Instant,
    over_since: Option<Instant>,
    waiting: Option<BoxFuture<'static, Result<Value>>>,
    aborting: Option<BoxFuture<'static, ()>>,
}

impl Running {
    pub(super) fn new(
        inner: Arc<Inner>,
        order: Order,
        events: mpsc::Sender<TurnEvent>,
        stop: CancellationToken,
    ) -> Self {
        let (out, run) = (Outbox::new(events), Run::new(&order.tools.prefix));
        let known_until = Instant::now() + inner.setup.patience.reconnect;
        let (has_begun, stopping, killed, rides, is_loose) = (false, None, None, 0, false);
        Self { inner, order, out, run, stop, has_begun, stopping, killed, rides, known_until, is_loose }
    }

    pub(super) async fn run(mut self, busy: Busy, task: TaskTrackerToken) {
        let verdict = Box::pin(self.through()).await;
        let Self { inner, order, mut out, is_loose, .. } = self;
        let had_tools = !order.tools.names.is_empty();
        drop(order.tools);
        if had_tools {
            inner.ways.node.tidy();
        }
        if verdict.usage != Usage::default() {
            out.push(TurnEvent::Spent { usage: verdict.usage, cost: inner.cost(&verdict) });
        }
        if is_loose {
            inner.leave(&order.token);
        }
        let end = inner.ended(verdict, order.sent);
        drop((busy, task));
        out.end(TurnEvent::Ended(end)).await;
    }

    /// The run from its first connection to its end.
    async fn through(&mut self) -> Verdict {
        let mut conn = Arc::clone(&self.order.conn);
        loop {
            let gone = match self.on(&conn).await {
                Left::Over(verdict) => return *verdict,
                Left::Gone(gone) => gone,
            };
            match self.again(&conn, &gone).await {
                Ok(next) if next.hello.boot != conn.hello.boot => {
                    return self.written(&next, RESTARTED).await;
                }
                Ok(next) if Instant::now() >= self.known_until => {
                    let verdict = self.written(&next, FORGOTTEN).await;
                    self.is_loose = verdict.status == Status::Cut && !self.can_be_stopped(&next).await;
                    return verdict;
                }
                Ok(next) => conn = next,
                Err(verdict) => return verdict,
            }
        }
    }

    /// Another connection, where one is worth it. A run that is to be stopped needs one too.
    async fn again(&mut self, conn: &Conn, gone: &Gone) -> Result<Arc<Conn>, Verdict> {
        if !gone.may_pass() || self.rides > MOST_RIDES {
            return Err(self.lost(gone.error().to_string()));
        }
        tracing::debug!(boot = conn.hello.boot, "a connection was lost in the middle of a run");
        let (link, pause) = (Arc::clone(&self.inner.ways.operator), (PAUSE * self.rides).min(MOST_PAUSE));
        // What is written down is looked for also when it is too late for the order.
        let end = self.known_until.max(Instant::now() + pause + self.inner.setup.patience.answer);
        let mut connecting = Box::pin(async move {
            sleep(pause).await;
            link.conn(end.saturating_duration_since(Instant::now())).await
        });
        if self.stopping.is_none() {
            tokio::select! {
                connected = &mut connecting => return connected.map_err(|error| self.lost(after(gone, &error))),
                () = self.wants_stop() => self.stopping = Some((Instant::now(), Status::Cancelled)),
            }
        }
        let connected = tokio::select! {
            connected = connecting => connected.map_err(|error| after(gone, &error)),
            () = self.gives_up() => Err(gone.error().to_string()),
        };
        connected.map_err(|why| self.lost(why))
    }

    /// The end of a turn whose run is out of reach.
    fn lost(&mut self, why: String) -> Verdict {
        self.is_loose = true;
        match self.stopping {
            Some((_, status)) => stopped(status, UNCONFIRMED),
            None if self.has_begun => Verdict::bare(Status::Cut, why),
            None => Verdict::bare(Status::Failed, why),
        }
    }

    /// Waits until there is no more time to stop the run.
    async fn gives_up(&self) {
        let Some((since, _)) = self.stopping else { return std::future::pending().await };
        tokio::select! {
            () = sleep_until(since + self.inner.setup.patience.stop) => {}
            () = async { self.inner.life.kill.cancelled().await; sleep(KILL).await } => {}
        }
    }

    /// What the gateway wrote down of a run that is gone, or that it may have forgotten. It is not asked
    /// again: the run may have been paid.
    async fn written(&self, conn: &Conn, why: &str) -> Verdict {
        let cut = || Verdict::bare(Status::Cut, why);
        match Past::read(conn, &self.order.token.key, self.inner.setup.patience.answer).await {
            Ok(past) => past.verdict(&self.order.run).unwrap_or_else(cut),
            Err(_) => cut(),
        }
    }

    /// The run on one connection: it is ordered there, which a gateway that has it takes for a question.
    async fn on(&mut self, conn: &Arc<Conn>) -> Left {
        self.rides += 1;
        if self.rides > 1 && self.stopping.is_some() && !self.can_be_stopped(conn).await && !self.has_begun {
            self.is_loose = true;
            return Left::Over(Box::new(stopped(Status::Cancelled, UNCONFIRMED)));
        }
        let events = conn.follow(Some(&self.order.run));
        let Ok(answers) = conn.start("agent", self.order.params.clone()).await else {
            return Left::Gone(conn.ended().await);
        };
        let mut ride = Ride {
            conn: Arc::clone(conn),
            answers,
            events,
            has_events: true,
            is_answered: false,
            since: Instant::now(),
            over_since: None,
            waiting: None,
            aborting: None,
        };
        if self.stopping.is_some() {
            self.abort(&mut ride, PAUSE);
        }
        loop {
            let heard = self.hear(&mut ride).await;
            if let Some(left) = self.take(&mut ride, heard).await {
                if ride.is_answered && matches!(left, Left::Gone(_)) {
                    self.known_until = Instant::now() + self.inner.setup.patience.reconnect;
                }
                return left;
            }
        }
    }

    /// Tells a run to stop over another connection, before it is asked for: an order that never arrived
    /// would begin it.
    async fn can_be_stopped(&self, conn: &Arc<Conn>) -> bool {
        let params = json!({"sessionKey": self.order.token.key, "runId": self.order.run});
        let asking = conn.ask("chat.abort", params, self.inner.setup.patience.stop);
        let aborted = tokio::select! {
            asked = asking => asked.is_ok_and(|reply| reply.ok && reply.payload["aborted"] == true),
            () = self.gives_up() => false,
        };
        aborted
    }

    async fn hear(&mut self, ride: &mut Ride) -> Heard {
        let late = self.late(ride);
        let (is_stopping, is_killed) = (self.stopping.is_some(), self.killed.is_some());
        let has_out = !self.out.is_empty();
        let stop = wants_stop(&self.stop, &self.inner);
        let (sender, killed) = (&mut self.out, &self.inner.life.kill);
        tokio::select! {
            // However much a gateway tells, its run can be stopped.
            biased;
            () = stop, if !is_stopping => Heard::Stop,
            () = killed.cancelled(), if is_stopping && !is_killed => Heard::Kill,
            () = sleep_until(late) => Heard::Late,
            () = async { if has_out { sender.hand_on().await } else { sender.closed().await } },
                if has_out || !is_stopping => if has_out { Heard::HandedOn } else { Heard::Stop },
            () = maybe(&mut ride.aborting) => Heard::Aborted,
            // Frames came in this order: what tells of the run, then its last answer.
            event = ride.events.next(), if ride.has_events => Heard::Event(event),
            answer = ride.answers.next() => Heard::Answer(answer),
            waited = maybe(&mut ride.waiting) => Heard::Waited(waited),
        }
    }

    /// When something has taken too long.
    fn late(&self, ride: &Ride) -> Instant {
        let patience = &self.inner.setup.patience;
        match (self.stopping, ride.over_since) {
            (Some((since, _)), _) => {
                let end = since + patience.stop;
                self.killed.map_or(end, |killed| end.min(killed + KILL))
            }
            (None, Some(since)) => since + LAST,
            (None, None) if !ride.is_answered => ride.since + patience.answer,
            (None, None) => ride.since + patience.silence,
        }
    }

    async fn take(&mut self, ride: &mut Ride, heard: Heard) -> Option<Left> {
        match heard {
            Heard::Event(Some(text)) => self.event(ride, &text),
            Heard::Event(None) => ride.has_events = false,
            Heard::Answer(Some(text)) => return self.answer(ride, &text),
            Heard::Answer(None) => return Some(Left::Gone(ride.conn.ended().await)),
            Heard::Waited(waited) => return self.waited(ride, waited).await,
            Heard::Aborted => self.abort(ride, PAUSE),
            Heard::Stop => self.stop(ride, Status::Cancelled),
            Heard::Kill => self.killed = Some(Instant::now()),
            Heard::HandedOn => {}
            Heard::Late => return self.was_late(ride),
        }
        None
    }

    fn event(&mut self, ride: &mut Ride, text: &str) {
        let Some(Frame::Event(event)) = Frame::read(text) else { return };
        ride.since = Instant::now();
        let events = self.run.event(&event);
        if !events.is_empty() {
            self.begin();
        }
        events.into_iter().for_each(|event| self.out.push(event));
        if self.run.is_over() {
            ride.over_since.get_or_insert(ride.since);
        }
    }

    fn answer(&mut self, ride: &mut Ride, text: &str) -> Option<Left> {
        while let Some(event) = ride.events.now() {
            self.event(ride, &event);
        }
        let Some(Frame::Answer(answer)) = Frame::read(text) else { return None };
        if !std::mem::replace(&mut ride.is_answered, true) {
            ride.since = Instant::now();
        }
        match self.run.answer(&answer, &answer.fields()) {
            Step::Accepted(_) => self.begin(),
            Step::InFlight => {
                self.begin();
                ride.waiting = Some(self.wait(&ride.conn, Duration::ZERO));
            }
            Step::Over(verdict) => return Some(Left::Over(self.judged(verdict))),
            Step::Nothing => {}
        }
        None
    }

    /// A run whose end is not told over this connection is asked for.
    fn wait(&self, conn: &Arc<Conn>, pause: Duration) -> BoxFuture<'static, Result<Value>> {
        let (conn, run) = (Arc::clone(conn), self.order.run.clone());
        let patience = WAIT + self.inner.setup.patience.answer;
        Box::pin(async move {
            sleep(pause).await;
            let params = json!({"runId": run, "timeoutMs": WAIT.as_millis() as u64});
            conn.ask("agent.wait", params, patience).await?.payload("to wait for a run")
        })
    }

    /// Where it has ended, the same order is answered by the whole end; where that says "in flight" once
    /// more, it is waited for once more.
    async fn waited(&mut self, ride: &mut Ride, waited: Result<Value>) -> Option<Left> {
        ride.waiting = None;
        let waited = match waited {
            Ok(waited) => waited,
            Err(error) => return Some(Left::Gone(Gone::passing(&error))),
        };
        let has_ended = match waited["status"].as_str() {
            Some("ok" | "error") => true,
            Some("timeout") => waited["error"].is_string() || waited["endedAt"].is_number(),
            _ => false,
        };
        if !has_ended {
            // That it has not ended is no sign of life: the gateway says so of any run.
            ride.waiting = Some(self.wait(&ride.conn, PAUSE));
            return None;
        }
        sleep(PAUSE).await;
        match ride.conn.start("agent", self.order.params.clone()).await {
            Ok(answers) => ride.answers = answers,
            Err(_) => return Some(Left::Gone(ride.conn.ended().await)),
        }
        None
    }

    fn stop(&mut self, ride: &mut Ride, status: Status) {
        self.stopping.get_or_insert((Instant::now(), status));
        self.abort(ride, Duration::ZERO);
    }

    /// Again and again: the gateway may not know the run yet.
    fn abort(&self, ride: &mut Ride, pause: Duration) {
        let (conn, patience) = (Arc::clone(&ride.conn), self.inner.setup.patience.stop);
        let params = json!({"sessionKey": self.order.token.key, "runId": self.order.run});
        ride.aborting = Some(Box::pin(async move {
            sleep(pause).await;
            if let Err(error) = conn.ask("chat.abort", params, patience).await {
                tracing::debug!(%error, "a run could not be told to stop");
            }
        }));
    }

    fn was_late(&mut self, ride: &mut Ride) -> Option<Left> {
        let over = |verdict| Some(Left::Over(Box::new(verdict)));
        let patience = &self.inner.setup.patience;
        match (self.stopping, ride.over_since) {
            (Some((_, status)), _) => {
                self.is_loose = true;
                over(stopped(status, ", but the gateway does not say that it has ended"))
            }
            (None, Some(_)) => over(self.run.conclude().unwrap_or_else(|| Verdict::bare(Status::Cut, ""))),
            (None, None) if !ride.is_answered => {
                self.is_loose = true;
                let waited = patience.answer.as_millis();
                over(Verdict::bare(Status::Cut, format!("the gateway takes no run within {waited} ms")))
            }
            // A tool takes as long as it takes. What becomes of it only the first connection is told.
            (None, None) if self.run.is_calling() && self.rides == 1 => {
                ride.since = Instant::now();
                None
            }
            (None, None) => {
                self.stop(ride, Status::TimedOut);
                None
            }
        }
    }

    /// The end, as far as it was this host who asked for it.
    fn judged(&mut self, mut verdict: Box<Verdict>) -> Box<Verdict> {
        if let (Some((_, status)), Status::Cancelled) = (self.stopping, verdict.status) {
            verdict.status = status;
            verdict.reason = stopped(status, "").reason;
        }
        if verdict.status != Status::Refused {
            self.begin();
        }
        verdict
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let began = self.inner.began(&self.order.token, self.order.sent);
            self.out.push(began);
        }
    }

    async fn wants_stop(&self) {
        tokio::select! { () = wants_stop(&self.stop, &self.inner) => {}, () = self.out.closed() => {} }
    }
}

async fn wants_stop(stop: &CancellationToken, inner: &Inner) {
    tokio::select! { () = stop.cancelled() => {}, () = inner.life.kill.cancelled() => {} }
}

/// What comes of something that may not be under way.
async fn maybe<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(under_way) => {
            let done = under_way.await;
            *future = None;
            done
        }
        None => std::future::pending().await,
    }
}

fn after(gone: &Gone, error: &crate::Error) -> String {
    format!("{}; then {error}", gone.error())
}

fn stopped(status: Status, more: &str) -> Verdict {
    let why = match status {
        Status::TimedOut => "the run told nothing of itself for too long and was stopped",
        _ => "the run was stopped",
    };
    Verdict::bare(status, format!("{why}{more}"))
}
