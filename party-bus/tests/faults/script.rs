//! A driver that writes whatever a session may hold, at random, and knows what must come of it.

use crate::random::Random;
use party_bus::{
    Batch, Bus, BusExt as _, Classes, Durability, ErrorKind, LeaseOp, Owner, Receipt, conformance::note,
};
use party_core::{
    Author, BatchId, Change, How, Item, ItemId, NewRecord, Offset, Op, RecordClass, SessionId, ThreadId,
    ThreadKind, ThreadState, Timestamp, Topology,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// More threads than this are not opened: each is looked at.
const THREADS: usize = 10;

/// A batch that was acknowledged, so that it can be sent again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Acknowledged {
    pub(crate) session: SessionId,
    pub(crate) id: BatchId,
    pub(crate) author: Option<Author>,
    pub(crate) records: Vec<NewRecord>,
    pub(crate) synced: bool,
    pub(crate) first: Offset,
    pub(crate) last: Offset,
}

impl Acknowledged {
    pub(crate) fn new(batch: Batch, receipt: Receipt) -> Self {
        let Batch { session, id, author, records, durability, .. } = batch;
        let (synced, Receipt { first, last, .. }) = (durability == Durability::Synced, receipt);
        Self { session, id, author, records, synced, first, last }
    }

    /// The same batch of a writer whose answer was lost; neither its head nor its token holds any more.
    pub(crate) fn again(&self) -> Batch {
        let batch = Batch::driver(self.session, self.id, Offset(0), 0, self.records.clone());
        match &self.author {
            Some(author) => Batch::input(self.session, self.id, author.clone(), self.records.clone()),
            None if self.synced => batch,
            None => batch.buffered(),
        }
    }
}

/// The driver of a session.
#[derive(Debug)]
pub(crate) struct Script {
    bus: Arc<dyn Bus>,
    pub(crate) session: SessionId,
    pub(crate) token: u64,
    pub(crate) head: Offset,
    topology: Topology,
    items: Vec<ItemId>,
    random: Random,
}

impl Script {
    /// Takes the session, which must be free, and folds what it holds.
    pub(crate) async fn take(bus: &Arc<dyn Bus>, session: SessionId, random: Random) -> Self {
        let (owner, term) = (Owner::this_process(), Duration::from_secs(600));
        let lease = bus.lease(LeaseOp::Acquire { session, owner, term }).await.unwrap().unwrap();
        Self::fold(bus, session, lease.fencing_token, random).await
    }

    /// Folds what the session holds, which is held under `token`.
    pub(crate) async fn fold(bus: &Arc<dyn Bus>, session: SessionId, token: u64, random: Random) -> Self {
        let (mut topology, mut items) = (Topology::default(), Vec::new());
        let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap();
        for record in &records {
            topology.apply(record.offset, &record.ops).unwrap();
            items.extend(record.items.iter().map(|item| item.id));
        }
        let head = Offset(records.len() as u64);
        Self { bus: Arc::clone(bus), session, token, head, topology, items, random }
    }

    pub(crate) async fn release(&self) -> party_bus::Result<()> {
        let (session, fencing_token) = (self.session, self.token);
        self.bus.lease(LeaseOp::Release { session, fencing_token }).await.map(drop)
    }

    /// Writes a batch, whatever the others post meanwhile.
    pub(crate) async fn write(&mut self) -> party_bus::Result<Acknowledged> {
        loop {
            let (batch, changes) = self.draw();
            match self.bus.append(batch.clone()).await {
                Ok(receipt) => {
                    self.head = receipt.last;
                    self.items
                        .extend(batch.records.iter().flat_map(|record| &record.items).map(|item| item.id));
                    return Ok(Acknowledged::new(batch, receipt));
                }
                Err(error) => {
                    self.topology.undo(&changes);
                    if error.kind() != ErrorKind::Conflict {
                        return Err(error);
                    }
                    self.head = self.bus.head(self.session).await?;
                }
            }
        }
    }

    /// A batch that fits, and its changes.
    fn draw(&mut self) -> (Batch, Vec<Change>) {
        let id = BatchId::derive(&[self.session.as_bytes(), &self.random.next().to_be_bytes()]);
        let count = 1 + self.random.below(3);
        let mut changes = Vec::new();
        let records = (0..count).map(|nth| self.record(id, nth, count, &mut changes)).collect();
        let batch = Batch::driver(self.session, id, self.head, self.token, records);
        let buffered = self.head > Offset::START && self.random.happens(30);
        (if buffered { batch.buffered() } else { batch }, changes)
    }

    fn record(&mut self, id: BatchId, nth: usize, count: usize, changes: &mut Vec<Change>) -> NewRecord {
        let offset = self.head.plus(nth as u64 + 1);
        let text = "x".repeat(self.random.below(400));
        let mut record = note(RecordClass::Decision, &mark(id, nth, count, &text));
        let item = ItemId::derive(&[id.as_bytes(), &[u8::try_from(nth).unwrap()]]);
        let said = Item::message(item, Author::agent("Mary"), Timestamp::from_micros(7), text);
        record = record.with_item(said);
        // As one call: the index of an entry counts all ops of its record.
        let mut ops = Vec::new();
        for _ in 0..=self.random.below(3) {
            let Some(op) = self.op(item) else { continue };
            ops.push(op);
            match self.topology.clone().apply(offset, &ops) {
                Ok(_) => {}
                Err(_) => drop(ops.pop()),
            }
        }
        changes.extend(self.topology.apply(offset, &ops).unwrap());
        record.ops = ops;
        record
    }

    /// A change that may fit.
    fn op(&mut self, item: ItemId) -> Option<Op> {
        let outline = self.topology.outline();
        let all: Vec<_> = outline.threads().map(|(thread, outlined)| (thread, outlined.head)).collect();
        let open = outline.threads().filter(|(_, outlined)| outlined.state == ThreadState::Open);
        let open: Vec<_> =
            open.map(|(thread, outlined)| (thread, outlined.head, outlined.kind.clone())).collect();
        let random = &mut self.random;
        let new = ThreadId::derive(&[&random.next().to_be_bytes()]);
        let known = *random.of(&self.items).unwrap_or(&item);
        let (from, head) = random.of(&all).copied().unwrap_or((new, 0));
        let (thread, length, kind) = random.of(&open).cloned().unwrap_or((new, 0, ThreadKind::Feed));
        let position = |random: &mut Random, head: u64| 1 + random.next() % head.max(1);
        let room = all.len() < THREADS;
        Some(match random.below(100) {
            0..12 if room => Op::Open { thread: new, kind: ThreadKind::Private },
            12..24 if room => {
                Op::Branch { thread: new, kind: ThreadKind::Private, from, after: random.next() % (head + 1) }
            }
            24..30 if room => Op::Tangent { thread: new, parent: thread, anchor: position(random, length) },
            30..40 => {
                let first = position(random, length);
                Op::Compact { thread, first, last: first + random.next() % 6, item: known }
            }
            40..44 if kind == ThreadKind::Tangent => Op::Resolve { thread, items: vec![item, known] },
            44..46 if kind == ThreadKind::Tangent => Op::Abandon { thread },
            46..47 if open.len() > 2 => Op::Close { thread },
            _ if open.is_empty() => Op::Open { thread: new, kind: ThreadKind::Private },
            _ => {
                let mut threads = vec![thread];
                threads.extend(
                    open.iter()
                        .map(|(other, ..)| *other)
                        .filter(|other| *other != thread && random.happens(20)),
                );
                let item = if random.happens(70) { item } else { known };
                Op::Add { threads, item, how: How::Said }
            }
        })
    }
}

/// The text of a record that tells of which batch it is a part.
fn mark(id: BatchId, nth: usize, count: usize, text: &str) -> String {
    format!("{id} {nth} {count} {text}")
}

/// The next batch of an input by somebody who drives nothing.
pub(crate) fn post(session: SessionId, random: &mut Random) -> Batch {
    post_text(session, random, "hi")
}

pub(crate) fn post_text(session: SessionId, random: &mut Random, text: &str) -> Batch {
    let id = BatchId::derive(&[b"post", &random.next().to_be_bytes()]);
    let ann = Author::human("ann");
    let item = Item::message(ItemId::derive(&[id.as_bytes()]), ann.clone(), Timestamp::from_micros(9), text);
    let record = note(RecordClass::Input, &mark(id, 0, 1, text)).with_item(item);
    Batch::input(session, id, ann, vec![record])
}
