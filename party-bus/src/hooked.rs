//! A bus that shows each batch to a hook before it is written.

use crate::{
    Batch, Bus, BusAdmin, BusInfo, Changed, Erase, Erased, Error, ErrorKind, Expect, Found, Lease, LeaseOp,
    Page, Prune, Pruned, Read, Receipt, Report, Result, Scope, Search, SessionInfo, SessionQuery, SharedPage,
    ThreadInfo, ThreadQuery, Watch, Window, async_trait,
};
use party_core::{BatchId, Entry, Item, ItemId, Record, SessionId};
use std::{fmt, path::Path, sync::Arc};

/// Sees each batch before it is written, and may change what it says or refuse it: to redact, to forbid.
///
/// What it leaves is what is checked, hashed and written. So it must make the same of the same batch each
/// time, or a retry after a lost answer is a
/// [`BatchConflict`](crate::ErrorKind::BatchConflict); the same holds for items, which are named once.
///
/// It is meant to change items, bodies, times and the batch's snapshot. Which session the batch is of, its
/// name, what it expects, who writes it and how many records it has are refused to it, as drivers name
/// turns by offsets; whatever else it changes, it answers for. A copy (`fork`, `import`) whose bodies it
/// changes cannot be told from another one, and is refused when it is made again.
/// A driver knows what it wrote as it was before the hook, and its snapshot holds that: a hook that
/// redacts leaves no snapshot (`batch.snapshot = None`).
pub trait Hook: Send + Sync + 'static {
    /// Looks at `batch`. It is called from async code: it must not block.
    ///
    /// # Errors
    /// Refuses the batch: nothing is written, and the writer gets the error.
    fn before_append(&self, batch: &mut Batch) -> Result<()>;
}

impl<F: Fn(&mut Batch) -> Result<()> + Send + Sync + 'static> Hook for F {
    fn before_append(&self, batch: &mut Batch) -> Result<()> {
        self(batch)
    }
}

/// A bus that passes everything on to another, batches after its [`Hook`] has seen them. What is in the
/// store already is read as it is, and [`BusAdmin::erase`] writes past the hook.
pub struct HookedBus<B: ?Sized = dyn Bus> {
    hook: Box<dyn Hook>,
    inner: Arc<B>,
}

impl<B: ?Sized> HookedBus<B> {
    /// Wraps `inner`. A function of `&mut Batch` is a hook.
    ///
    /// ```
    /// use party_bus::{Batch, Error, ErrorKind, HookedBus, MemoryBus};
    /// use std::sync::Arc;
    ///
    /// let small = |batch: &mut Batch| match batch.records.len() {
    ///     ..=100 => Ok(()),
    ///     _ => Err(Error::new(ErrorKind::Invalid, "a batch has at most 100 records here")),
    /// };
    /// let bus = HookedBus::new(Arc::new(MemoryBus::new()), small);
    /// # let _ = bus;
    /// ```
    pub fn new(inner: Arc<B>, hook: impl Hook) -> Self {
        Self { hook: Box::new(hook), inner }
    }

    fn look(&self, mut batch: Batch) -> Result<Batch> {
        let before = Fixed::of(&batch);
        self.hook.before_append(&mut batch)?;
        if Fixed::of(&batch) == before {
            return Ok(batch);
        }
        let id = before.id;
        let why = "the hook changed its session, name, expectation, author or number of records";
        Err(Error::new(ErrorKind::Invalid, format!("batch {id}: {why}")))
    }
}

/// What no hook changes.
#[derive(PartialEq)]
struct Fixed {
    session: SessionId,
    id: BatchId,
    expect: Expect,
    author: Option<party_core::Author>,
    records: usize,
}

impl Fixed {
    fn of(batch: &Batch) -> Self {
        let Batch { session, id, expect, author, records, .. } = batch;
        let (expect, author) = (expect.clone(), author.clone());
        Self { session: *session, id: *id, expect, author, records: records.len() }
    }
}

impl<B: fmt::Debug + ?Sized> fmt::Debug for HookedBus<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookedBus").field("inner", &&self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Bus + ?Sized> Bus for HookedBus<B> {
    fn info(&self) -> &BusInfo {
        self.inner.info()
    }

    async fn append(&self, batch: Batch) -> Result<Receipt> {
        self.inner.append(self.look(batch)?).await
    }

    async fn read(&self, read: Read) -> Result<Page<Arc<Record>>> {
        self.inner.read(read).await
    }

    fn recent(&self, read: &Read) -> Option<SharedPage> {
        self.inner.recent(read)
    }

    async fn changed(&self, watch: Watch) -> Result<Changed> {
        self.inner.changed(watch).await
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

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: BusAdmin + ?Sized> BusAdmin for HookedBus<B> {
    async fn verify(&self, scope: Scope) -> Result<Report> {
        self.inner.verify(scope).await
    }

    async fn backup(&self, to: &Path) -> Result<()> {
        self.inner.backup(to).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned> {
        self.inner.prune(prune).await
    }

    async fn erase(&self, erase: Erase) -> Result<Erased> {
        self.inner.erase(erase).await
    }

    async fn search(&self, search: Search) -> Result<Page<Found>> {
        self.inner.search(search).await
    }
}
