//! The backends of this crate pass the suite that backends of others can run.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{BusAdmin, MemoryBus, async_trait, bus_conformance, bus_model, conformance::Stage};
use std::sync::Arc;
use tempfile::TempDir;

mod memory {
    use super::*;

    struct InMemory(Arc<MemoryBus>);

    #[async_trait]
    impl Stage for InMemory {
        async fn open(&self) -> Arc<dyn BusAdmin> {
            self.0.clone()
        }
    }

    #[expect(clippy::unused_async, reason = "the suite takes async makers")]
    async fn make() -> InMemory {
        InMemory(Arc::new(MemoryBus::new()))
    }

    bus_conformance!(make);
}

mod sqlite {
    use super::*;
    use party_bus::SqliteBus;

    struct InAFile(TempDir);

    #[async_trait]
    impl Stage for InAFile {
        async fn open(&self) -> Arc<dyn BusAdmin> {
            Arc::new(SqliteBus::open(self.0.path().join("store.db")).await.unwrap())
        }
    }

    async fn make() -> InAFile {
        InAFile(tempfile::tempdir().unwrap())
    }

    bus_conformance!(make);
    bus_model!(make, 48);
}
