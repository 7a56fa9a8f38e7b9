//! Filing records: one method per event, none of which decides.

use super::{
    ENGINE_VERSION, Engine,
    state::{Asked, Bound, Input, Opened, RunningTurn, Share, Waiting},
};
use crate::{Action, Coalesce, Format, Release, Shares, check::MOST_SEATS};
use party_core::{
    AbsenceReason, AttemptEnded, BudgetReserved, Command, Delivered, Event, Item, ItemId, MessagePosted,
    Outcome, Queued, QueuedInvocation, Quiesced, Record, RuntimeBound, SessionOpened, TurnEnded, TurnId,
    TurnStarted, Usd, WIRE_VERSION,
};
use std::sync::Arc;

/// A record that cannot be, given what came before it.
pub(super) struct Impossible;

pub(super) type Applied = Result<(), Impossible>;

impl Engine {
    /// An input is only filed: anybody may write one, so none of them can do harm here.
    pub(super) fn apply_input(&mut self, record: &Record) {
        let what = match record.event() {
            Ok(Event::MessagePosted(MessagePosted { item })) => {
                let text =
                    record.items.iter().find(|brought| brought.id == item).map(|brought| brought.text());
                Asked::Message { item, empty: text.is_none_or(|text| text.trim().is_empty()) }
            }
            Ok(Event::Commanded(event)) => asked(event.command),
            Ok(_) => Asked::Nonsense(format!("`{}` is no input", record.kind)),
            Err(error) => Asked::Nonsense(error.to_string()),
        };
        self.inbox.push_back(Input { offset: record.offset, what });
    }

    /// A report or a decision of the session's driver.
    pub(super) fn apply_step(&mut self, record: &Record) {
        self.now = self.now.max(record.at);
        let filed = match record.event() {
            _ if record.v > WIRE_VERSION => {
                self.unsupported = Some(format!("record {} has wire version {}", record.offset, record.v));
                Ok(())
            }
            Ok(event) if event.class() == record.class => self.file(record, event),
            Ok(Event::Unknown { .. }) => Ok(()),
            Ok(_) => Err(Impossible),
            Err(error) => {
                self.unsupported = Some(format!("record {}: {error}", record.offset));
                Ok(())
            }
        };
        if filed.is_err() {
            self.impossible += 1;
        }
    }

    fn file(&mut self, record: &Record, event: Event) -> Applied {
        match event {
            Event::SessionOpened(event) => self.session_opened(record, event),
            Event::RuntimeBound(event) => self.runtime_bound(event),
            Event::ToolCalled(event) => self.tool_called(event),
            Event::ToolRan(event) => self.tool_ran(event),
            Event::ReplyLost(event) => self.reply_lost(&event),
            Event::PermissionAsked(event) => self.permission_asked(event),
            Event::PermissionWithdrawn(event) => self.permission_withdrawn(&event),
            Event::PermissionAnswered(event) => self.permission_answered(event),
            Event::AttemptEnded(event) => self.attempt_ended(&event),
            Event::TurnEnded(event) => self.turn_ended(&event),
            Event::Delivered(event) => self.delivered(&event),
            Event::Queued(event) => self.queued(event),
            Event::BudgetReserved(event) => self.budget_reserved(&event),
            Event::TurnStarted(event) => self.turn_started(TurnId(record.offset), event),
            Event::ToolAnswered(event) => self.tool_answered(event),
            Event::Interrupted(event) => self.interrupted(&event.turns),
            Event::Quiesced(event) => self.quiesced(&event),
            Event::Refused(event) => self.refused(event.input),
            Event::SessionClosed(event) => {
                self.closed = Some(event.reason);
                self.running.clear();
                self.queue.clear();
                self.nudges.clear();
                Ok(())
            }
            Event::LeaseTaken(_) => {
                self.orphan_calls();
                Ok(())
            }
            Event::Forked(_) => {
                self.forked();
                Ok(())
            }
            // What happens to threads is storage's business; see the record's ops.
            Event::Branched(_)
            | Event::Compacted(_)
            | Event::TangentOpened(_)
            | Event::TangentResolved(_)
            | Event::TangentAbandoned(_)
            | Event::MessagePosted(_)
            | Event::Commanded(_)
            | Event::Traced(_)
            | Event::Unknown { .. } => Ok(()),
        }
    }

    fn session_opened(&mut self, record: &Record, event: SessionOpened) -> Applied {
        let text =
            record.items.iter().find(|item| item.id == event.format.item).map(|item: &Arc<Item>| item.text());
        // It was checked before the start; a later version that checks more must not refuse it now.
        let read = text.ok_or(Impossible).map(|text| serde_json::from_str::<Format>(&text))?;
        let format = match read {
            Ok(format) if event.min_engine <= ENGINE_VERSION => format,
            Ok(_) => return self.leave_alone(format!("it wants engine version {}", event.min_engine)),
            Err(error) => return self.leave_alone(format!("its format cannot be read: {error}")),
        };
        let too_large = event.seats.len() > MOST_SEATS || format.quiescence.len() > MOST_SEATS;
        if self.opened.is_some() || too_large {
            return Err(Impossible);
        }
        let per_turn = event.budget.map_or(Usd::ZERO, |terms| terms.per_turn.unwrap_or(terms.cap));
        let SessionOpened { feed, seats, budget, host_tools, .. } = event;
        self.opened = Some(Arc::new(Opened { format, feed, seats, budget, per_turn, host_tools }));
        Ok(())
    }

    fn leave_alone(&mut self, why: String) -> Applied {
        self.unsupported = Some(why);
        Ok(())
    }

    fn runtime_bound(&mut self, event: RuntimeBound) -> Applied {
        self.seat(event.seat).ok_or(Impossible)?;
        self.bound.insert(event.seat, Bound { token: event.token, seen: event.seen });
        Ok(())
    }

    fn attempt_ended(&mut self, event: &AttemptEnded) -> Applied {
        let turn = self
            .running
            .get_mut(&event.turn)
            .filter(|turn| turn.attempt == event.attempt)
            .ok_or(Impossible)?;
        turn.spent = turn.spent.saturating_add(event.cost.amount().unwrap_or_default());
        self.purse.charge(event.turn, event.cost.amount());
        turn.attempt += 1;
        // Whoever asked is gone; the next attempt asks for itself.
        turn.questions.clear();
        Ok(())
    }

    fn turn_ended(&mut self, event: &TurnEnded) -> Applied {
        let turn = self.running.remove(&event.turn).ok_or(Impossible)?;
        self.purse.settle(event.turn, event.cost.amount());
        let (shares, release) = self.policy(turn.seat).ok_or(Impossible)?;
        if self.lacks_call(&turn, event.outcome) {
            self.call_missed(turn);
            return Ok(());
        }
        let said = event.item.filter(|_| event.outcome == Outcome::Completed);
        match (said, shares) {
            (Some(item), Shares::Final) => {
                let share = Share { seat: turn.seat, turn: event.turn, item };
                self.wave.speaks(turn.seat, turn.message);
                match release {
                    Release::Now => self.wave.fresh.push(share),
                    Release::Barrier => self.wave.held.entry(turn.seat).or_default().push(share),
                }
            }
            (_, Shares::Tool) if event.outcome == Outcome::Completed => {}
            (Some(_), Shares::Nothing) => self.wave.speaks(turn.seat, turn.message),
            _ => self.wave.stays_silent(turn.seat, absence(event.outcome), turn.message),
        }
        Ok(())
    }

    fn policy(&self, seat: party_core::SeatId) -> Option<(Shares, Release)> {
        let role = self.format()?.roles.get(&self.seat(seat)?.role)?;
        Some((role.share, role.release))
    }

    fn delivered(&mut self, event: &Delivered) -> Applied {
        let Some(seat) = event.by else { return self.message_delivered(event) };
        // A turn's final text made its seat speak when the turn ended; what a tool shares does so now.
        let turn = event.turn.and_then(|turn| self.running.get_mut(&turn));
        if !self.wave.take_share(event.item) {
            self.wave.speaks(seat, turn.as_ref().and_then(|turn| turn.message));
        }
        if let Some(turn) = turn {
            turn.shared.push(event.item);
        }
        Ok(())
    }

    fn message_delivered(&mut self, event: &Delivered) -> Applied {
        let is_front =
            |input: &Input| matches!(input.what, Asked::Message { item, .. } if item == event.item);
        if !self.inbox.front().is_some_and(is_front) {
            return Err(Impossible);
        }
        self.inbox.pop_front();
        self.wave.begin(event.item);
        Ok(())
    }

    fn queued(&mut self, event: Queued) -> Applied {
        event.invocations.into_iter().try_for_each(|invocation| self.enqueue(invocation))
    }

    fn enqueue(&mut self, invocation: QueuedInvocation) -> Applied {
        let QueuedInvocation { seat, intent, because, reaction, nudge } = invocation;
        let format = self.format().filter(|_| self.seat(seat).is_some()).ok_or(Impossible)?;
        let coalesce = format.intents.get(&intent).ok_or(Impossible)?.coalesce;
        if nudge > 0 {
            self.take_nudge(seat, &intent, nudge)?;
        }
        self.wave.active = true;
        let waiting = self.queue.iter_mut().find(|waiting| waiting.seat == seat && waiting.intent == intent);
        match (waiting, coalesce) {
            (Some(waiting), Coalesce::Merge) => waiting.because.extend(because),
            (Some(waiting), Coalesce::Replace) => (waiting.because, waiting.nudge) = (because, nudge),
            (None, _) | (Some(_), Coalesce::Keep) => {
                self.queue.push(Waiting { seat, intent, because, nudge });
                if reaction {
                    *self.wave.reactions.entry(seat).or_default() += 1;
                }
            }
        }
        Ok(())
    }

    fn budget_reserved(&mut self, event: &BudgetReserved) -> Applied {
        let cap = self.cap().ok_or(Impossible)?;
        if event.amount > self.purse.room(cap) || self.purse.holds_for(&event.role) {
            return Err(Impossible);
        }
        self.purse.hold(&event.role, event.amount);
        Ok(())
    }

    fn turn_started(&mut self, turn: TurnId, event: TurnStarted) -> Applied {
        let role = self.seat(event.seat).ok_or(Impossible)?.role.clone();
        let waiting = |waiting: &Waiting| {
            (waiting.seat, &waiting.intent, waiting.nudge) == (event.seat, &event.intent, event.nudge)
        };
        let place = self.queue.iter().position(waiting).ok_or(Impossible)?;
        let busy = self.running.values().any(|running| running.seat == event.seat);
        let affordable = match (event.reserve, self.cap()) {
            (Some(reserve), Some(cap)) => self.purse.fits(&role, reserve, cap),
            (None, None) => true,
            _ => false,
        };
        if busy || !affordable {
            return Err(Impossible);
        }
        self.queue.remove(place);
        if let Some(reserve) = event.reserve {
            self.purse.reserve(turn, &role, reserve);
        }
        self.running.insert(turn, RunningTurn::begin(turn, event, self.wave.message));
        Ok(())
    }

    fn interrupted(&mut self, turns: &[TurnId]) -> Applied {
        let stops = |input: &Input| input.what == Asked::Stop;
        let at = self.inbox.iter().position(stops).ok_or(Impossible)?;
        self.inbox.remove(at);
        self.stopping = true;
        self.queue.clear();
        self.nudges.clear();
        for turn in turns {
            self.running.get_mut(turn).ok_or(Impossible)?.interrupted = true;
        }
        Ok(())
    }

    /// The session goes on as a copy: what ran, runs elsewhere, and is paid there.
    fn forked(&mut self) {
        for (id, turn) in std::mem::take(&mut self.running) {
            self.purse.settle(id, Some(Usd::ZERO));
            self.wave.stays_silent(turn.seat, AbsenceReason::Cancelled, turn.message);
        }
        self.bound.clear();
    }

    fn quiesced(&mut self, event: &Quiesced) -> Applied {
        let trigger = event.trigger.map(|index| self.trigger(index).ok_or(Impossible)).transpose()?;
        if let (Some(index), Some(action)) = (event.trigger, trigger) {
            *self.wave.fired.entry(index).or_default() += 1;
            if matches!(action, Action::NextRound { .. }) {
                self.wave.round += 1;
            }
        }
        // What waited at rest waited for money.
        for waiting in std::mem::take(&mut self.queue) {
            self.wave.stays_silent(waiting.seat, AbsenceReason::OverBudget, self.wave.message);
        }
        self.wave.number += 1;
        self.wave.active = false;
        self.wave.spoke.clear();
        self.wave.silent.clear();
        Ok(())
    }

    fn trigger(&self, index: u16) -> Option<Action> {
        self.format()?.quiescence.get(usize::from(index)).map(|trigger| trigger.action.clone())
    }

    fn refused(&mut self, input: party_core::Offset) -> Applied {
        let before = self.inbox.len();
        self.inbox.retain(|waiting| waiting.offset != input);
        if self.inbox.len() == before { Err(Impossible) } else { Ok(()) }
    }

    pub(super) fn cap(&self) -> Option<Usd> {
        Some(self.opened.as_ref()?.budget?.cap)
    }
}

impl RunningTurn {
    fn begin(turn: TurnId, event: TurnStarted, message: Option<ItemId>) -> Self {
        let TurnStarted { seat, intent, because, round, visible_up_to, reserve, absent, nudge } = event;
        Self {
            turn,
            seat,
            intent,
            because,
            nudge,
            message,
            round,
            visible_up_to,
            reserve,
            absent,
            attempt: 1,
            interrupted: false,
            calls: Vec::new(),
            questions: Vec::new(),
            spent: Usd::ZERO,
            shared: Vec::new(),
        }
    }
}

fn asked(command: Command) -> Asked {
    match command {
        Command::Stop => Asked::Stop,
        Command::Close => Asked::Close,
        Command::Answer { turn, request, answer } => Asked::Answer { turn, request, answer },
        Command::Unknown(command) => {
            let name: String = command["type"].as_str().unwrap_or_default().chars().take(80).collect();
            Asked::Nonsense(format!("the command `{name}` is not known"))
        }
    }
}

const fn absence(outcome: Outcome) -> AbsenceReason {
    match outcome {
        Outcome::Completed | Outcome::Empty => AbsenceReason::Empty,
        Outcome::Failed | Outcome::Lost => AbsenceReason::Failed,
        Outcome::TimedOut => AbsenceReason::TimedOut,
        Outcome::Cancelled => AbsenceReason::Cancelled,
    }
}
