//! Events on their way to a turn's reader.

use crate::TurnEvent;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// What the reader has not been told. Its bound is what is read of the CLI at once: no more is read
/// while something waits here.
#[derive(Debug)]
pub(super) struct Relay {
    waiting: VecDeque<TurnEvent>,
    events: mpsc::Sender<TurnEvent>,
    is_heard: bool,
}

impl Relay {
    pub(super) const fn new(events: mpsc::Sender<TurnEvent>) -> Self {
        Self { waiting: VecDeque::new(), events, is_heard: true }
    }

    pub(super) fn push(&mut self, event: TurnEvent) {
        if self.is_heard {
            self.waiting.push_back(event);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) const fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// Nobody reads any more.
    pub(super) fn unheard(&mut self) {
        self.is_heard = false;
        self.waiting.clear();
    }

    /// Tells the reader what waits longest, as soon as there is room for it. Safe to cancel.
    pub(super) async fn next(&mut self) {
        match (self.events.reserve().await, self.waiting.pop_front()) {
            (Ok(permit), Some(event)) => permit.send(event),
            _ => self.waiting.clear(),
        }
    }
}
