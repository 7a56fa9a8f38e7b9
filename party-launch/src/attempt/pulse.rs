//! Signs of life of a running turn, and since when there was none.

use party_harness::{RequestId, TurnEvent};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// So many open calls and questions are told apart; more of them change nothing.
const MOST_OPEN: usize = 1_000;

/// The clock of a turn that may be idle for so long. It stands still while a tool call or a question
/// is open.
#[derive(Debug)]
pub(super) struct Pulse {
    patience: Option<Duration>,
    last: Instant,
    /// Calls that the runtime told of, without a result so far.
    used: BTreeSet<String>,
    asked: BTreeSet<RequestId>,
    /// Calls that the host is answering.
    calls: usize,
}

impl Pulse {
    pub(super) fn new(patience: Option<Duration>, asked: Vec<RequestId>) -> Self {
        let asked = asked.into_iter().collect();
        Self { patience, last: Instant::now(), used: BTreeSet::new(), asked, calls: 0 }
    }

    /// The runtime told something: a sign of life, whatever it is.
    pub(super) fn event(&mut self, event: &TurnEvent) {
        self.last = Instant::now();
        match event {
            TurnEvent::ToolUse { id, .. } if self.used.len() < MOST_OPEN => {
                self.used.insert(id.clone());
            }
            TurnEvent::ToolResult { id, .. } => {
                self.used.remove(id);
            }
            TurnEvent::PermissionAsked { request, .. } if self.asked.len() < MOST_OPEN => {
                self.asked.insert(request.clone());
            }
            TurnEvent::PermissionWithdrawn { request } => {
                self.asked.remove(request);
            }
            _ => {}
        }
    }

    /// From now on somebody listens again.
    pub(super) fn listened(&mut self) {
        self.last = Instant::now();
    }

    /// A question was answered: it is the runtime's turn again.
    pub(super) fn answered(&mut self, request: &RequestId) {
        self.last = Instant::now();
        self.asked.remove(request);
    }

    /// So many calls are open at the host now.
    pub(super) fn calls(&mut self, open: usize) {
        self.last = Instant::now();
        self.calls = open;
    }

    /// When the turn counts as idle, if nothing comes; none while the clock stands still.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let runs = self.calls == 0 && self.used.is_empty() && self.asked.is_empty();
        self.patience.filter(|_| runs).map(|patience| self.last + patience)
    }
}
