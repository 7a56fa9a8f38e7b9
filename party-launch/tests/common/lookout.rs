//! A store that takes its time to tell that somebody wrote, or tells it of nothing.

use party_launch::{
    bus::{
        Batch, Bus, BusInfo, Changed, Lease, LeaseOp, MemoryBus, Page, Read, Receipt, Result, SessionInfo,
        SessionQuery, ThreadInfo, ThreadQuery, Watch, Window, async_trait,
    },
    core::{Entry, Item, ItemId, Record},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[derive(Debug)]
pub(crate) struct Lookout {
    pub(crate) inner: MemoryBus,
    /// So often whoever waits is polled before it looks.
    pub(crate) polls: usize,
    /// It tells of nothing, again and again, which the trait allows; so often at most.
    pub(crate) nothing: AtomicUsize,
}

#[async_trait]
impl Bus for Lookout {
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
        for _ in 0..self.polls {
            tokio::task::yield_now().await;
        }
        match self.nothing.load(Ordering::Relaxed) {
            0 => self.inner.changed(watch).await,
            1 => panic!("whoever listens hears nothing else"),
            left => {
                self.nothing.store(left - 1, Ordering::Relaxed);
                Ok(Changed { sessions: Vec::new(), mark: 0 })
            }
        }
    }

    async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>> {
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
