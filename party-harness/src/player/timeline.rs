//! One timeline for all agents of a party: events come in the order of their due times, one turn at
//! a time, however late the machine wakes the tasks.

use party_core::TurnId;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// How long a turn waits for others that were announced to start with it, and they for its tools.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Timeline {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Script time, in milliseconds: the due time of the last event.
    now: u64,
    /// Turns that were announced and have not joined.
    expected: BTreeSet<TurnId>,
    /// What is due, the earliest first. Whose moment it is stays first until it leaves.
    due: BTreeSet<(u64, TurnId)>,
}

impl Timeline {
    /// A turn joins. Nothing happens until all `alongside` have joined too.
    pub(super) fn join(self: &Arc<Self>, turn: TurnId, alongside: &[TurnId]) -> Place {
        let mut state = self.lock();
        // The first to join announces the others; those that joined already are not waited for.
        if !state.expected.remove(&turn) {
            state.expected.extend(alongside.iter().filter(|other| **other != turn));
        }
        let start = state.now;
        // Until its first due time is known, nothing may happen after its start.
        state.due.insert((start, turn));
        drop(state);
        self.changed.notify_waiters();
        Place { timeline: Arc::clone(self), turn, start, at: start, joined: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn's place in the timeline; dropped, it makes way.
pub(super) struct Place {
    timeline: Arc<Timeline>,
    turn: TurnId,
    start: u64,
    /// The due time that the turn stands at.
    at: u64,
    joined: Instant,
}

impl Place {
    /// Waits until `due_ms` after the turn's start, and until everything due earlier is over; then
    /// it is this turn's moment until it leaves or is dropped. Safe to cancel.
    pub(super) async fn reach(&mut self, due_ms: u64) {
        self.stand_at(self.start.saturating_add(due_ms));
        sleep_until(self.joined + Duration::from_millis(due_ms)).await;
        self.moment().await;
    }

    /// Makes way for good.
    pub(super) fn leave(&self) {
        let mut state = self.timeline.lock();
        state.due.remove(&(self.at, self.turn));
        state.expected.remove(&self.turn);
        drop(state);
        self.timeline.changed.notify_waiters();
    }

    fn stand_at(&mut self, due: u64) {
        let mut state = self.timeline.lock();
        state.due.remove(&(self.at, self.turn));
        state.due.insert((due, self.turn));
        self.at = due;
        drop(state);
        self.timeline.changed.notify_waiters();
    }

    async fn moment(&self) {
        let patience = Instant::now() + PATIENCE;
        let mut patient = true;
        loop {
            let changed = self.timeline.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_moment(patient) {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(patience), if patient => patient = false,
            }
        }
    }

    fn is_moment(&self, patient: bool) -> bool {
        let mut state = self.timeline.lock();
        if !patient {
            state.expected.clear();
        }
        let is_first = state.due.first() == Some(&(self.at, self.turn));
        if !is_first || !state.expected.is_empty() {
            return false;
        }
        state.now = state.now.max(self.at);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}
