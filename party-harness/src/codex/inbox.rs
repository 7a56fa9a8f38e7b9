//! What waits for a turn to read it: so much and no more.

use super::wire::Text;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// An inbox in which at most so many bytes wait, and what fills it.
pub(super) fn inbox(most: usize) -> (Sender, Inbox) {
    let (sender, texts) = mpsc::unbounded_channel();
    let state = Arc::new(State {
        most,
        held: AtomicUsize::new(0),
        overrun: CancellationToken::new(),
        seen: Mutex::new(Instant::now()),
    });
    (Sender { texts: sender, state: Arc::clone(&state) }, Inbox { texts, state })
}

#[derive(Debug)]
struct State {
    most: usize,
    held: AtomicUsize,
    overrun: CancellationToken,
    seen: Mutex<Instant>,
}

/// The end that fills it, and never waits.
#[derive(Debug)]
pub(super) struct Sender {
    texts: mpsc::UnboundedSender<Text>,
    state: Arc<State>,
}

impl Sender {
    /// Its thread gave a sign of life.
    pub(super) fn lives(&self) {
        *self.state.seen.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether it was taken; nothing more is to be sent otherwise.
    pub(super) fn send(&self, text: Text) -> bool {
        let State { most, held, overrun, .. } = &*self.state;
        if held.fetch_add(text.len(), Ordering::AcqRel) + text.len() > *most {
            overrun.cancel();
            return false;
        }
        self.texts.send(text).is_ok()
    }
}

/// What a thread is told.
#[derive(Debug)]
pub(super) struct Inbox {
    texts: mpsc::UnboundedReceiver<Text>,
    state: Arc<State>,
}

impl Inbox {
    /// The next message; `None` when the connection is gone, or too much waits. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<Text> {
        let text = self.texts.recv().await?;
        self.state.held.fetch_sub(text.len(), Ordering::AcqRel);
        Some(text)
    }

    /// The last sign of life of its thread.
    pub(super) fn seen(&self) -> Instant {
        *self.state.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Done when too much waited for it: it hears nothing more.
    pub(super) fn overrun(&self) -> CancellationToken {
        self.state.overrun.clone()
    }
}
