//! Inputs that others write: waiting for them.

use crate::log::Log;
use futures::{FutureExt as _, future::BoxFuture};
use party_bus::{Bus, Error, Watch};
use party_core::{Offset, SessionId};
use std::{sync::Arc, time::Duration};
use tokio::{task::yield_now, time::sleep};

/// The wait for the head to move. It goes on over whatever else happens meanwhile, as a store may take
/// its time to look. Where the driver has moved the head itself, its write has shown what others wrote.
#[derive(Default)]
pub(super) struct Moves {
    waits: Option<(Offset, BoxFuture<'static, Result<Offset, Error>>)>,
    has_told: bool,
}

impl Moves {
    /// Waits until somebody else has moved the head. Cancel-safe.
    pub(super) async fn next(&mut self, log: &Log) -> Result<Offset, Error> {
        if std::mem::take(&mut self.has_told) {
            // A store that tells all the time, even of nothing, is not all that is listened to.
            yield_now().await;
        }
        let after = log.engine.head();
        let waits = self.waits.take().filter(|(since, _)| *since == after);
        let begin = || (after, moved(Arc::clone(&log.bus), log.session(), after).boxed());
        let (_, moved) = self.waits.insert(waits.unwrap_or_else(begin));
        let head = moved.await;
        (self.waits, self.has_told) = (None, true);
        head
    }
}

/// Waits until the head has moved. Where the store fails, it is asked again a little later.
async fn moved(bus: Arc<dyn Bus>, session: SessionId, after: Offset) -> Result<Offset, Error> {
    match bus.changed(Watch::Session { session, after }).await {
        Err(error) if error.is_retryable() => {
            tracing::debug!(%error, "the store cannot tell whether somebody wrote");
            sleep(Duration::from_millis(500)).await;
            Ok(after)
        }
        told => told.map(|changed| changed.head_of(session).unwrap_or(after)),
    }
}
