//! What the files say, folded: sessions with their threads, and items.

use super::files::Written;
use party_bus::{
    Batch, Error, ErrorKind, Expect, Label, Owner, Page, Read, Receipt, Result, SessionInfo, SessionQuery,
    Snapshot, Tenure, ThreadInfo, ThreadQuery, Wake, Window,
};
use party_core::{
    Entry, Item, ItemId, Offset, Op, Outlined, Record, SessionId, ThreadId, Timestamp, Topology,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) items: HashMap<ItemId, Arc<Item>>,
    /// How many batches were written.
    mark: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) tenure: Tenure,
    records: Vec<Arc<Record>>,
    batches: HashMap<party_core::BatchId, ([u8; 16], Offset, Offset)>,
    topology: Topology,
    snapshot: Option<Snapshot>,
    label: Option<Label>,
    wake: Option<Wake>,
    partial: bool,
    changed: u64,
}

fn invalid<T>(why: impl ToString) -> Result<T> {
    Err(Error::new(ErrorKind::Invalid, why.to_string()))
}

fn not_found(what: impl ToString) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no {}", what.to_string()))
}

impl Log {
    /// The receipt of a batch that was written before.
    pub(crate) fn repeated(&self, batch: &Batch, hash: [u8; 16]) -> Result<Option<Receipt>> {
        let written = self.sessions.get(&batch.session).and_then(|session| session.batches.get(&batch.id));
        match written {
            Some((same, ..)) if *same != hash => {
                Err(Error::new(ErrorKind::BatchConflict, format!("batch {} is taken", batch.id)))
            }
            Some((_, first, last)) => {
                let durability = batch.durability;
                Ok(Some(Receipt { first: *first, last: *last, durability, repeated: true }))
            }
            None => Ok(None),
        }
    }

    /// A batch as it is going to be written, where it may be.
    pub(crate) fn check(&mut self, batch: Batch, hash: [u8; 16]) -> Result<Written> {
        let head = self.expected_head(&batch)?;
        self.check_items(&batch)?;
        let Batch { session, id, author, records, snapshot, wake, label, partial, .. } = batch;
        let topology = &mut self.sessions.entry(session).or_default().topology;
        let (mut changes, mut fits) = (Vec::new(), Ok(()));
        for (offset, record) in (head.0 + 1..).map(Offset).zip(&records) {
            match topology.apply(offset, &record.ops) {
                Ok(more) => changes.extend(more),
                Err(error) => {
                    fits = invalid(error);
                    break;
                }
            }
        }
        topology.undo(&changes);
        fits?;
        let placed = (head.0 + 1..).map(Offset).zip(records).map(|(offset, record)| {
            let mut record = record.placed(session, offset, author.as_ref());
            for item in &mut record.items {
                *item = self.items.get(&item.id).unwrap_or(item).clone();
            }
            Arc::new(record)
        });
        let records = placed.collect();
        let snapshot = snapshot.map(|snapshot| (snapshot.engine, snapshot.offset, snapshot.state));
        Ok(Written { id, hash, records, snapshot, wake, label, partial })
    }

    fn expected_head(&self, batch: &Batch) -> Result<Offset> {
        let session = self.sessions.get(&batch.session);
        let head = session.map_or(Offset::START, Session::head);
        match batch.expect {
            Expect::Input if head == Offset::START => {
                Err(not_found(format_args!("session {}", batch.session)))
            }
            Expect::Input if session.is_some_and(|session| session.partial) => invalid("a part of a copy"),
            Expect::Driver { fencing_token, .. }
                if !session.is_some_and(|session| session.tenure.holds(fencing_token)) =>
            {
                Err(Error::new(ErrorKind::Fenced, format!("lease {fencing_token} is gone")))
            }
            Expect::Driver { head: expected, .. } if expected != head => {
                Err(Error::new(ErrorKind::Conflict, format!("the head is {head}, not {expected}")))
            }
            _ => Ok(head),
        }
    }

    fn check_items(&self, batch: &Batch) -> Result<()> {
        let mut brought: HashMap<ItemId, &Item> = HashMap::new();
        for record in &batch.records {
            for item in &record.items {
                let stored = self.items.get(&item.id).map(|stored| &**stored);
                if stored.unwrap_or_else(|| brought.entry(item.id).or_insert(item)) != &**item {
                    return Err(Error::new(ErrorKind::ItemConflict, format!("item {} is taken", item.id)));
                }
            }
            let known = |id: &&ItemId| !self.items.contains_key(id) && !brought.contains_key(id);
            if let Some(id) = record.ops.iter().flat_map(named).find(known) {
                return invalid(format_args!("item {id} is not there"));
            }
        }
        Ok(())
    }

    /// Takes in a batch that was written.
    pub(crate) fn take_in(&mut self, id: SessionId, written: Written) -> Result<Receipt> {
        self.mark += 1;
        let session = self.sessions.entry(id).or_default();
        let snapshot = written.snapshot();
        let (first, last) = (session.head().plus(1), session.head().plus(written.records.len() as u64));
        for record in written.records {
            let applied = session.topology.apply(record.offset, &record.ops);
            applied.map_err(|error| Error::new(ErrorKind::Corrupt, error.to_string()))?;
            for item in &record.items {
                self.items.entry(item.id).or_insert_with(|| Arc::clone(item));
            }
            session.records.push(record);
        }
        session.batches.insert(written.id, (written.hash, first, last));
        session.snapshot = snapshot.or(session.snapshot.take());
        session.label = session.label.take().or(written.label);
        session.wake = written.wake.or(session.wake);
        (session.partial, session.changed) = (written.partial, self.mark);
        Ok(Receipt { first, last, durability: party_bus::Durability::Synced, repeated: false })
    }

    pub(crate) fn head(&self, session: SessionId) -> Offset {
        self.sessions.get(&session).map_or(Offset::START, Session::head)
    }

    pub(crate) fn read(&self, read: &Read) -> Result<Page<Arc<Record>>> {
        let records = self.sessions.get(&read.session).map_or(&[][..], |session| &session.records);
        let behind = usize::try_from(read.after.0).ok().and_then(|after| records.get(after..));
        let behind = behind.ok_or_else(|| Error::new(ErrorKind::Rewound, "the log ends before"))?;
        let (mut entries, mut bytes, mut scanned_to) = (Vec::new(), 0, read.after.0);
        for record in behind {
            let full = bytes >= read.max_bytes && !entries.is_empty();
            if full || entries.len() as u64 == u64::from(read.limit) {
                return Ok(Page { entries, scanned_to, more: true });
            }
            scanned_to = record.offset.0;
            if read.classes.contains(record.class) {
                let items = record.items.iter().map(|item| serde_json::to_vec(item).unwrap().len() as u64);
                bytes += record.body.get().len() as u64 + items.sum::<u64>();
                entries.push(Arc::clone(record));
            }
        }
        Ok(Page { entries, scanned_to, more: false })
    }

    /// Sessions that grew since, and the mark of now. There are never too many for an answer.
    pub(crate) fn changed(&self, since: u64) -> (Vec<(SessionId, Offset)>, u64) {
        let grown = self.sessions.iter().filter(|(_, session)| session.changed > since);
        let mut grown: Vec<_> = grown.map(|(id, session)| (session.changed, *id, session.head())).collect();
        grown.sort_unstable();
        grown.truncate(1_000);
        let mark = if grown.len() < 1_000 { self.mark } else { grown.last().map_or(since, |last| last.0) };
        (grown.into_iter().map(|(_, id, head)| (id, head)).collect(), mark)
    }

    pub(crate) fn list(&self, query: &SessionQuery, now: Timestamp) -> Page<SessionInfo> {
        let all = self.sessions.iter().filter_map(|(id, session)| session.info(*id, now));
        let mut found: Vec<_> = all.filter(|info| info.fits(query, now)).collect();
        found.sort_by_key(|info| Reverse((info.opened_at, info.session)));
        if query.due {
            found.sort_by_key(|info| info.wake);
        }
        if query.session.is_none() {
            found.iter_mut().for_each(|info| info.snapshot = None);
        }
        paged(found, query.skip, query.limit)
    }

    pub(crate) fn threads(&self, query: &ThreadQuery) -> Page<ThreadInfo> {
        let outline = self.sessions.get(&query.session).map(|session| session.topology.outline());
        let mut threads: Vec<_> = outline.into_iter().flat_map(|outline| outline.threads()).collect();
        threads.sort_by_key(|(_, outlined)| outlined.made);
        let infos = threads.into_iter().map(|(id, outlined)| thread_info(id, outlined));
        paged(infos.filter(|info| info.fits(query)).collect(), query.skip, query.limit)
    }

    pub(crate) fn window(&self, window: &Window) -> Result<Page<Entry>> {
        let topology = self.sessions.get(&window.session).map(|session| &session.topology);
        let view = topology.and_then(|all| all.view(window.thread, window.layer, window.side, window.limit));
        let (shown, walked) = view.ok_or_else(|| not_found(format_args!("thread {}", window.thread)))?;
        let entries = shown.into_iter().map(|(position, at)| {
            let item = self.item(at.item)?;
            Ok(Entry::new(position, at.place.offset, at.place.index, at.how, item))
        });
        let entries = entries.collect::<Result<_>>()?;
        Ok(Page { entries, scanned_to: walked.scanned_to, more: walked.more })
    }

    pub(crate) fn item(&self, id: ItemId) -> Result<Arc<Item>> {
        self.items.get(&id).cloned().ok_or_else(|| not_found(format_args!("item {id}")))
    }
}

impl Session {
    fn head(&self) -> Offset {
        Offset(self.records.len() as u64)
    }

    fn info(&self, session: SessionId, now: Timestamp) -> Option<SessionInfo> {
        let driver: Option<&Owner> = self.tenure.driver(now.as_micros());
        Some(SessionInfo {
            session,
            head: self.head(),
            opened_at: self.records.first()?.at,
            driver: driver.cloned(),
            label: self.label.clone(),
            wake: self.wake.unwrap_or(Wake::Idle),
            partial: self.partial,
            snapshot: self.snapshot.clone(),
        })
    }
}

fn thread_info(thread: ThreadId, outlined: &Outlined) -> ThreadInfo {
    let Outlined { kind, state, origin, head, .. } = outlined;
    ThreadInfo { thread, kind: kind.clone(), state: *state, origin: *origin, head: *head }
}

fn named(op: &Op) -> &[ItemId] {
    match op {
        Op::Add { item, .. } | Op::Compact { item, .. } => std::slice::from_ref(item),
        Op::Resolve { items, .. } => items,
        _ => &[],
    }
}

fn paged<T>(found: Vec<T>, skip: u64, limit: u32) -> Page<T> {
    let more = found.len() as u64 > skip + u64::from(limit);
    let entries: Vec<T> = found.into_iter().skip(skip as usize).take(limit as usize).collect();
    Page { scanned_to: skip + entries.len() as u64, entries, more }
}
