//! What the store in memory holds, and how a batch changes it.

use crate::{
    Batch, Changed, Expect, Label, Lease, LeaseOp, Page, Read, Receipt, Result, SessionInfo, SessionQuery,
    Snapshot, Tenure, ThreadInfo, ThreadQuery, Wake, Window, encoded, encoded::items_of, process, refusal,
    tail::Fresh,
};
use party_core::{
    Author, BatchId, Change, Entry, Item, ItemId, NewRecord, Offset, Outlined, Record, SessionId, ThreadId,
    Topology,
};
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// At most so many sessions in one answer about changes.
const MOST_CHANGED: usize = 1_000;

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) sessions: HashMap<SessionId, Session>,
    pub(super) items: HashMap<ItemId, StoredItem>,
    /// How many batches were written.
    mark: u64,
}

#[derive(Clone, Default)]
pub(super) struct Session {
    pub(super) records: Vec<StoredRecord>,
    batches: HashMap<BatchId, ([u8; 16], Receipt)>,
    topology: Topology,
    pub(super) tenure: Tenure,
    pub(super) snapshot: Option<Snapshot>,
    label: Option<Label>,
    wake: Option<Wake>,
    partial: bool,
    /// The mark of its last batch.
    changed: u64,
}

#[derive(Clone)]
pub(super) struct StoredRecord {
    pub(super) record: Arc<Record>,
    /// What it counts against [`Read::max_bytes`].
    pub(super) bytes: u64,
    /// The mark of its batch.
    pub(super) mark: u64,
}

impl StoredRecord {
    /// What its body and items count.
    pub(super) fn weigh(&self, items: &HashMap<ItemId, StoredItem>) -> u64 {
        let items = self.record.items.iter().filter_map(|item| items.get(&item.id));
        self.record.body.get().len() as u64 + items.map(|item| item.bytes).sum::<u64>()
    }
}

#[derive(Clone)]
pub(super) struct StoredItem {
    pub(super) item: Arc<Item>,
    bytes: u64,
}

impl State {
    pub(super) fn append(&mut self, batch: Batch, hash: [u8; 16]) -> Result<Receipt> {
        if let Some(receipt) = self.repeated(&batch, &hash)? {
            return Ok(receipt);
        }
        let head = self.expected_head(&batch)?;
        self.check_items(&batch)?;
        let first = head.plus(1);
        let last = head.plus(batch.records.len() as u64);
        self.change_topology(batch.session, first, &batch.records)?;
        self.mark += 1;
        for (offset, record) in (first.0..).map(Offset).zip(batch.records) {
            self.put(batch.session, offset, record, batch.author.as_ref());
        }
        let receipt = Receipt { first, last, durability: batch.durability, repeated: false };
        let session = self.sessions.entry(batch.session).or_default();
        session.batches.insert(batch.id, (hash, receipt));
        session.snapshot = batch.snapshot.or(session.snapshot.take());
        session.label = session.label.take().or(batch.label);
        session.wake = batch.wake.or(session.wake);
        session.partial = batch.partial;
        session.changed = self.mark;
        Ok(receipt)
    }

    /// What a batch has written.
    pub(super) fn written(&self, session: SessionId, receipt: &Receipt) -> Vec<Fresh> {
        let records = self.sessions.get(&session).map_or(&[][..], |session| &session.records);
        let count = (receipt.last.0 - receipt.first.0 + 1) as usize;
        let written = records.iter().skip(receipt.first.0 as usize - 1).take(count);
        written.map(|stored| (Arc::clone(&stored.record), stored.bytes)).collect()
    }

    /// The receipt of the same batch, where it was written before.
    fn repeated(&self, batch: &Batch, hash: &[u8; 16]) -> Result<Option<Receipt>> {
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
            Expect::Input if self.sessions.get(&batch.session).is_some_and(|session| session.partial) => {
                Err(refusal::partial(batch.session))
            }
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

    /// Every item is new or the same, and every op refers to one that is there by then.
    fn check_items(&self, batch: &Batch) -> Result<()> {
        let mut brought: HashMap<ItemId, &Item> = HashMap::new();
        for record in &batch.records {
            for item in &record.items {
                let stored = self.items.get(&item.id).map(|stored| stored.item.as_ref());
                let known = stored.unwrap_or_else(|| brought.entry(item.id).or_insert(item));
                if known != item.as_ref() && !(known.is_erased() && item.erased() == *known) {
                    return Err(refusal::item_conflict(item.id));
                }
            }
            let named = record.ops.iter().flat_map(items_of);
            if let Some(unknown) =
                named.into_iter().find(|id| !self.items.contains_key(id) && !brought.contains_key(id))
            {
                return Err(refusal::add_of_unknown_item(*unknown));
            }
        }
        Ok(())
    }

    fn change_topology(&mut self, session: SessionId, first: Offset, records: &[NewRecord]) -> Result<()> {
        let topology = &mut self.sessions.entry(session).or_default().topology;
        let mut changes: Vec<Change> = Vec::new();
        for (offset, record) in (first.0..).map(Offset).zip(records) {
            match topology.apply(offset, &record.ops) {
                Ok(more) => changes.extend(more),
                Err(error) => {
                    topology.undo(&changes);
                    return Err(refusal::topology(session, error));
                }
            }
        }
        Ok(())
    }

    /// A record shows its items as they are stored: what was erased does not come back with a copy.
    fn put(&mut self, session: SessionId, offset: Offset, mut record: NewRecord, author: Option<&Author>) {
        for item in &mut record.items {
            match self.items.get(&item.id) {
                Some(stored) => *item = Arc::clone(&stored.item),
                None => self.put_item(item),
            }
        }
        let record = Arc::new(record.placed(session, offset, author));
        let mut stored = StoredRecord { record, bytes: 0, mark: self.mark };
        stored.bytes = stored.weigh(&self.items);
        self.sessions.entry(session).or_default().records.push(stored);
    }

    pub(super) fn put_item(&mut self, item: &Arc<Item>) {
        let bytes = encoded::json(&**item).len() as u64;
        self.items.insert(item.id, StoredItem { item: Arc::clone(item), bytes });
    }

    pub(super) fn changed(&self, since: u64) -> Changed {
        let grown = self.sessions.iter().filter(|(_, session)| session.changed > since);
        let mut grown: Vec<_> = grown.map(|(id, session)| (session.changed, *id, session.head())).collect();
        grown.sort_unstable();
        grown.truncate(MOST_CHANGED);
        let mark =
            if grown.len() < MOST_CHANGED { self.mark } else { grown.last().map_or(since, |last| last.0) };
        Changed { sessions: grown.into_iter().map(|(_, id, head)| (id, head)).collect(), mark }
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
        for StoredRecord { record, bytes: more, .. } in behind {
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
        let time = process::now();
        let mut found: Vec<SessionInfo> = self
            .sessions
            .iter()
            .filter(|(id, _)| query.session.is_none_or(|only| only == **id))
            .filter_map(|(id, session)| session.info(*id, now))
            .filter(|info| info.fits(query, time))
            .collect();
        match query.due {
            true => found.sort_by_key(|info| (info.wake, info.opened_at, info.session)),
            false => found.sort_by_key(|info| Reverse((info.opened_at, info.session))),
        }
        let mut page = paged(found, query.skip, query.limit);
        if query.session.is_none() {
            page.entries.iter_mut().for_each(|info| info.snapshot = None);
        }
        page
    }

    pub(super) fn threads(&self, query: &ThreadQuery) -> Page<ThreadInfo> {
        let outline = self.sessions.get(&query.session).map(|session| session.topology.outline());
        let mut threads: Vec<_> = outline.iter().flat_map(|outline| outline.threads()).collect();
        threads.sort_by_key(|(_, outlined)| outlined.made);
        let found = threads.into_iter().map(|(id, outlined)| thread_info(id, outlined));
        paged(found.filter(|info| info.fits(query)).collect(), query.skip, query.limit)
    }

    pub(super) fn window(&self, window: &Window) -> Result<Page<Entry>> {
        let Window { session, thread, side, limit, layer } = *window;
        let topology = self.sessions.get(&session).map(|session| &session.topology);
        let view = topology.and_then(|topology| topology.view(thread, layer, side, limit));
        let (shown, walked) = view.ok_or_else(|| refusal::no_thread(thread))?;
        let entries = shown.into_iter().map(|(position, reference)| {
            let item = self.item(reference.item)?;
            Ok(Entry::new(position, reference.place.offset, reference.place.index, reference.how, item))
        });
        Ok(Page {
            entries: entries.collect::<Result<_>>()?,
            scanned_to: walked.scanned_to,
            more: walked.more,
        })
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
            label: self.label.clone(),
            wake: self.wake.unwrap_or(Wake::Idle),
            partial: self.partial,
            snapshot: self.snapshot.clone(),
        })
    }
}

fn thread_info(thread: ThreadId, outlined: &Outlined) -> ThreadInfo {
    let Outlined { kind, head, state, origin, .. } = outlined;
    ThreadInfo { thread, kind: kind.clone(), state: *state, origin: *origin, head: *head }
}

pub(super) fn paged<T>(found: Vec<T>, skip: u64, limit: u32) -> Page<T> {
    let (from, limit) = (usize::try_from(skip).unwrap_or(usize::MAX), limit as usize);
    let more = found.len() > from.saturating_add(limit);
    let entries: Vec<T> = found.into_iter().skip(from).take(limit).collect();
    Page { scanned_to: skip.saturating_add(entries.len() as u64), entries, more }
}
