//! Keeping the right to drive the session.

use crate::{Error, ErrorKind};
use party_bus::{Bus, Lease, LeaseOp};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The default term of a lease.
pub(crate) const LEASE_TERM: Duration = Duration::from_secs(10);

/// Keeps the lease for as long as it is polled; ends with the reason why it is gone.
pub(super) async fn keep(bus: Arc<dyn Bus>, lease: Lease) -> Error {
    let mut renewed = Instant::now();
    loop {
        sleep(lease.term / 3).await;
        let renew =
            LeaseOp::Renew { session: lease.session, fencing_token: lease.fencing_token, term: lease.term };
        let patience = lease.term / 2;
        match timeout(patience, bus.lease(renew)).await {
            Ok(Ok(Some(_))) => renewed = Instant::now(),
            Ok(Ok(None)) => return Error::new(ErrorKind::Fenced, "the lease of the session was taken over"),
            Ok(Err(error)) if !error.is_retryable() => return error.into(),
            Ok(Err(_)) | Err(_) if renewed.elapsed() < patience => {}
            Ok(Err(_)) | Err(_) => {
                return Error::new(
                    ErrorKind::Fenced,
                    "the lease of the session could not be renewed in time",
                );
            }
        }
    }
}
