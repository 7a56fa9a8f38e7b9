//! The requests that a fake has seen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

/// A log with its generation: a flight that began before the log was cleared must not mark a new entry.
#[derive(Debug, Default)]
struct Entries {
    generation: u64,
    requests: Vec<Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct RequestLog {
    entries: Arc<Mutex<Entries>>,
    changed: watch::Sender<()>,
}

impl RequestLog {
    pub(crate) fn new() -> Self {
        Self { entries: Arc::default(), changed: watch::Sender::new(()) }
    }

    pub(crate) fn all(&self) -> Vec<Value> {
        self.lock().requests.clone()
    }

    pub(crate) fn clear(&self) {
        let mut entries = self.lock();
        entries.generation += 1;
        entries.requests.clear();
    }

    /// Stores a request whose reply is under way.
    pub(crate) fn record(&self, request: Value) -> Flight {
        let mut entries = self.lock();
        entries.requests.push(request);
        let (generation, index) = (entries.generation, entries.requests.len() - 1);
        drop(entries);
        let flight = Flight { log: self.clone(), generation, index, outcome: "aborted" };
        flight.mark("open");
        flight
    }

    /// Waits until the log satisfies a condition.
    pub(crate) async fn wait(&self, enough: impl Fn(&[Value]) -> bool) {
        let mut changed = self.changed.subscribe();
        while !enough(&self.lock().requests) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reply under way; dropped before [`Flight::finish`], it was aborted by the client.
#[derive(Debug)]
pub(crate) struct Flight {
    log: RequestLog,
    generation: u64,
    index: usize,
    outcome: &'static str,
}

impl Flight {
    pub(crate) fn finish(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }

    fn mark(&self, outcome: &str) {
        let mut entries = self.log.lock();
        if entries.generation == self.generation {
            entries.requests[self.index]["outcome"] = json!(outcome);
        }
        drop(entries);
        self.log.changed.send_replace(());
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.mark(self.outcome);
    }
}
