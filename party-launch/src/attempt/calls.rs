//! Which attempts have tool calls open: while one is, a silent runtime is not idle.

use party_harness::TurnKey;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// The calls that the host is answering, counted by attempt.
#[derive(Debug, Default)]
pub(crate) struct CallCounts(Mutex<BTreeMap<TurnKey, watch::Sender<usize>>>);

impl CallCounts {
    /// An attempt begins; its calls are counted until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>, key: TurnKey) -> Entered {
        let (count, open) = watch::channel(0);
        self.lock().insert(key, count);
        Entered { calls: Arc::clone(self), key, open }
    }

    /// A call begins; it lasts until the result is dropped.
    pub(crate) fn call(&self, key: TurnKey) -> Counted {
        let count = self.lock().get(&key).cloned();
        if let Some(count) = &count {
            count.send_modify(|open| *open += 1);
        }
        Counted(count)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TurnKey, watch::Sender<usize>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt whose calls are counted.
#[derive(Debug)]
pub(crate) struct Entered {
    calls: Arc<CallCounts>,
    key: TurnKey,
    /// How many are open.
    pub(super) open: watch::Receiver<usize>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.key);
    }
}

/// A call that is being answered.
#[derive(Debug)]
pub(crate) struct Counted(Option<watch::Sender<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.send_modify(|open| *open -= 1);
        }
    }
}
