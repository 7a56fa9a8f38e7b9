//! What the engine remembers: all of it is of the size of what is open.

use crate::Format;
use party_core::{
    Absence, AbsenceReason, BudgetTerms, HostToolTerms, ItemId, Offset, Permission, SeatId, SeatSpec,
    ThreadId, TurnId, Usd,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What the session was opened with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) format: Format,
    pub(super) feed: ThreadId,
    pub(super) seats: Vec<SeatSpec>,
    pub(super) budget: Option<BudgetTerms>,
    /// What a turn sets aside, where there is a budget.
    pub(super) per_turn: Usd,
    /// What the host's tools are called, and which of them may be run again.
    pub(super) host_tools: Vec<HostToolTerms>,
}

impl Opened {
    pub(super) fn seats(&self) -> impl Iterator<Item = (SeatId, &SeatSpec)> {
        (0..).map(SeatId).zip(&self.seats)
    }

    pub(super) fn seats_of(&self, role: &str) -> impl Iterator<Item = SeatId> {
        self.seats().filter(move |(_, seat)| seat.role == role).map(|(id, _)| id)
    }
}

/// An input that no decision has acted on yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) offset: Offset,
    pub(super) what: Asked,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Asked {
    Message {
        item: ItemId,
        empty: bool,
    },
    Stop,
    Close,
    Answer {
        turn: TurnId,
        request: String,
        answer: Permission,
    },
    /// It cannot be acted on, for this reason.
    Nonsense(String),
}

/// An invocation that waits for its seat or for money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) seat: SeatId,
    pub(super) intent: String,
    pub(super) because: Vec<ItemId>,
    /// How often the seat was called again for this.
    pub(super) nudge: u32,
}

/// The runtime session that a seat was last bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bound {
    /// The runtime's token.
    pub token: Value,
    /// The last turn that it has answered.
    pub seen: TurnId,
}

/// A turn that has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningTurn {
    /// The turn.
    pub turn: TurnId,
    /// Who speaks.
    pub seat: SeatId,
    /// Under which intent.
    pub intent: String,
    /// The items that called for it, oldest first.
    pub because: Vec<ItemId>,
    /// How often the seat was called again for ending without the tool call that its intent asks for.
    pub nudge: u32,
    /// The human's message that it belongs to.
    pub(super) message: Option<ItemId>,
    /// The round, counted from 1.
    pub round: u32,
    /// The agent sees its thread up to this record.
    pub visible_up_to: Offset,
    /// What it has set aside.
    pub reserve: Option<Usd>,
    /// Who did not speak so far.
    pub absent: Vec<Absence>,
    /// The attempt that runs, counted from 1.
    pub attempt: u32,
    /// Whether it is to be stopped.
    pub interrupted: bool,
    /// Its tool calls, oldest first. Shared, since every step of a driver begins with a copy of the state.
    pub calls: Vec<Arc<ToolRecord>>,
    /// What its runtime asks and has asked in this attempt, oldest first.
    pub questions: Vec<Arc<Question>>,
    /// What its ended attempts cost, as far as known.
    pub(super) spent: Usd,
    /// What it shared through a tool, oldest first.
    pub(super) shared: Vec<ItemId>,
}

/// A tool call of a running turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolRecord {
    /// The attempt that called.
    pub attempt: u32,
    /// The runtime's id of the call.
    pub call: String,
    /// The tool.
    pub tool: String,
    /// The arguments.
    pub arguments: Value,
    /// The answer and whether it is an error, once there is one.
    pub answer: Option<(String, bool)>,
    /// The place of an equal call whose answer was lost: this is that call, made again.
    pub(super) again: Option<usize>,
    /// Whether a later call is this one made again; no second one is.
    pub(super) claimed: bool,
    /// Whether nobody has waited for the answer to the end.
    pub(super) unheard: bool,
    /// Whether it came when the turn was to be stopped already.
    pub(super) late: bool,
    /// Whether the driver that it was made to is gone.
    pub(super) orphaned: bool,
}

/// Whether a runtime may use a tool of its own; it waits for the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Question {
    /// The runtime's name of it.
    pub request: String,
    /// The tool.
    pub tool: String,
    /// What the tool is to be used with.
    pub input: Value,
    /// The answer, once somebody gave one.
    pub answer: Option<Permission>,
}

/// An item that a turn shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Share {
    pub(super) seat: SeatId,
    pub(super) turn: TurnId,
    pub(super) item: ItemId,
}

/// Where the discussion of the last human message stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Wave {
    /// How many waves came to rest.
    pub(super) number: u32,
    /// Whether something happened since the last rest.
    pub(super) active: bool,
    /// The round, counted from 1; 0 before the first message.
    pub(super) round: u32,
    /// What everything is about.
    pub(super) message: Option<ItemId>,
    /// Who spoke in this wave.
    pub(super) spoke: BTreeSet<SeatId>,
    /// Who was called in this wave and did not speak.
    pub(super) silent: BTreeMap<SeatId, AbsenceReason>,
    /// Who spoke about the message, and in which wave last.
    pub(super) spoken: BTreeMap<SeatId, u32>,
    /// Whose last turn since the message brought nothing.
    pub(super) absent: BTreeMap<SeatId, AbsenceReason>,
    /// How often each trigger fired since the message.
    pub(super) fired: BTreeMap<u16, u32>,
    /// How often each seat was called to react since the message.
    pub(super) reactions: BTreeMap<SeatId, u32>,
    /// Shares to be delivered now, oldest first.
    pub(super) fresh: Vec<Share>,
    /// Shares to be delivered at the barrier, by seat in roster order.
    pub(super) held: BTreeMap<SeatId, Vec<Share>>,
}

impl Wave {
    /// A message begins a matter of its own: rounds, triggers and who spoke are counted from it, also
    /// where the matter before is not at rest.
    pub(super) fn begin(&mut self, message: ItemId) {
        self.message = Some(message);
        self.round = 1;
        self.fired.clear();
        self.spoken.clear();
        self.absent.clear();
        self.reactions.clear();
        self.active = true;
    }

    /// A seat spoke in a turn about this message; where a newer one came since, it has yet to speak
    /// about that.
    pub(super) fn speaks(&mut self, seat: SeatId, about: Option<ItemId>) {
        self.spoke.insert(seat);
        self.silent.remove(&seat);
        if about == self.message {
            self.spoken.insert(seat, self.number);
            self.absent.remove(&seat);
        }
    }

    /// Whether `item` was a share that waited to be delivered; it waits no more.
    pub(super) fn take_share(&mut self, item: ItemId) -> bool {
        let lists = std::iter::once(&mut self.fresh).chain(self.held.values_mut());
        let mut found = false;
        for shares in lists {
            let before = shares.len();
            shares.retain(|share| share.item != item);
            found |= shares.len() < before;
        }
        self.held.retain(|_, shares| !shares.is_empty());
        found
    }

    /// A seat brought nothing in a turn about this message.
    pub(super) fn stays_silent(&mut self, seat: SeatId, reason: AbsenceReason, about: Option<ItemId>) {
        if !self.spoke.contains(&seat) {
            self.silent.insert(seat, reason);
        }
        if about == self.message && self.spoken.get(&seat) != Some(&self.number) {
            self.absent.insert(seat, reason);
        }
    }
}

pub(super) fn absences(silent: &BTreeMap<SeatId, AbsenceReason>) -> Vec<Absence> {
    silent.iter().map(|(&seat, &reason)| Absence { seat, reason }).collect()
}
