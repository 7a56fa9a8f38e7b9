//! Who waits for which session, and what is known of it: one query answers all that wait in a process.

use crate::{Error, Result, refusal};
use party_core::{Offset, SessionId};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, watch};

/// The last offset that was heard of; `None` where whoever waits has to look.
type Head = Option<Offset>;

#[derive(Debug, Default)]
pub(super) struct Board {
    waited_for: Mutex<HashMap<SessionId, watch::Sender<Head>>>,
    /// Rung whenever something may have changed anywhere.
    any: watch::Sender<()>,
    closed: watch::Sender<bool>,
    /// Rung when this process has written.
    pub(super) written: Notify,
}

impl Board {
    /// A seat from which to wait for a session; taken before looking, it misses nothing.
    pub(super) fn wait_for(self: &Arc<Self>, session: SessionId) -> Seat {
        let head = self.lock().entry(session).or_default().subscribe();
        Seat { board: Arc::clone(self), session, head: Some(head), closed: self.closed.subscribe() }
    }

    /// Waits for any change.
    pub(super) fn wait_for_any(&self) -> (watch::Receiver<()>, watch::Receiver<bool>) {
        (self.any.subscribe(), self.closed.subscribe())
    }

    /// This process has written.
    pub(super) fn grown(&self, heads: impl Iterator<Item = (SessionId, Offset)>) {
        let mut has_grown = false;
        for (session, head) in heads {
            has_grown = true;
            self.heard(session, head);
        }
        if has_grown {
            self.any.send_replace(());
            self.written.notify_one();
        }
    }

    /// A session has come to `head`, or further.
    pub(super) fn heard(&self, session: SessionId, head: Offset) {
        if let Some(waiting) = self.lock().get(&session) {
            waiting.send_if_modified(|known| {
                let is_news = known.is_none_or(|known| known < head);
                if is_news {
                    *known = Some(head);
                }
                is_news
            });
        }
    }

    /// A session was seen at `head`, perhaps before what was heard last; that one looks for itself.
    pub(super) fn seen(&self, session: SessionId, head: Offset) {
        if let Some(waiting) = self.lock().get(&session) {
            waiting.send_if_modified(|known| {
                let is_news = *known != Some(head);
                *known = if known.is_some_and(|known| known > head) { None } else { Some(head) };
                is_news
            });
        }
    }

    /// Anything may have changed.
    pub(super) fn ring(&self) {
        self.any.send_replace(());
    }

    /// What was heard before counts for nothing: the server was away.
    pub(super) fn forget(&self) {
        for waiting in self.lock().values() {
            waiting.send_replace(None);
        }
        self.ring();
    }

    pub(super) fn sessions(&self) -> Vec<SessionId> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    pub(super) fn expect_open(&self) -> Result<(), Error> {
        if *self.closed.borrow() { Err(refusal::closed()) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, watch::Sender<Head>>> {
        self.waited_for.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait for a session.
#[derive(Debug)]
pub(super) struct Seat {
    board: Arc<Board>,
    session: SessionId,
    /// `None` only while it is dropped.
    head: Option<watch::Receiver<Head>>,
    closed: watch::Receiver<bool>,
}

impl Seat {
    /// Waits for news of the session, and gives its head where that is known.
    pub(super) async fn heard(&mut self) -> Result<Head> {
        let Some(head) = &mut self.head else { return Err(refusal::closed()) };
        tokio::select! {
            _ = self.closed.wait_for(|closed| *closed) => Err(refusal::closed()),
            changed = head.changed() => {
                changed.map_err(|_| refusal::closed())?;
                Ok(*head.borrow_and_update())
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut waited_for = self.board.lock();
        drop(self.head.take());
        if let Entry::Occupied(waiting) = waited_for.entry(self.session)
            && waiting.get().receiver_count() == 0
        {
            waiting.remove();
        }
    }
}
