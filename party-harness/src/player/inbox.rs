//! What a playing agent is told while its turn runs.

use crate::{Answer, Capabilities, Error, ErrorKind, Permissions, RequestId, Result, Steered, TurnControl};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    steers: Vec<String>,
    asked: Option<RequestId>,
    answer: Option<Answer>,
    over: bool,
}

impl Inbox {
    /// All that the agent was told so far.
    pub(super) fn steered(&self) -> String {
        self.lock().steers.join("\n\n")
    }

    /// Waits until it was told something.
    pub(super) async fn steer(&self) {
        self.until(|state| (!state.steers.is_empty()).then_some(())).await;
    }

    pub(super) fn ask(&self, request: RequestId) {
        let mut state = self.lock();
        (state.asked, state.answer) = (Some(request), None);
    }

    /// Waits for the answer to the question that is open.
    pub(super) async fn answer(&self) -> Answer {
        self.until(|state| state.answer.take()).await
    }

    pub(super) fn close(&self) {
        self.lock().over = true;
    }

    async fn until<T>(&self, mut found: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(found) = found(&mut self.lock()) {
                return found;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct Control {
    pub(super) capabilities: Capabilities,
    pub(super) inbox: Arc<Inbox>,
    pub(super) stop: CancellationToken,
}

#[async_trait]
impl TurnControl for Control {
    async fn steer(&self, text: String) -> Result<Steered> {
        if !self.capabilities.steer {
            return Err(Error::new(ErrorKind::Unsupported, "a recording takes no further messages"));
        }
        let mut state = self.inbox.lock();
        if state.over || self.stop.is_cancelled() {
            return Ok(Steered::TooLate);
        }
        state.steers.push(text);
        drop(state);
        self.inbox.changed.notify_waiters();
        Ok(Steered::Taken)
    }

    async fn answer(&self, request: RequestId, answer: Answer) -> Result<()> {
        if self.capabilities.permissions == Permissions::Never {
            return Err(Error::new(ErrorKind::Unsupported, "a recording asks nothing"));
        }
        let mut state = self.inbox.lock();
        if state.asked.as_ref() == Some(&request) {
            (state.asked, state.answer) = (None, Some(answer));
        }
        drop(state);
        self.inbox.changed.notify_waiters();
        Ok(())
    }

    async fn interrupt(&self) -> Result<()> {
        self.stop.cancel();
        Ok(())
    }
}
