//! What a turn tells its reader, who may be slow while the gateway is not.

use crate::TurnEvent;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// How many events wait here. Texts that follow each other are one.
const WAITING: usize = 4096;

/// Events on their way to the reader.
#[derive(Debug)]
pub(super) struct Outbox {
    sender: mpsc::Sender<TurnEvent>,
    waiting: VecDeque<TurnEvent>,
}

impl Outbox {
    pub(super) const fn new(sender: mpsc::Sender<TurnEvent>) -> Self {
        Self { sender, waiting: VecDeque::new() }
    }

    /// Takes an event; of too many, those that nobody needs are dropped first.
    pub(super) fn push(&mut self, event: TurnEvent) {
        let count = self.waiting.len();
        let needed =
            !matches!(event, TurnEvent::Raw { .. } | TurnEvent::Waiting { .. } | TurnEvent::Spent { .. });
        match (self.waiting.back_mut(), event) {
            (Some(TurnEvent::Text { text: last }), TurnEvent::Text { text }) => {
                *last = [&**last, &*text].concat().into();
            }
            (_, event) if count < WAITING || (needed && count < 2 * WAITING) => self.waiting.push_back(event),
            _ => {}
        }
    }

    /// Hands on what waits; comes back when there is no more. Safe to cancel.
    pub(super) async fn hand_on(&mut self) {
        while !self.waiting.is_empty() {
            let Ok(permit) = self.sender.reserve().await else { return self.waiting.clear() };
            if let Some(event) = self.waiting.pop_front() {
                permit.send(event);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits until nobody reads any more.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }

    /// The last event.
    pub(super) async fn end(mut self, event: TurnEvent) {
        self.hand_on().await;
        let _ = self.sender.send(event).await;
    }
}
