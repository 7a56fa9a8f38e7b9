//! The backends of this crate pass the suite that backends of others can run.

mod memory {
    use party_bus::{BusAdmin, MemoryBus, async_trait, bus_conformance, bus_model, conformance::Stage};
    use std::sync::Arc;

    struct InMemory(Arc<MemoryBus>);

    #[async_trait]
    impl Stage for InMemory {
        async fn open(&self) -> Arc<dyn BusAdmin> {
            self.0.clone()
        }
    }

    async fn make() -> InMemory {
        InMemory(Arc::new(MemoryBus::new()))
    }

    bus_conformance!(make);
    bus_model!(make, 64);
}

mod sqlite {
    use party_bus::{BusAdmin, SqliteBus, async_trait, bus_conformance, bus_model, conformance::Stage};
    use std::sync::Arc;
    use tempfile::TempDir;

    struct InAFile(TempDir);

    #[async_trait]
    impl Stage for InAFile {
        async fn open(&self) -> Arc<dyn BusAdmin> {
            Arc::new(SqliteBus::open(self.0.path().join("store.db")).await.expect("a store opens"))
        }
    }

    async fn make() -> InAFile {
        InAFile(tempfile::tempdir().expect("a folder"))
    }

    bus_conformance!(make);
    bus_model!(make, 64);
}
