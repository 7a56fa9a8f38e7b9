//! What an implementer brings, and how a case is judged.

use crate::{BusAdmin, Capabilities, async_trait};
use std::{error::Error, fmt, sync::Arc, time::Duration};

/// A store of its own for each case, new and empty.
///
/// A case opens one handle. Where the store declares [`Capabilities::cross_process`] it may open a
/// second one beside it, and where it declares [`Capabilities::durable`] it may close all of them and
/// open the store again.
#[async_trait]
pub trait Stage: Send + Sync {
    /// Opens the store, which the first call makes. Each call gives a handle of its own, as another
    /// process would have it; a store that declares neither of the two may give the same again.
    async fn open(&self) -> Arc<dyn BusAdmin>;

    /// How long a whole case may take; 60 s.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// Why a case was not played: the store does not declare what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotDeclared {
    /// What it would be about.
    pub what: &'static str,
}

impl fmt::Display for NotDeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store does not declare {}", self.what)
    }
}

impl Error for NotDeclared {}

/// The result of a case that did not fail.
pub type Played = Result<(), NotDeclared>;

/// Plays a case within the stage's patience, and says where it does not apply.
///
/// # Panics
/// Where the case fails or takes too long.
pub async fn judge(name: &str, stage: &dyn Stage, case: impl Future<Output = Played>) {
    let patience = stage.patience();
    let played = tokio::time::timeout(patience, case).await;
    let played = played.unwrap_or_else(|_| panic!("{name} took longer than {} s", patience.as_secs()));
    if let Err(skipped) = played {
        eprintln!("{name}: skipped, as {skipped}");
    }
}

/// Ends a case that needs what the store does not declare.
pub(super) fn needs(
    declared: impl Fn(&Capabilities) -> bool,
    what: &'static str,
    bus: &dyn BusAdmin,
) -> Played {
    if declared(&bus.info().capabilities) { Ok(()) } else { Err(NotDeclared { what }) }
}

/// The handle that was there, and another one of the same store.
pub(super) async fn two_handles(
    stage: &dyn Stage,
) -> Result<(Arc<dyn BusAdmin>, Arc<dyn BusAdmin>), NotDeclared> {
    let one = stage.open().await;
    needs(|can| can.cross_process, "use by several processes", &*one)?;
    Ok((one, stage.open().await))
}
