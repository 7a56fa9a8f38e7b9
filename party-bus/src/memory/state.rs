//! What the store in memory holds, and how a batch changes it.

use crate::{
    Batch, Expect, Lease, LeaseOp, Page, Read, Receipt, Result, SessionInfo, SessionQuery, Snapshot, Window,
    lease::Tenure, refusal,
};
use party_core::{Author, BatchId, Entry, Item, ItemId, NewRecord, Offset, Op, Record, SessionId, ThreadId};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

#[derive(Default)]
pub(super) struct State {
    sessions: HashMap<SessionId, Session>,
    threads: HashMap<ThreadId, Thread>,
    items: HashMap<ItemId, StoredItem>,
}

#[derive(Default)]
struct Session {
    records: Vec<StoredRecord>,
    batches: HashMap<BatchId, ([u8; 32], Receipt)>,
    tenure: Tenure,
    snapshot: Option<Snapshot>,
}

struct StoredRecord {
    record: Arc<Record>,
    /// What it counts against [`Read::max_bytes`].
    bytes: u64,
}

struct Thread {
    session: SessionId,
    entries: Vec<Entry>,
}

struct StoredItem {
    item: Arc<Item>,
    bytes: u64,
}

impl State {
    pub(super) fn append(&mut self, batch: Batch) -> Result<Receipt> {
        let hash = batch.hash();
        if let Some(receipt) = self.repeated(&batch, &hash)? {
            return Ok(receipt);
        }
        let head = self.expected_head(&batch)?;
        self.check_topology(&batch)?;
        let first = head.plus(1);
        let last = head.plus(batch.records.len() as u64);
        for (offset, record) in (first.0..).map(Offset).zip(batch.records) {
            self.put(batch.session, offset, record, batch.author.as_ref());
        }
        let receipt = Receipt { first, last, durability: batch.durability, repeated: false };
        let session = self.sessions.entry(batch.session).or_default();
        session.batches.insert(batch.id, (hash, receipt));
        session.snapshot = batch.snapshot.or(session.snapshot.take());
        Ok(receipt)
    }

    /// The receipt of the same batch, where it was written before.
    fn repeated(&self, batch: &Batch, hash: &[u8; 32]) -> Result<Option<Receipt>> {
        let written = self.sessions.get(&batch.session).and_then(|session| session.batches.get(&batch.id));
        match written {
            None => Ok(None),
            Some((same, receipt)) if same == hash => {
                Ok(Some(Receipt { durability: batch.durability, repeated: true, ..*receipt }))
            }
            Some(_) => Err(refusal::batch_conflict(batch.id)),
        }
    }

    /// The session's head, where the batch may be written behind it.
    fn expected_head(&self, batch: &Batch) -> Result<Offset> {
        let head = self.head(batch.session);
        match batch.expect {
            Expect::Input if head == Offset::START => Err(refusal::no_session(batch.session)),
            Expect::Input => Ok(head),
            Expect::Driver { fencing_token, .. } if !self.holds(batch.session, fencing_token) => {
                Err(refusal::fenced(batch.session, fencing_token))
            }
            Expect::Driver { head: expected, .. } if expected != head => {
                Err(refusal::stale_head(batch.session, expected, head))
            }
            Expect::Driver { .. } => Ok(head),
        }
    }

    fn holds(&self, session: SessionId, token: u64) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.tenure.holds(token))
    }

    /// Walks the batch's items and ops in the order in which they will be carried out.
    fn check_topology(&self, batch: &Batch) -> Result<()> {
        let mut brought: HashMap<ItemId, &Item> = HashMap::new();
        let mut opened: HashSet<ThreadId> = HashSet::new();
        for record in &batch.records {
            for item in &record.items {
                let stored = self.items.get(&item.id).map(|stored| stored.item.as_ref());
                let known = stored.unwrap_or_else(|| brought.entry(item.id).or_insert(item));
                if known != item.as_ref() {
                    return Err(refusal::item_conflict(item.id));
                }
            }
            for op in &record.ops {
                match op {
                    Op::Open { thread, .. } => {
                        if self.threads.contains_key(thread) || !opened.insert(*thread) {
                            return Err(refusal::thread_exists(*thread));
                        }
                    }
                    Op::Add { threads, item, .. } => {
                        if !self.items.contains_key(item) && !brought.contains_key(item) {
                            return Err(refusal::add_of_unknown_item(*item));
                        }
                        let foreign = |id: &&ThreadId| {
                            let stored = self.threads.get(id);
                            stored.map_or(!opened.contains(id), |thread| thread.session != batch.session)
                        };
                        if let Some(foreign) = threads.iter().find(foreign) {
                            return Err(refusal::add_to_unknown_thread(*foreign));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, session: SessionId, offset: Offset, record: NewRecord, author: Option<&Author>) {
        for item in &record.items {
            self.items.entry(item.id).or_insert_with(|| StoredItem::new(Arc::clone(item)));
        }
        let mut index = 0;
        for op in &record.ops {
            match op {
                Op::Open { thread, .. } => {
                    self.threads.insert(*thread, Thread { session, entries: Vec::new() });
                }
                Op::Add { threads, item, how } => {
                    let Some(item) = self.items.get(item) else { continue };
                    for thread in threads {
                        let Some(thread) = self.threads.get_mut(thread) else { continue };
                        let position = thread.entries.len() as u64 + 1;
                        let item = Arc::clone(&item.item);
                        thread.entries.push(Entry::new(position, offset, index, how.clone(), item));
                        index += 1;
                    }
                }
            }
        }
        let items = record.items.iter().filter_map(|item| self.items.get(&item.id));
        let bytes = record.body.get().len() as u64 + items.map(|item| item.bytes).sum::<u64>();
        let record = Arc::new(record.placed(session, offset, author));
        self.sessions.entry(session).or_default().records.push(StoredRecord { record, bytes });
    }

    pub(super) fn head(&self, session: SessionId) -> Offset {
        self.sessions.get(&session).map_or(Offset::START, Session::head)
    }

    pub(super) fn read(&self, read: &Read) -> Result<Page<Arc<Record>>> {
        let records = self.sessions.get(&read.session).map_or(&[][..], |session| &session.records);
        let head = records.len() as u64;
        let behind = usize::try_from(read.after.0).ok().and_then(|after| records.get(after..));
        let behind = behind.ok_or_else(|| refusal::rewound(read.session, read.after, Offset(head)))?;
        let (mut entries, mut bytes, mut scanned_to) = (Vec::new(), 0, read.after.0);
        for StoredRecord { record, bytes: more } in behind {
            let full = bytes >= read.max_bytes && !entries.is_empty();
            if full || entries.len() as u64 == u64::from(read.limit) {
                return Ok(Page { entries, scanned_to, more: true });
            }
            scanned_to = record.offset.0;
            if read.classes.contains(record.class) {
                bytes += more;
                entries.push(Arc::clone(record));
            }
        }
        Ok(Page { entries, scanned_to, more: false })
    }

    pub(super) fn lease(&mut self, op: &LeaseOp, now: i64) -> Option<Lease> {
        match op {
            LeaseOp::Acquire { session, .. } => self.sessions.entry(*session).or_default(),
            _ => self.sessions.get_mut(&op.session())?,
        }
        .tenure
        .apply(op, now)
    }

    pub(super) fn list(&self, query: &SessionQuery, now: i64) -> Page<SessionInfo> {
        let wanted = |id: &SessionId| query.session.is_none_or(|only| only == *id);
        let mut found: Vec<SessionInfo> = self
            .sessions
            .iter()
            .filter(|(id, _)| wanted(id))
            .filter_map(|(id, session)| session.info(*id, now))
            .collect();
        found.sort_by_key(|info| Reverse((info.opened_at, info.session)));
        let (skip, limit) = (usize::try_from(query.skip).unwrap_or(usize::MAX), query.limit as usize);
        let more = found.len() > skip.saturating_add(limit);
        let mut entries: Vec<SessionInfo> = found.into_iter().skip(skip).take(limit).collect();
        if query.session.is_none() {
            entries.iter_mut().for_each(|info| info.snapshot = None);
        }
        Page { scanned_to: query.skip + entries.len() as u64, entries, more }
    }

    pub(super) fn window(&self, window: &Window) -> Result<Page<Entry>> {
        let thread = self.threads.get(&window.thread).ok_or_else(|| refusal::no_thread(window.thread))?;
        let span = window.span(thread.entries.len() as u64);
        let shown = thread.entries.iter().filter(|entry| span.contains(entry.position));
        Ok(span.page(shown.cloned().collect()))
    }

    pub(super) fn item(&self, id: ItemId) -> Result<Arc<Item>> {
        self.items.get(&id).map(|stored| Arc::clone(&stored.item)).ok_or_else(|| refusal::no_item(id))
    }
}

impl Session {
    fn head(&self) -> Offset {
        Offset(self.records.len() as u64)
    }

    /// The session as a list shows it; `None` while it is only leased.
    fn info(&self, session: SessionId, now: i64) -> Option<SessionInfo> {
        Some(SessionInfo {
            session,
            head: self.head(),
            opened_at: self.records.first()?.record.at,
            driver: self.tenure.driver(now).cloned(),
            snapshot: self.snapshot.clone(),
        })
    }
}

impl StoredItem {
    fn new(item: Arc<Item>) -> Self {
        let bytes = serde_json::to_vec(&*item).expect("invariant: items hold only what JSON can hold").len();
        Self { item, bytes: bytes as u64 }
    }
}
