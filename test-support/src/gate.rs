//! A handle with which a test holds a model's answer.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Holds the answers of a turn until the test lets them go; clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    go: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A shut gate.
    pub fn new() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), go: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until one more answer stands at the gate; each arrival is seen once.
    pub async fn arrived(&self) {
        if let Ok(permit) = self.arrived.acquire().await {
            permit.forget();
        }
    }

    /// Lets one answer pass: the first that waits, or the next that comes.
    pub fn release(&self) {
        self.go.add_permits(1);
    }

    /// Lets all answers pass from now on.
    pub fn open(&self) {
        self.go.close();
    }

    pub(crate) async fn pass(&self) {
        self.arrived.add_permits(1);
        // A closed semaphore is an open gate.
        if let Ok(permit) = self.go.acquire().await {
            permit.forget();
        }
    }
}
