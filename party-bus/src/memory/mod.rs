//! A store in memory: the reference that other backends are measured against.

pub(crate) mod care;
mod state;

use crate::{
    Batch, Bus, BusAdmin, BusInfo, Capabilities, Changed, Erase, Erased, Found, Lease, LeaseOp, Page, Prune,
    Pruned, Read, Receipt, Report, Result, Scope, Search, SessionInfo, SessionQuery, SharedPage, ThreadInfo,
    ThreadQuery, Watch, Window, async_trait, refusal, tail::Tail, verify,
};
use party_core::{Entry, Item, ItemId, Record};
use state::State;
use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{sync::watch, time::Instant};

/// A [`Bus`] in memory, for tests and for parties that need not outlive their process. Nothing is
/// durable, whatever a batch asks for. Terms of leases run on tokio's clock, which a test may pause.
pub struct MemoryBus {
    info: BusInfo,
    born: Instant,
    /// `None` once the bus is closed.
    state: Mutex<Option<State>>,
    /// Rung after each change, for those who wait for any session.
    bell: watch::Sender<()>,
    tail: Tail,
}

impl MemoryBus {
    /// An empty store.
    pub fn new() -> Self {
        static STORES: AtomicU64 = AtomicU64::new(1);
        let number = STORES.fetch_add(1, Ordering::Relaxed);
        Self {
            info: BusInfo {
                backend: "memory",
                store: format!("memory-{}-{number}", std::process::id()),
                epoch: 1,
                capabilities: Capabilities {
                    durable: false,
                    cross_process: false,
                    backup: false,
                    prune: true,
                    erase: true,
                    search: true,
                },
            },
            born: Instant::now(),
            state: Mutex::new(Some(State::default())),
            bell: watch::Sender::new(()),
            tail: Tail::new(),
        }
    }

    /// Another store that holds the same and goes its own way.
    #[cfg(feature = "conformance")]
    pub(crate) fn copy(&self) -> Self {
        let (state, bell) = (Mutex::new(self.lock().clone()), watch::Sender::new(()));
        Self { info: self.info.clone(), born: self.born, state, bell, tail: Tail::new() }
    }

    fn with<T>(&self, call: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        call(self.lock().as_mut().ok_or_else(refusal::closed)?)
    }

    /// A panic elsewhere leaves no batch half-written, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since the store was made.
    fn now(&self) -> i64 {
        i64::try_from(self.born.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBus").field("info", &self.info).finish_non_exhaustive()
    }
}

#[async_trait]
impl Bus for MemoryBus {
    fn info(&self) -> &BusInfo {
        &self.info
    }

    async fn append(&self, batch: Batch) -> Result<Receipt> {
        let encoded = batch.encode()?;
        let session = batch.session;
        let receipt = self.with(|state| {
            let receipt = state.append(batch, encoded.hash)?;
            if !receipt.repeated && self.tail.is_followed(session) {
                // Under the lock: an erasure that comes next must find it here.
                self.tail.publish(session, receipt.last, state.written(session, &receipt));
            }
            Ok(receipt)
        })?;
        self.bell.send_replace(());
        Ok(receipt)
    }

    async fn read(&self, read: Read) -> Result<Page<Arc<Record>>> {
        if let Some(epoch) = read.epoch.filter(|epoch| *epoch != self.info.epoch) {
            return Err(refusal::other_epoch(read.session, epoch, self.info.epoch));
        }
        self.tail.read(&read, async |read| self.with(|state| state.read(&read))).await
    }

    fn recent(&self, read: &Read) -> Option<SharedPage> {
        let fits = read.epoch.is_none_or(|epoch| epoch == self.info.epoch);
        fits.then(|| self.tail.recent(read)).flatten()
    }

    async fn changed(&self, watch: Watch) -> Result<Changed> {
        let since = match watch {
            Watch::Session { session, after } => {
                let look = || async { self.with(|state| Ok(state.head(session))) };
                let head = self.tail.changed(session, after, look).await?;
                return Ok(Changed { sessions: vec![(session, head)], mark: 0 });
            }
            Watch::Any { since } => since,
        };
        let mut bell = self.bell.subscribe();
        loop {
            let changed = self.with(|state| Ok(state.changed(since)))?;
            if !changed.sessions.is_empty() {
                return Ok(changed);
            }
            bell.changed().await.map_err(|_| refusal::closed())?;
        }
    }

    async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>> {
        let now = self.now();
        self.with(|state| Ok(state.lease(&op, now)))
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Page<SessionInfo>> {
        let now = self.now();
        self.with(|state| Ok(state.list(&query, now)))
    }

    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>> {
        self.with(|state| Ok(state.threads(&query)))
    }

    async fn window(&self, window: Window) -> Result<Page<Entry>> {
        self.with(|state| state.window(&window))
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
        self.with(|state| ids.iter().map(|id| state.item(*id)).collect())
    }

    async fn close(&self) -> Result<()> {
        self.lock().take().ok_or_else(refusal::closed)?;
        self.tail.close();
        self.bell.send_replace(());
        Ok(())
    }
}

#[async_trait]
impl BusAdmin for MemoryBus {
    async fn verify(&self, scope: Scope) -> Result<Report> {
        verify(self, scope).await
    }

    async fn backup(&self, _to: &Path) -> Result<()> {
        Err(refusal::unsupported("a store in memory has no files, so it makes no backup"))
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned> {
        let now = self.now();
        let pruned = self.with(|state| {
            let pruned = state.prune(&prune, now);
            self.tail.forget();
            pruned
        })?;
        // Who follows a session that is gone learns it from reading.
        self.bell.send_replace(());
        Ok(pruned)
    }

    async fn erase(&self, erase: Erase) -> Result<Erased> {
        self.with(|state| {
            let erased = state.erase(&erase);
            self.tail.forget();
            erased
        })
    }

    async fn search(&self, search: Search) -> Result<Page<Found>> {
        self.with(|state| state.search(&search))
    }
}
