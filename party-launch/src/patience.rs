//! What a driver does while its store fails: it holds what it has, and tries again.

use crate::{Result, driver::Status};
use std::time::Duration;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often a call that may succeed later is made where nobody holds on.
const TRIES: u32 = 8;

/// How a driver holds on: until it is drained, and it tells why it waits.
#[derive(Debug)]
pub(crate) struct Hold {
    drain: CancellationToken,
    status: watch::Sender<Status>,
}

impl Hold {
    pub(crate) const fn new(drain: CancellationToken, status: watch::Sender<Status>) -> Self {
        Self { drain, status }
    }

    fn tell(&self, failing: Option<String>) {
        self.status.send_if_modified(|status| {
            let changes = status.failing.is_some() != failing.is_some();
            status.failing = failing;
            changes
        });
    }
}

/// The pauses between the tries of one call.
#[derive(Debug)]
pub(crate) struct Patience<'h> {
    hold: Option<&'h Hold>,
    tries: u32,
    pause: Duration,
}

impl<'h> Patience<'h> {
    pub(crate) const fn new(hold: Option<&'h Hold>) -> Self {
        Self { hold, tries: 0, pause: FIRST_PAUSE }
    }

    /// Returns when it is time for the next try.
    ///
    /// # Errors
    /// The call's own, where it cannot get better or nobody waits any longer.
    pub(crate) async fn wait(&mut self, error: party_bus::Error) -> Result<()> {
        self.tries += 1;
        if !error.is_retryable() || (self.hold.is_none() && self.tries >= TRIES) {
            return Err(error.into());
        }
        let Some(hold) = self.hold else {
            sleep(self.next_pause()).await;
            return Ok(());
        };
        if self.tries == TRIES {
            tracing::warn!(%error, "the store fails; what was to be written is held until it does not");
        }
        hold.tell(Some(error.to_string()));
        tokio::select! {
            biased;
            () = hold.drain.cancelled() => Err(error.into()),
            () = sleep(self.next_pause()) => Ok(()),
        }
    }

    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// The call was made, or given up.
impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.filter(|_| self.tries > 0) {
            hold.tell(None);
        }
    }
}
