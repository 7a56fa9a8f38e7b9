//! The engine: folds records into state, decides from state alone.

mod apply;
mod calls;
mod canonical;
mod conversation;
mod effect;
mod invocations;
mod nudges;
mod permissions;
mod purse;
mod quiescence;
mod state;
mod tool_calls;

pub use effect::Effect;
pub use state::{Bound, Question, RunningTurn, ToolRecord};

use crate::{Format, Intent};
use party_core::{
    BudgetTerms, CloseReason, Event, HostToolTerms, NewRecord, Offset, Record, RecordClass, SeatId, SeatSpec,
    SessionClosed, SessionId, ThreadId, Timestamp, TurnId,
};
use serde::{Deserialize, Serialize};
use state::{Input, Opened, Waiting, Wave};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// The version of the engine's rules; a session names the oldest one that may drive it.
pub const ENGINE_VERSION: u32 = 1;

/// Names this build of the engine; a snapshot of another build is not used.
pub const ENGINE_BUILD: &str = concat!("party-formats/", env!("CARGO_PKG_VERSION"), "/2");

/// So many records may follow from one another before a session counts as running away.
pub const ANSWER_LIMIT: usize = 10_000;

/// The state of a session. It holds what is open: ended turns leave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    session: SessionId,
    head: Offset,
    now: Timestamp,
    impossible: u64,
    unsupported: Option<String>,
    /// Shared, since every step of a driver begins with a copy of the state.
    opened: Option<Arc<Opened>>,
    inbox: VecDeque<Input>,
    stopping: bool,
    queue: Vec<Waiting>,
    /// Seats that are to be called again.
    nudges: Vec<Waiting>,
    running: BTreeMap<TurnId, RunningTurn>,
    wave: Wave,
    purse: purse::Purse,
    bound: BTreeMap<SeatId, Bound>,
    closed: Option<CloseReason>,
}

/// What follows from a state: the records in order, and the state after them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Fixpoint {
    /// What is to be committed.
    pub records: Vec<NewRecord>,
    /// The state once it is.
    pub engine: Engine,
}

impl Engine {
    /// The engine of a session with an empty log.
    pub fn new(session: SessionId) -> Self {
        Self {
            session,
            head: Offset::START,
            now: Timestamp::default(),
            impossible: 0,
            unsupported: None,
            opened: None,
            inbox: VecDeque::new(),
            stopping: false,
            queue: Vec::new(),
            nudges: Vec::new(),
            running: BTreeMap::new(),
            wave: Wave::default(),
            purse: purse::Purse::default(),
            bound: BTreeMap::new(),
            closed: None,
        }
    }

    /// The session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The last record that was applied.
    pub const fn head(&self) -> Offset {
        self.head
    }

    /// Engine time: the latest time among the driver's records.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// How many records could not be; more than none closes the session as corrupt.
    pub const fn impossible(&self) -> u64 {
        self.impossible
    }

    /// Why this version cannot drive the session: a newer one wrote it. Nothing is decided then, and
    /// nothing may be written.
    pub fn unsupported(&self) -> Option<&str> {
        self.unsupported.as_deref()
    }

    /// Why the session is over, once it is.
    pub const fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    /// Whether nothing runs, waits, or follows.
    pub fn is_quiescent(&self) -> bool {
        let nobody_waits = self.queue.is_empty() && self.nudges.is_empty() && self.inbox.is_empty();
        self.running.is_empty() && nobody_waits && !self.wave.active
    }

    /// The format, once the session is open.
    pub fn format(&self) -> Option<&Format> {
        self.opened.as_ref().map(|opened| &opened.format)
    }

    /// The seats in roster order.
    pub fn seats(&self) -> &[SeatSpec] {
        self.opened.as_ref().map_or(&[], |opened| &opened.seats)
    }

    /// A seat.
    pub fn seat(&self, seat: SeatId) -> Option<&SeatSpec> {
        self.seats().get(usize::from(seat.0))
    }

    /// What the session may spend, where there is a limit.
    pub fn budget(&self) -> Option<BudgetTerms> {
        self.opened.as_ref()?.budget
    }

    /// The shared thread, once the session is open.
    pub fn feed(&self) -> Option<ThreadId> {
        self.opened.as_ref().map(|opened| opened.feed)
    }

    /// The host's tools that the session was opened with, in the order of their names.
    pub fn host_tools(&self) -> &[HostToolTerms] {
        self.opened.as_ref().map_or(&[], |opened| &opened.host_tools)
    }

    /// A turn that has not ended.
    pub fn turn(&self, turn: TurnId) -> Option<&RunningTurn> {
        self.running.get(&turn)
    }

    /// The intent that a turn runs under.
    pub fn intent(&self, turn: &RunningTurn) -> Option<&Intent> {
        self.format().and_then(|format| format.intents.get(&turn.intent))
    }

    /// The runtime session that a seat was last bound to.
    pub fn binding(&self, seat: SeatId) -> Option<&Bound> {
        self.bound.get(&seat)
    }

    /// Files a record. Total: it never panics and never decides; a record that cannot be is
    /// counted, and the session then decides only to close as corrupt.
    pub fn apply(&mut self, record: &Record) {
        if record.session != self.session || record.offset <= self.head {
            self.impossible += 1;
            return;
        }
        self.head = record.offset;
        if self.closed.is_some() || self.unsupported.is_some() {
            return;
        }
        match record.class {
            RecordClass::Input => self.apply_input(record),
            RecordClass::Report | RecordClass::Decision => self.apply_step(record),
            RecordClass::Trace => {}
        }
    }

    /// What follows from the state now; empty when nothing does. The caller applies the records at
    /// the next offsets and asks again. Their times are engine time; a driver may set later ones.
    pub fn decide(&self) -> Vec<NewRecord> {
        if self.closed.is_some() || self.unsupported.is_some() || self.head == Offset::START {
            return Vec::new();
        }
        let opened = match &self.opened {
            Some(opened) if self.impossible == 0 => opened,
            _ => return vec![self.close(CloseReason::Corrupt)],
        };
        let rules = [
            Self::answer_tool_call,
            Self::answer_question,
            Self::stop_turns,
            Self::call_again,
            Self::deliver_share,
            Self::take_input,
            Self::start_turn,
            Self::come_to_rest,
        ];
        rules
            .into_iter()
            .map(|rule| rule(self, opened))
            .find(|records| !records.is_empty())
            .unwrap_or_default()
    }

    /// Applies `records` at the next offsets and decides until nothing follows; without records it
    /// only decides. A state whose
    /// decisions do not end within [`ANSWER_LIMIT`] records closes the session as a runaway.
    #[must_use]
    pub fn settle(&self, records: Vec<NewRecord>, at: Timestamp) -> Fixpoint {
        let mut engine = self.clone();
        let mut settled = Vec::with_capacity(records.len() + 8);
        let mut next = if records.is_empty() { self.decide() } else { records };
        while !next.is_empty() {
            for mut record in next {
                record.at = record.at.max(at);
                engine.follow(std::slice::from_ref(&record));
                settled.push(record);
            }
            next = engine.decide();
            if settled.len() > ANSWER_LIMIT && engine.closed.is_none() {
                next = vec![engine.close(CloseReason::Runaway)];
            }
        }
        Fixpoint { records: settled, engine }
    }

    /// Applies decisions at the next offsets.
    fn follow(&mut self, records: &[NewRecord]) {
        for record in records {
            self.apply(&record.clone().placed(self.session, self.head.plus(1), None));
        }
    }

    fn close(&self, reason: CloseReason) -> NewRecord {
        self.record(SessionClosed { reason })
    }

    fn record(&self, event: impl Into<Event>) -> NewRecord {
        NewRecord::new(self.now, &event.into())
    }
}
