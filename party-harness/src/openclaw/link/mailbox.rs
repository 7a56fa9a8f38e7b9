//! Frames on their way to whoever they are for, not more than fit.

use crate::socket::Text;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::mpsc;

/// How many bytes may wait. One frame fits whatever its size, which the connection has a limit for.
const BYTES: usize = 64 << 20;

/// Puts frames in.
#[derive(Debug)]
pub(super) struct Slot {
    sender: mpsc::Sender<Text>,
    bytes: Arc<AtomicUsize>,
}

/// Takes frames out.
#[derive(Debug)]
pub(super) struct Mailbox {
    receiver: mpsc::Receiver<Text>,
    bytes: Arc<AtomicUsize>,
}

/// A mailbox for so many frames.
pub(super) fn mailbox(frames: usize) -> (Slot, Mailbox) {
    let (sender, receiver) = mpsc::channel(frames);
    let bytes = Arc::<AtomicUsize>::default();
    (Slot { sender, bytes: Arc::clone(&bytes) }, Mailbox { receiver, bytes })
}

impl Slot {
    /// Says whether the frame found room.
    pub(super) fn put(&self, text: &Text) -> bool {
        let size = text.len();
        let waiting = self.bytes.fetch_add(size, Ordering::Relaxed);
        let fits = waiting == 0 || waiting.saturating_add(size) <= BYTES;
        if fits && self.sender.try_send(text.clone()).is_ok() {
            return true;
        }
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        false
    }
}

impl Mailbox {
    /// The next one; none when nobody puts any in. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<Text> {
        let text = self.receiver.recv().await;
        self.taken(text)
    }

    /// One that is there already.
    pub(super) fn now(&mut self) -> Option<Text> {
        let text = self.receiver.try_recv().ok();
        self.taken(text)
    }

    fn taken(&self, text: Option<Text>) -> Option<Text> {
        let size = text.as_ref().map_or(0, |text| text.len());
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_wait_as_long_as_they_fit_by_count_and_by_size() {
        let (slot, mut mailbox) = mailbox(2);
        let (small, large) = (Text::from_static("x"), Text::from("x".repeat(BYTES)));
        assert!(slot.put(&small) && slot.put(&small) && !slot.put(&small), "two are two");
        assert!(mailbox.now().is_some() && mailbox.now().is_some() && mailbox.now().is_none());
        assert!(slot.put(&large), "one fits alone");
        assert!(!slot.put(&small), "and nothing beside it");
        assert_eq!(mailbox.now().map(|text| text.len()), Some(BYTES));
        assert!(slot.put(&small), "there is room again");
        drop(mailbox);
        assert!(!slot.put(&small));
    }
}
