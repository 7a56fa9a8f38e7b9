//! A store as another machine would use it.

use party_launch::{
    bus::{
        Batch, Bus, BusInfo, Changed, Lease, LeaseOp, Owner, Page, PostgresBus, PostgresOptions, Read,
        Receipt, Result, SessionInfo, SessionQuery, ThreadInfo, ThreadQuery, Watch, Window, async_trait,
    },
    core::{Entry, Item, ItemId, Record},
};
use std::sync::Arc;

/// Takes leases under the name of another machine, so that nobody can see whether the holder lives: the
/// term alone ends its lease.
#[derive(Debug)]
pub(crate) struct Named {
    host: &'static str,
    pub(crate) inner: PostgresBus,
}

impl Named {
    pub(crate) async fn open(host: &'static str, url: &str, schema: &str) -> Arc<Self> {
        let inner = PostgresBus::open(PostgresOptions::new(url).schema(schema)).await.unwrap();
        Arc::new(Self { host, inner })
    }
}

#[async_trait]
impl Bus for Named {
    fn info(&self) -> &BusInfo {
        self.inner.info()
    }

    async fn append(&self, batch: Batch) -> Result<Receipt> {
        self.inner.append(batch).await
    }

    async fn read(&self, read: Read) -> Result<Page<Arc<Record>>> {
        self.inner.read(read).await
    }

    async fn changed(&self, watch: Watch) -> Result<Changed> {
        self.inner.changed(watch).await
    }

    async fn lease(&self, mut op: LeaseOp) -> Result<Option<Lease>> {
        if let LeaseOp::Acquire { owner: Owner { host, .. }, .. } = &mut op {
            self.host.clone_into(host);
        }
        self.inner.lease(op).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Page<SessionInfo>> {
        self.inner.sessions(query).await
    }

    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>> {
        self.inner.threads(query).await
    }

    async fn window(&self, window: Window) -> Result<Page<Entry>> {
        self.inner.window(window).await
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
        self.inner.items(ids).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
