//! A store whose owner can only verify it.

use party_bus::{
    Batch, Bus, BusAdmin, BusInfo, Changed, Erase, Erased, Error, ErrorKind, Found, Lease, LeaseOp, Page,
    Prune, Pruned, Read, Receipt, Report, Result, Scope, Search, SessionInfo, SessionQuery, ThreadInfo,
    ThreadQuery, Watch, Window, async_trait, verify,
};
use party_core::{Entry, Item, ItemId, Record};
use std::{path::Path, sync::Arc};

#[derive(Debug)]
pub(crate) struct Untended<B>(pub(crate) B);

#[async_trait]
impl<B: Bus> Bus for Untended<B> {
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

    async fn sessions(&self, query: SessionQuery) -> Result<Page<SessionInfo>> {
        self.0.sessions(query).await
    }

    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>> {
        self.0.threads(query).await
    }

    async fn window(&self, window: Window) -> Result<Page<Entry>> {
        self.0.window(window).await
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
        self.0.items(ids).await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

fn unsupported<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "nobody tends this store"))
}

#[async_trait]
impl<B: Bus> BusAdmin for Untended<B> {
    async fn verify(&self, scope: Scope) -> Result<Report> {
        verify(self, scope).await
    }

    async fn backup(&self, _to: &Path) -> Result<()> {
        unsupported()
    }

    async fn prune(&self, _prune: Prune) -> Result<Pruned> {
        unsupported()
    }

    async fn erase(&self, _erase: Erase) -> Result<Erased> {
        unsupported()
    }

    async fn search(&self, _search: Search) -> Result<Page<Found>> {
        unsupported()
    }
}
