//! Deciding what happens when nobody runs and nothing is pending.

use super::{
    Engine,
    conversation::invocation,
    state::{Opened, absences},
};
use crate::{Action, Trigger, When};
use party_core::{AbsenceReason, NewRecord, QueuedInvocation, Quiesced, SeatId};
use std::collections::BTreeMap;

impl Engine {
    /// The rest itself, what was held back until it, and what the first trigger that can fire does.
    pub(super) fn come_to_rest(&self, opened: &Opened) -> Vec<NewRecord> {
        if !self.wave.active || !self.running.is_empty() || self.stopping {
            return Vec::new();
        }
        let silent = self.silent_with_unaffordable();
        let trigger = self.first_trigger(opened);
        let mut records = vec![self.record(Quiesced {
            wave: self.wave.number + 1,
            round: self.wave.round,
            spoke: self.wave.spoke.iter().copied().collect(),
            absent: absences(&silent),
            trigger: trigger.map(|(index, _)| index),
        })];
        // What a share calls for depends on what those in front of it have called for.
        let mut after = self.clone();
        after.follow(&records);
        for share in self.wave.held.values().flatten() {
            let delivered = after.deliver(opened, share, None);
            after.follow(&delivered);
            records.extend(delivered);
        }
        records.extend(trigger.and_then(|(_, trigger)| self.fire(opened, trigger)));
        records
    }

    /// What still waits at rest waits for money that will not come.
    fn silent_with_unaffordable(&self) -> BTreeMap<SeatId, AbsenceReason> {
        let mut silent = self.wave.silent.clone();
        for waiting in self.queue.iter().filter(|waiting| !self.wave.spoke.contains(&waiting.seat)) {
            silent.insert(waiting.seat, AbsenceReason::OverBudget);
        }
        silent
    }

    fn first_trigger<'o>(&self, opened: &'o Opened) -> Option<(u16, &'o Trigger)> {
        (0..).zip(&opened.format.quiescence).find(|(index, trigger)| {
            let fired = self.wave.fired.get(index).copied().unwrap_or(0);
            let has_rounds =
                !matches!(trigger.action, Action::NextRound { .. }) || self.wave.round < opened.format.rounds;
            fired < trigger.times && has_rounds && self.holds(opened, &trigger.when)
        })
    }

    fn holds(&self, opened: &Opened, when: &When) -> bool {
        let spoke = |role: &String| opened.seats_of(role).any(|seat| self.wave.spoken.contains_key(&seat));
        when.quorum.is_none_or(|wanted| wanted == self.has_quorum(opened))
            && when.spoke.as_ref().is_none_or(spoke)
            && when.silent.as_ref().is_none_or(|role| !spoke(role))
    }

    fn has_quorum(&self, opened: &Opened) -> bool {
        let called = opened
            .seats()
            .filter(|(_, seat)| opened.format.roles.get(&seat.role).is_some_and(|role| role.fanout));
        let spoke = called.filter(|(id, _)| self.wave.spoken.contains_key(id)).count();
        spoke >= opened.format.quorum as usize
    }

    fn fire(&self, opened: &Opened, trigger: &Trigger) -> Option<NewRecord> {
        match &trigger.action {
            Action::NextRound { role, intent } | Action::Invoke { role, intent } => {
                let message = self.wave.message?;
                let called: Vec<QueuedInvocation> =
                    opened.seats_of(role).map(|seat| invocation(seat, intent, message, false)).collect();
                self.queue_all(called)
            }
            Action::Close { reason } => Some(self.close(*reason)),
        }
    }
}
