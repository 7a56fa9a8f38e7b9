//! A store of somebody else's: a folder of JSON files, made of public items alone. It passes the suite
//! and the model test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod files;
mod folder_bus;
mod log;

use files::Files;
use folder_bus::FolderBus;
use party_bus::{BusAdmin, ErrorKind, async_trait, bus_conformance, bus_model, conformance::Stage};
use std::sync::Arc;
use tempfile::TempDir;

struct InAFolder(TempDir);

#[async_trait]
impl Stage for InAFolder {
    async fn open(&self) -> Arc<dyn BusAdmin> {
        Arc::new(FolderBus::open(self.0.path()).unwrap())
    }
}

async fn make() -> InAFolder {
    InAFolder(tempfile::tempdir().unwrap())
}

mod a207_a_store_of_ones_own_passes {
    use super::*;

    bus_conformance!(make);
    bus_model!(make, 48);
}

/// It declares one process, and holds to it.
#[tokio::test]
async fn a_folder_that_is_open_is_busy() {
    let stage = make().await;
    let bus = stage.open().await;
    let error = FolderBus::open(stage.0.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    bus.close().await.unwrap();
    drop(bus);
    assert!(Files::open(stage.0.path()).is_ok());
}
