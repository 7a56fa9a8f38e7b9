//! The right to drive a session, kept for as long as it is held.

use crate::{Error, ErrorKind, Result};
use party_bus::{Bus, Lease, LeaseOp, Owner};
use party_core::SessionId;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

/// How long a lease holds without being renewed.
const TERM: Duration = Duration::from_secs(10);

/// A lease that a task of its own renews, so that nothing that takes long lets it expire.
#[derive(Debug)]
pub(crate) struct Held {
    bus: Arc<dyn Bus>,
    lease: Lease,
    lost: oneshot::Receiver<Error>,
    keeper: AbortOnDropHandle<()>,
}

impl Held {
    pub(crate) async fn acquire(bus: &Arc<dyn Bus>, session: SessionId) -> Result<Self> {
        let acquire = LeaseOp::Acquire { session, owner: Owner::this_process(), term: TERM };
        let lease = bus.lease(acquire).await?.ok_or_else(|| {
            Error::new(ErrorKind::Busy, format!("session {session} is driven by another process"))
        })?;
        let (tell, lost) = oneshot::channel();
        let keeping = keep(Arc::clone(bus), lease.clone());
        let keeper = AbortOnDropHandle::new(tokio::spawn(async {
            // Who no longer holds it does not care.
            let _ = tell.send(keeping.await);
        }));
        Ok(Self { bus: Arc::clone(bus), lease, lost, keeper })
    }

    pub(crate) const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Waits until the lease is gone, and says why. Cancel-safe.
    pub(crate) async fn lost(&mut self) -> Error {
        let gone = || Error::new(ErrorKind::Fenced, "the lease of the session is no longer kept");
        (&mut self.lost).await.unwrap_or_else(|_| gone())
    }

    /// Lets the session go, so that another may take it at once.
    pub(crate) async fn release(self) {
        self.keeper.abort();
        let Lease { session, fencing_token, .. } = self.lease;
        let released = self.bus.lease(LeaseOp::Release { session, fencing_token }).await;
        if let Err(error) = released {
            tracing::debug!(%session, %error, "the lease is left to expire");
        }
    }
}

/// Renews the lease each third of its term; ends with the reason why it is gone.
async fn keep(bus: Arc<dyn Bus>, lease: Lease) -> Error {
    let patience = lease.term / 2;
    let (mut renewed, mut pause) = (Instant::now(), lease.term / 3);
    loop {
        sleep(pause).await;
        let Lease { session, fencing_token, term } = lease;
        let renew = LeaseOp::Renew { session, fencing_token, term };
        match timeout(patience.saturating_sub(renewed.elapsed()), bus.lease(renew)).await {
            Ok(Ok(Some(_))) => (renewed, pause) = (Instant::now(), lease.term / 3),
            Ok(Ok(None)) => return Error::new(ErrorKind::Fenced, "the lease of the session was taken over"),
            Ok(Err(error)) if !error.is_retryable() => return error.into(),
            // A full store may have a place for it the next time.
            Ok(Err(_)) | Err(_) if renewed.elapsed() < patience => pause = lease.term / 40,
            Ok(Err(_)) | Err(_) => {
                return Error::new(
                    ErrorKind::Fenced,
                    "the lease of the session could not be renewed in time",
                );
            }
        }
    }
}
