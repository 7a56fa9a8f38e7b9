//! What a turn tells its reader, who may be slow while the gateway is not.

use crate::TurnEvent;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// How many events wait here. Texts that follow each other are one.
const WAITING: usize = 4096;

/// How many bytes of texts and the like may wait. What comes on top is dropped: a turn's end has its
/// answer whole.
const BYTES: usize = 64 << 20;

/// Events on their way to the reader.
#[derive(Debug)]
pub(super) struct Outbox {
    sender: mpsc::Sender<TurnEvent>,
    waiting: VecDeque<TurnEvent>,
    bytes: usize,
}

impl Outbox {
    pub(super) const fn new(sender: mpsc::Sender<TurnEvent>) -> Self {
        Self { sender, waiting: VecDeque::new(), bytes: 0 }
    }

    /// Takes an event; of too many, those that nobody needs are dropped first.
    pub(super) fn push(&mut self, event: TurnEvent) {
        let (count, size) = (self.waiting.len(), size(&event));
        if self.bytes.saturating_add(size) > BYTES {
            return;
        }
        let needed =
            !matches!(event, TurnEvent::Raw { .. } | TurnEvent::Waiting { .. } | TurnEvent::Spent { .. });
        match (self.waiting.back_mut(), event) {
            (Some(TurnEvent::Text { text: last }), TurnEvent::Text { text }) => {
                *last = [&**last, &*text].concat().into();
            }
            (_, event) if count < WAITING || (needed && count < 2 * WAITING) => self.waiting.push_back(event),
            _ => return,
        }
        self.bytes += size;
    }

    /// Hands on what waits; comes back when there is no more. Safe to cancel.
    pub(super) async fn hand_on(&mut self) {
        while !self.waiting.is_empty() {
            let Ok(permit) = self.sender.reserve().await else {
                self.bytes = 0;
                return self.waiting.clear();
            };
            if let Some(event) = self.waiting.pop_front() {
                self.bytes = self.bytes.saturating_sub(size(&event));
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

/// What of an event has no limit of its own.
fn size(event: &TurnEvent) -> usize {
    match event {
        TurnEvent::Text { text } | TurnEvent::Thinking { text } => text.len(),
        TurnEvent::ToolResult { id, text, .. } => id.len() + text.len(),
        TurnEvent::ToolUse { id, name, input } => id.len() + name.len() + input.get().len(),
        TurnEvent::Raw { event } => event.get().len(),
        TurnEvent::Waiting { reason } => reason.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_for_a_reader_is_bounded_by_its_size() {
        let (sender, mut reader) = mpsc::channel(8);
        let mut out = Outbox::new(sender);
        let text = |text: String| TurnEvent::Text { text: text.into() };
        out.push(text("x".repeat(BYTES)));
        out.push(text("y".to_owned()));
        assert_eq!(out.bytes, BYTES);
        out.hand_on().await;
        out.push(text("z".to_owned()));
        out.hand_on().await;
        assert!(matches!(reader.recv().await, Some(TurnEvent::Text { text }) if text.len() == BYTES));
        assert_eq!((reader.recv().await, out.bytes), (Some(text("z".to_owned())), 0));
    }
}
