//! A bus that crashes at a chosen append, or is full for a while, for tests of whoever uses it.

use crate::{
    Batch, Bus, BusInfo, Changed, Durability, Error, ErrorKind, Lease, LeaseOp, Page, Read, Receipt, Result,
    SessionInfo, SessionQuery, SharedPage, ThreadInfo, ThreadQuery, Watch, Window, async_trait, refusal,
};
use party_core::{Entry, Item, ItemId, Record};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::watch;

/// When a [`FaultyBus`] crashes, or refuses to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The first append that meets the fault, counted from 1; 0 for none.
    append: u64,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// The bus is gone from then on. Whether that append is written before.
    Crash { written: bool },
    /// So many appends find no space; then there is some.
    Full { times: u64 },
}

impl Fault {
    /// Never: the bus only counts.
    pub const fn none() -> Self {
        Self { append: 0, how: How::Crash { written: false } }
    }

    /// The `append`-th append, counted from 1, is not written.
    pub const fn crash_before(append: u64) -> Self {
        Self { append, how: How::Crash { written: false } }
    }

    /// The `append`-th append, counted from 1, is written, but its answer is lost.
    pub const fn crash_after(append: u64) -> Self {
        Self { append, how: How::Crash { written: true } }
    }

    /// The `append`-th append, counted from 1, and those behind it, `times` in all, are not written for
    /// want of space ([`ErrorKind::Full`]); then there is some.
    pub const fn full(append: u64, times: u64) -> Self {
        Self { append, how: How::Full { times } }
    }

    fn strikes(self, append: u64) -> bool {
        match self.how {
            How::Crash { .. } => append == self.append,
            How::Full { times } => {
                self.append > 0 && (self.append..self.append.saturating_add(times)).contains(&append)
            }
        }
    }
}

/// A bus that passes everything on to another until its [`Fault`] strikes. From a crash on every call
/// fails with [`ErrorKind::Closed`], those that wait included; the bus inside lives on for whoever
/// resumes.
#[derive(Debug)]
pub struct FaultyBus {
    inner: Arc<dyn Bus>,
    fault: Fault,
    appends: AtomicU64,
    synced_appends: AtomicU64,
    crashed: watch::Sender<bool>,
}

impl FaultyBus {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Bus>, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            appends: AtomicU64::new(0),
            synced_appends: AtomicU64::new(0),
            crashed: watch::Sender::new(false),
        }
    }

    /// How many appends were called for before the crash, refused and repeated ones included.
    pub fn appends(&self) -> u64 {
        self.appends.load(Ordering::SeqCst)
    }

    /// How many of them were to be synced.
    pub fn synced_appends(&self) -> u64 {
        self.synced_appends.load(Ordering::SeqCst)
    }

    /// Whether the fault has struck.
    pub fn crashed(&self) -> bool {
        *self.crashed.borrow()
    }

    /// What `call` gives, unless the crash was or comes first.
    async fn unless_crashed<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let mut crash = self.crashed.subscribe();
        tokio::select! {
            biased;
            _ = crash.wait_for(|crashed| *crashed) => Err(refusal::closed()),
            answer = call => answer,
        }
    }

    fn count(&self, durability: Durability) -> u64 {
        if durability == Durability::Synced {
            self.synced_appends.fetch_add(1, Ordering::SeqCst);
        }
        self.appends.fetch_add(1, Ordering::SeqCst) + 1
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Bus for FaultyBus {
    fn info(&self) -> &BusInfo {
        self.inner.info()
    }

    async fn append(&self, batch: Batch) -> Result<Receipt> {
        if self.crashed() {
            return Err(refusal::closed());
        }
        let append = self.count(batch.durability);
        match self.fault.how {
            _ if !self.fault.strikes(append) => {
                return self.unless_crashed(self.inner.append(batch)).await;
            }
            How::Full { .. } => {
                return Err(Error::new(ErrorKind::Full, format!("no space is left for append {append}")));
            }
            How::Crash { written: true } => drop(self.inner.append(batch).await),
            How::Crash { written: false } => {}
        }
        self.crashed.send_replace(true);
        Err(refusal::closed())
    }

    async fn read(&self, read: Read) -> Result<Page<Arc<Record>>> {
        self.unless_crashed(self.inner.read(read)).await
    }

    fn recent(&self, read: &Read) -> Option<SharedPage> {
        self.inner.recent(read).filter(|_| !self.crashed())
    }

    async fn changed(&self, watch: Watch) -> Result<Changed> {
        self.unless_crashed(self.inner.changed(watch)).await
    }

    async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>> {
        self.unless_crashed(self.inner.lease(op)).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Page<SessionInfo>> {
        self.unless_crashed(self.inner.sessions(query)).await
    }

    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>> {
        self.unless_crashed(self.inner.threads(query)).await
    }

    async fn window(&self, window: Window) -> Result<Page<Entry>> {
        self.unless_crashed(self.inner.window(window)).await
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
        self.unless_crashed(self.inner.items(ids)).await
    }

    async fn close(&self) -> Result<()> {
        self.unless_crashed(self.inner.close()).await
    }
}
