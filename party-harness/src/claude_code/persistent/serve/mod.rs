//! A turn in its process: one `select`, one method per thing that happens.

mod said;
mod stopping;
mod told;

use super::{
    Command, Order,
    calls::Calls,
    lines,
    live::{Live, Next},
    mcp,
    receipts::Receipts,
    relay::Relay,
};
use crate::claude_code::{
    attempt::Attempt,
    codec::{Decoded, Status, Verdict},
    identity::further_id,
    inner::Inner,
};
use crate::{RawJson, RequestId, ToolReply, TurnEvent};
use party_core::{Cost, Failure, Usd};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use stopping::Stopping;
use tokio::time::{Instant, sleep_until};

/// How many messages to the agent may wait until its turn has begun, and how many questions of the CLI
/// for an answer.
const MOST_WAITING: usize = 64;

/// A turn, over all launches that it takes.
#[derive(Debug)]
pub(super) struct Serving {
    inner: Arc<Inner>,
    pub(super) order: Order,
    pub(super) relay: Relay,
    started: bool,
    commanded: bool,
    /// Messages to a run that has not begun.
    early: Vec<String>,
    questions: BTreeMap<String, RawJson>,
    calls: Calls,
    receipts: Receipts,
    stopping: Option<Stopping>,
    /// A run was stopped, and another one followed.
    cut: bool,
    /// When a message that the CLI passes over is given up.
    late: Option<Instant>,
    out_of_step: bool,
    fatal: Option<String>,
    numbers: u32,
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
            relay: Relay::new(order.events.clone()),
            order,
            started: false,
            commanded: true,
            early: Vec::new(),
            questions: BTreeMap::new(),
            calls: Calls::default(),
            receipts: Receipts::new(String::new()),
            stopping: None,
            cut: false,
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

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers.into()
    }

    pub(super) const fn is_stopped(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether the process can serve the next turn.
    pub(super) fn leaves_in_step(&self) -> bool {
        let forced = self.stopping.as_ref().is_some_and(Stopping::has_signalled);
        !forced && !self.out_of_step && (self.receipts.is_taken() || self.receipts.is_repeated())
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
        let killed = self.stopping.as_ref().is_some_and(Stopping::has_killed);
        let Order { events, commands, stop, .. } = &mut self.order;
        let (read, heard) = (self.relay.is_empty(), self.relay.is_heard());
        tokio::select! {
            // Nothing is read while something waits for the reader.
            next = live.next(read) => Happened::Next(next),
            () = self.relay.next(), if !read => Happened::Relayed,
            command = commands.recv(), if self.commanded => Happened::Told(command),
            done = self.calls.done(), if !self.calls.is_empty() => Happened::Called(done),
            () = events.closed(), if heard => Happened::Unheard,
            () = stop.cancelled(), if self.stopping.is_none() => Happened::Stop,
            () = self.inner.life.kill.cancelled(), if !killed => Happened::Now,
            () = due => Happened::Due,
        }
    }

    fn deadline(&self, live: &Live) -> Option<Instant> {
        let stopping = self.stopping.as_ref().map(Stopping::due);
        [stopping, self.late, live.opening].into_iter().flatten().min()
    }

    fn is_over(&self, live: &Live) -> bool {
        if live.decoder.poisoned().is_some() || self.fatal.is_some() {
            return false;
        }
        let at_rest = live.decoder.is_done() || !self.receipts.ran();
        self.out_of_step || (self.receipts.is_settled() && at_rest)
    }

    /// What the turn came to, in a process that goes on.
    pub(super) fn verdict(&mut self, live: &mut Live) -> Verdict {
        let mut verdict = live.decoder.end_turn();
        if self.receipts.is_repeated() {
            let reason = "claude has the message already, and does nothing with it".to_owned();
            (verdict.status, verdict.reason) = (Status::Repeated, Some(reason));
            verdict.failure = Some(Failure::Other);
        } else if self.cut || (self.never_ran() && self.is_stopped()) {
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
            self.relay.push(TurnEvent::PermissionWithdrawn { request: RequestId(id) });
        }
        self.late = None;
        verdict
    }

    /// A run that the CLI began by itself answers no message: nothing of it is this turn's.
    fn disown(&self, verdict: &mut Verdict) {
        let is_own = self.receipts.is_taken() || self.receipts.is_repeated();
        // A run whose tools are not there is ended before it takes anything.
        if self.never_ran() || is_own || verdict.status == Status::Poisoned {
            return;
        }
        (verdict.text, verdict.cost) = (None, Cost::Unknown);
        if !matches!(verdict.status, Status::Completed | Status::Empty) {
            return;
        }
        let (status, reason, failure) = if self.is_stopped() {
            (Status::Cancelled, "interrupted", None)
        } else {
            (Status::Failed, "claude ended and did not take the turn's message", Some(Failure::Died))
        };
        (verdict.status, verdict.reason, verdict.failure) = (status, Some(reason.to_owned()), failure);
    }

    /// What the turn came to, as its process is gone.
    pub(super) fn last_verdict(&mut self, rest: Vec<Decoded>, mut verdict: Verdict) -> Verdict {
        for decoded in rest {
            if let Decoded::Event(event) = decoded {
                self.relay.push(event);
            }
        }
        if let Some(why) = self.fatal.take() {
            (verdict.status, verdict.reason) = (Status::Failed, Some(why));
            verdict.failure = Some(Failure::Died);
        }
        self.disown(&mut verdict);
        self.calls.end();
        for id in std::mem::take(&mut self.questions).into_keys() {
            self.relay.push(TurnEvent::PermissionWithdrawn { request: RequestId(id) });
        }
        self.late = None;
        verdict
    }
}

fn answered(live: &mut Live, done: Option<(String, Value, ToolReply)>) {
    if let Some((request, id, reply)) = done {
        live.write(&lines::mcp(&request, &mcp::answer(&id, &reply)));
    }
}
