//! The backends of this crate pass the suite that backends of others can run.

use party_bus::{Bus, MemoryBus, SqliteBus, bus_conformance};
use std::sync::Arc;
use tempfile::TempDir;

mod memory {
    use super::*;

    async fn make() -> (Arc<dyn Bus>, ()) {
        (Arc::new(MemoryBus::new()), ())
    }

    bus_conformance!(make);
}

mod sqlite {
    use super::*;

    async fn make() -> (Arc<dyn Bus>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let bus = SqliteBus::open(folder.path().join("store.db")).await.unwrap();
        (Arc::new(bus), folder)
    }

    bus_conformance!(make);
}
