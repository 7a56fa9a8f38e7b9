//! The backends of this crate pass the suite that backends of others can run.

mod memory {
    use party_bus::{BusAdmin, MemoryBus, async_trait, bus_conformance, conformance::Stage};
    use std::sync::Arc;

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
