//! The store: the log in memory, written to the files before anybody sees it.

use super::{files::Files, log::Log};
use party_bus::{
    Batch, Bus, BusAdmin, BusInfo, Capabilities, Changed, Erase, Erased, Error, ErrorKind, Found, Lease,
    LeaseOp, Page, Prune, Pruned, Read, Receipt, Report, Result, Scope, Search, SessionInfo, SessionQuery,
    ThreadInfo, ThreadQuery, Watch, Window, async_trait, verify,
};
use party_core::{Entry, Item, ItemId, Record, Timestamp};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::SystemTime,
};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct FolderBus {
    info: BusInfo,
    /// None once it is closed.
    store: Mutex<Option<(Files, Log)>>,
    bell: watch::Sender<()>,
}

fn now() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn unsupported<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "a folder of files cannot do that"))
}

impl FolderBus {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let files = Files::open(folder)?;
        let mut log = Log::default();
        for (id, tenure, batches) in files.sessions()? {
            log.sessions.entry(id).or_default().tenure = tenure;
            batches.into_iter().try_for_each(|batch| log.take_in(id, batch).map(drop))?;
        }
        let capabilities = Capabilities {
            durable: true,
            cross_process: false,
            backup: false,
            prune: false,
            erase: false,
            search: false,
        };
        let info = BusInfo { backend: "folder", store: files.name()?, epoch: 1, capabilities };
        Ok(Self { info, store: Mutex::new(Some((files, log))), bell: watch::Sender::new(()) })
    }

    fn with<T>(&self, call: impl FnOnce(&Files, &mut Log) -> Result<T>) -> Result<T> {
        match &mut *self.store.lock().unwrap() {
            Some((files, log)) => call(files, log),
            None => Err(Error::new(ErrorKind::Closed, "the folder is closed")),
        }
    }
}

#[async_trait]
impl Bus for FolderBus {
    fn info(&self) -> &BusInfo {
        &self.info
    }

    async fn append(&self, batch: Batch) -> Result<Receipt> {
        let hash = batch.encode()?.hash;
        let receipt = self.with(|files, log| {
            if let Some(receipt) = log.repeated(&batch, hash)? {
                return Ok(receipt);
            }
            let (session, durability) = (batch.session, batch.durability);
            let written = log.check(batch, hash)?;
            files.put_batch(session, &written)?;
            Ok(Receipt { durability, ..log.take_in(session, written)? })
        })?;
        self.bell.send_replace(());
        Ok(receipt)
    }

    async fn read(&self, read: Read) -> Result<Page<Arc<Record>>> {
        if read.epoch.is_some_and(|epoch| epoch != self.info.epoch) {
            return Err(Error::new(ErrorKind::Rewound, "that was another epoch"));
        }
        self.with(|_, log| log.read(&read))
    }

    async fn changed(&self, watch: Watch) -> Result<Changed> {
        let mut bell = self.bell.subscribe();
        loop {
            let (sessions, mark) = self.with(|_, log| {
                Ok(match watch {
                    Watch::Session { session, after } => {
                        let head = log.head(session);
                        (if head == after { vec![] } else { vec![(session, head)] }, 0)
                    }
                    Watch::Any { since } => log.changed(since),
                })
            })?;
            if !sessions.is_empty() {
                return Ok(Changed { sessions, mark });
            }
            bell.changed().await.map_err(|_| Error::new(ErrorKind::Closed, "the folder is closed"))?;
        }
    }

    async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>> {
        self.with(|files, log| {
            let mut tenure = log.sessions.get(&op.session()).map(|session| session.tenure.clone());
            let lease = tenure.get_or_insert_default().apply(&op, now().as_micros());
            if let Some(tenure) = tenure.filter(|_| lease.is_some()) {
                files.put_lease(op.session(), &tenure)?;
                log.sessions.entry(op.session()).or_default().tenure = tenure;
            }
            Ok(lease)
        })
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Page<SessionInfo>> {
        self.with(|_, log| Ok(log.list(&query, now())))
    }

    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>> {
        self.with(|_, log| Ok(log.threads(&query)))
    }

    async fn window(&self, window: Window) -> Result<Page<Entry>> {
        self.with(|_, log| log.window(&window))
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
        self.with(|_, log| ids.iter().map(|id| log.item(*id)).collect())
    }

    async fn close(&self) -> Result<()> {
        self.with(|_, _| Ok(()))?;
        self.store.lock().unwrap().take();
        self.bell.send_replace(());
        Ok(())
    }
}

#[async_trait]
impl BusAdmin for FolderBus {
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
