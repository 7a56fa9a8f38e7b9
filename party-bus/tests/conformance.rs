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
    use party_bus::*;
    use party_bus::{bus_conformance, bus_model, conformance::Stage};
    use party_core::*;
    use std::{path::Path, sync::Arc};
    use tempfile::TempDir;

    struct InAFile(TempDir);

    #[async_trait]
    impl Stage for InAFile {
        async fn open(&self) -> Arc<dyn BusAdmin> {
            Arc::new(Cared(SqliteBus::open(self.0.path().join("store.db")).await.unwrap()))
        }
    }

    async fn make() -> InAFile {
        InAFile(tempfile::tempdir().unwrap())
    }

    bus_conformance!(make);
    bus_model!(make, 64);

    #[derive(Debug)]
    struct Cared(SqliteBus);
    #[async_trait]
    impl Bus for Cared {
        fn info(&self) -> &BusInfo {
            self.0.info()
        }
        async fn append(&self, batch: Batch) -> Result<Receipt> {
            self.0.append(batch).await
        }
        async fn read(&self, read: Read) -> Result<Page<Arc<Record>>> {
            self.0.read(read).await
        }
        async fn changed(&self, watch: Watch) -> Result<Changed> {
            self.0.changed(watch).await
        }
        async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>> {
            self.0.lease(op).await
        }
        async fn sessions(&self, q: SessionQuery) -> Result<Page<SessionInfo>> {
            self.0.sessions(q).await
        }
        async fn threads(&self, q: ThreadQuery) -> Result<Page<ThreadInfo>> {
            self.0.threads(q).await
        }
        async fn window(&self, w: Window) -> Result<Page<Entry>> {
            self.0.window(w).await
        }
        async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
            self.0.items(ids).await
        }
        async fn close(&self) -> Result<()> {
            self.0.close().await
        }
    }
    fn no<T>() -> Result<T> {
        Err(Error::new(ErrorKind::Unsupported, "interim"))
    }
    #[async_trait]
    impl BusAdmin for Cared {
        async fn verify(&self, scope: Scope) -> Result<Report> {
            verify(self, scope).await
        }
        async fn backup(&self, _to: &Path) -> Result<()> {
            no()
        }
        async fn prune(&self, _p: Prune) -> Result<Pruned> {
            no()
        }
        async fn erase(&self, _p: Erase) -> Result<Erased> {
            no()
        }
        async fn search(&self, _p: Search) -> Result<Page<Found>> {
            no()
        }
    }
}
