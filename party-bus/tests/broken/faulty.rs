//! A handle that is wrong in one way.

use party_bus::{
    Batch, Bus, BusAdmin, BusExt as _, BusInfo, Capabilities, Changed, Erase, Erased, Error, ErrorKind,
    Expect, Found, Layer, Lease, LeaseOp, MemoryBus, Page, Prune, Pruned, Read, Receipt, Report, Result,
    Scope, Search, SessionInfo, SessionQuery, SharedPage, ThreadInfo, ThreadQuery, Watch, Window,
    async_trait,
};
use party_core::{BatchId, Entry, How, Item, ItemId, Offset, Op, Record, SessionId};
use serde_json::value::{RawValue, Value};
use std::{
    collections::BTreeMap,
    future::pending,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    LosesARecord,
    Reorders,
    GivesNewReceipts,
    LeaksCompactions,
    IgnoresFencing,
    ShowsSummariesInTheArchive,
    Resurrects,
    MissesChanges,
    KeepsWritersWaiting,
    NeverAnswers,
    SplitsBatches,
    ForgetsAnchors,
    TidiesBodies,
    HidesAuthors,
    CallsTheDriven,
    ForgetsThatMoreComes,
    IgnoresEpochs,
    FindsAnyWord,
    SkipsWhatIsRecent,
    LooksAtNothing,
}

/// What the handles of one store share.
#[derive(Debug)]
pub(crate) struct Shared {
    bus: MemoryBus,
    handles: AtomicU64,
    tokens: Mutex<BTreeMap<SessionId, u64>>,
    /// How far each session was read.
    read: Mutex<BTreeMap<SessionId, Offset>>,
    /// Items as they were when they were written last.
    written: Mutex<BTreeMap<ItemId, Arc<Item>>>,
}

impl Shared {
    pub(crate) fn new(bus: MemoryBus) -> Self {
        let handles = AtomicU64::new(0);
        let (tokens, read, written) = Default::default();
        Self { bus, handles, tokens, read, written }
    }
}

#[derive(Debug)]
pub(crate) struct Faulty {
    shared: Arc<Shared>,
    fault: Fault,
    info: BusInfo,
    /// Which handle of the store it is.
    number: u64,
    closed: AtomicBool,
    bell: watch::Sender<bool>,
}

impl Faulty {
    pub(crate) fn open(shared: &Arc<Shared>, fault: Fault) -> Self {
        let number = shared.handles.fetch_add(1, Ordering::SeqCst);
        let mut info = shared.bus.info().clone();
        info.capabilities = Capabilities { durable: true, cross_process: true, ..info.capabilities };
        let (closed, bell) = (AtomicBool::new(false), watch::Sender::new(false));
        Self { shared: Arc::clone(shared), fault, info, number, closed, bell }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn bus(&self) -> Result<&MemoryBus> {
        let closed = self.closed.load(Ordering::SeqCst);
        if closed { Err(Error::new(ErrorKind::Closed, "the handle is closed")) } else { Ok(&self.shared.bus) }
    }

    /// The batch as this handle understands it.
    async fn misread(&self, mut batch: Batch) -> Result<Batch> {
        static FRESH: AtomicU64 = AtomicU64::new(0);
        match (self.fault, &mut batch.expect) {
            (Fault::GivesNewReceipts, _) => {
                batch.id = BatchId::derive(&[&FRESH.fetch_add(1, Ordering::SeqCst).to_be_bytes()]);
            }
            (Fault::IgnoresFencing, Expect::Driver { fencing_token, .. }) => {
                if let Some(token) = self.shared.tokens.lock().expect("no panic").get(&batch.session) {
                    *fencing_token = *token;
                }
            }
            (Fault::ForgetsThatMoreComes, _) => batch.partial = false,
            (Fault::LeaksCompactions, _) => {
                for record in &mut batch.records {
                    let mut leaked = Vec::new();
                    for op in &record.ops {
                        leaked.extend(self.leaked(batch.session, op).await?);
                    }
                    record.ops.extend(leaked);
                }
            }
            _ => {}
        }
        Ok(batch)
    }

    /// The same compaction of the thread that this one left.
    async fn leaked(&self, session: SessionId, op: &Op) -> Result<Option<Op>> {
        let Op::Compact { thread, first, last, item } = op else { return Ok(None) };
        let page = self.bus()?.threads(ThreadQuery::one(session, *thread)).await?;
        let origin = page.entries.first().and_then(|info| info.origin);
        let origin = origin.filter(|origin| *first <= origin.after);
        Ok(origin.map(|origin| {
            let last = (*last).min(origin.after);
            Op::Compact { thread: origin.parent, first: *first, last, item: *item }
        }))
    }

    /// A reader that is too far behind keeps the writer waiting for ever.
    async fn wait_for_readers(&self, session: SessionId) -> Result<()> {
        let head = self.bus()?.head(session).await?;
        let read = self.shared.read.lock().expect("no panic").get(&session).copied();
        match read {
            Some(read) if head.0 > read.0 + 500 => pending().await,
            _ => Ok(()),
        }
    }

    fn changed_record(&self, record: &mut Arc<Record>) {
        let record = Arc::make_mut(record);
        match self.fault {
            Fault::HidesAuthors => record.author = None,
            Fault::TidiesBodies => {
                if let Ok(body) = serde_json::from_str::<Value>(record.body.get()) {
                    record.body = RawValue::from_string(body.to_string()).expect("JSON");
                } else {
                    record.body = RawValue::from_string("null".to_owned()).expect("JSON");
                }
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Bus for Faulty {
    fn info(&self) -> &BusInfo {
        &self.info
    }

    async fn append(&self, batch: Batch) -> Result<Receipt> {
        let bus = self.bus()?;
        match self.fault {
            Fault::NeverAnswers => return pending().await,
            Fault::KeepsWritersWaiting => self.wait_for_readers(batch.session).await?,
            Fault::SplitsBatches if batch.records.len() > 1 => {
                let mut first = batch.clone();
                first.records.truncate(1);
                bus.append(first).await?;
                return Err(Error::new(ErrorKind::Invalid, "half of it"));
            }
            _ => {}
        }
        for item in batch.records.iter().flat_map(|record| &record.items) {
            self.shared.written.lock().expect("no panic").insert(item.id, Arc::clone(item));
        }
        bus.append(self.misread(batch).await?).await
    }

    async fn read(&self, mut read: Read) -> Result<Page<Arc<Record>>> {
        if self.has(Fault::IgnoresEpochs) {
            read.epoch = None;
        }
        let session = read.session;
        let mut page = self.bus()?.read(read).await?;
        self.shared.read.lock().expect("no panic").insert(session, Offset(page.scanned_to));
        page.entries.iter_mut().for_each(|record| self.changed_record(record));
        if self.has(Fault::LosesARecord) && self.number > 0 && !page.more {
            page.entries.pop();
        }
        if self.has(Fault::Reorders) && page.entries.len() > 1 {
            page.entries.swap(0, 1);
        }
        Ok(page)
    }

    fn recent(&self, read: &Read) -> Option<SharedPage> {
        // As a store does that takes a number of records for their last offset.
        let (entries, scanned_to) = (Vec::new(), read.after.0 + 1);
        self.has(Fault::SkipsWhatIsRecent).then(|| Arc::new(Page { entries, scanned_to, more: true }))
    }

    async fn changed(&self, watch: Watch) -> Result<Changed> {
        let mut bell = self.bell.subscribe();
        let mut changed = tokio::select! {
            _ = bell.wait_for(|closed| *closed) => {
                return Err(Error::new(ErrorKind::Closed, "the handle is closed"));
            }
            changed = self.bus()?.changed(watch) => changed?,
        };
        if self.has(Fault::MissesChanges) && matches!(watch, Watch::Any { since: 1.. }) {
            changed.sessions.pop();
        }
        Ok(changed)
    }

    async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>> {
        let lease = self.bus()?.lease(op).await?;
        if let Some(lease) = &lease {
            self.shared.tokens.lock().expect("no panic").insert(lease.session, lease.fencing_token);
        }
        Ok(lease)
    }

    async fn sessions(&self, mut query: SessionQuery) -> Result<Page<SessionInfo>> {
        if self.has(Fault::CallsTheDriven) {
            query.due = false;
        }
        self.bus()?.sessions(query).await
    }

    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>> {
        self.bus()?.threads(query).await
    }

    async fn window(&self, mut window: Window) -> Result<Page<Entry>> {
        if self.has(Fault::ShowsSummariesInTheArchive) {
            window.layer = Layer::Shown;
        }
        let mut page = self.bus()?.window(window).await?;
        if self.has(Fault::ForgetsAnchors) {
            page.entries.iter_mut().for_each(|entry| {
                if let How::Resolved { anchor, .. } = &mut entry.how {
                    *anchor = 0;
                }
            });
        }
        Ok(page)
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
        let items = self.bus()?.items(ids).await?;
        if !self.has(Fault::Resurrects) {
            return Ok(items);
        }
        let written = self.shared.written.lock().expect("no panic");
        Ok(items.into_iter().map(|item| written.get(&item.id).cloned().unwrap_or(item)).collect())
    }

    async fn close(&self) -> Result<()> {
        self.bus()?;
        self.closed.store(true, Ordering::SeqCst);
        self.bell.send_replace(true);
        Ok(())
    }
}

#[async_trait]
impl BusAdmin for Faulty {
    async fn verify(&self, scope: Scope) -> Result<Report> {
        if self.has(Fault::LooksAtNothing) {
            return Ok(Report::default());
        }
        party_bus::verify(self, scope).await
    }

    async fn backup(&self, to: &Path) -> Result<()> {
        self.bus()?.backup(to).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned> {
        self.bus()?.prune(prune).await
    }

    /// What is erased is forgotten here, too, until it is written again.
    async fn erase(&self, erase: Erase) -> Result<Erased> {
        let erased = self.bus()?.erase(erase.clone()).await?;
        self.shared.written.lock().expect("no panic").retain(|id, _| !erase.items.contains(id));
        Ok(erased)
    }

    async fn search(&self, mut search: Search) -> Result<Page<Found>> {
        if self.has(Fault::FindsAnyWord) {
            search.text = search.text.split(' ').next().unwrap_or_default().to_owned();
        }
        self.bus()?.search(search).await
    }
}
