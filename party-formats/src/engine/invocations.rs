//! Deciding which waiting invocation becomes a turn.

use super::{
    Engine,
    state::{Opened, RunningTurn, Waiting, absences},
};
use party_core::{NewRecord, SeatId, TurnStarted, Usd};

impl Engine {
    /// The most urgent invocation whose seat is free and whose money is there.
    pub(super) fn start_turn(&self, opened: &Opened) -> Vec<NewRecord> {
        if self.stopping {
            return Vec::new();
        }
        let startable =
            self.queue.iter().filter(|waiting| self.is_free(waiting.seat) && self.affords(opened, waiting));
        let urgency =
            |waiting: &&Waiting| opened.format.intents.get(&waiting.intent).map(|intent| intent.priority);
        startable.min_by_key(urgency).map(|waiting| self.begin_turn(opened, waiting)).into_iter().collect()
    }

    fn begin_turn(&self, opened: &Opened, waiting: &Waiting) -> NewRecord {
        let sums_up = opened
            .seats
            .get(usize::from(waiting.seat.0))
            .and_then(|seat| opened.format.roles.get(&seat.role));
        let absent = match sums_up {
            Some(role) if !role.fanout => absences(&self.wave.absent),
            _ => Vec::new(),
        };
        self.record(TurnStarted {
            seat: waiting.seat,
            intent: waiting.intent.clone(),
            because: waiting.because.clone(),
            visible_up_to: self.head,
            round: self.wave.round,
            reserve: opened.budget.map(|_| opened.per_turn),
            absent,
            nudge: waiting.nudge,
        })
    }

    fn is_free(&self, seat: SeatId) -> bool {
        self.running.values().all(|turn| turn.seat != seat)
    }

    /// Whether the budget has room for it now.
    pub(super) fn affords(&self, opened: &Opened, waiting: &Waiting) -> bool {
        let (Some(terms), Some(seat)) = (opened.budget, self.seat(waiting.seat)) else { return true };
        self.purse.fits(&seat.role, opened.per_turn, terms.cap)
    }

    /// What the session has spent so far; what is set aside is not in it.
    pub fn spent(&self) -> Usd {
        self.purse.spent()
    }

    /// What the session has spent or set aside.
    pub fn committed(&self) -> Usd {
        self.purse.committed()
    }
}

impl RunningTurn {
    /// What it may still spend of what it has set aside; none where there is no budget.
    pub fn budget_left(&self) -> Option<Usd> {
        self.reserve.map(|reserve| reserve.saturating_sub(self.spent))
    }
}
