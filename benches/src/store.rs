//! Sessions that a bench drives on a store by itself, and the peer that has the same ones.

use crate::{Peer, Prepared};
use party_bus::{Batch, Bus, LeaseOp, Owner};
use party_core::{
    Author, BatchId, Delivered, How, Item, ItemId, NewRecord, Offset, Op, SessionId, ThreadId, ThreadKind,
    Timestamp, Traced, TurnId,
};
use std::{path::Path, time::Duration};

/// About as much as an agent says in a turn; with its envelope some 1 KiB.
const TEXT: usize = 800;
/// When the first record is made, in microseconds: as large a number as those of real ones.
const BEGINNING: i64 = 1_800_000_000_000_000;

/// A session under a lease of ours, with threads that all get what is said.
#[derive(Debug, Clone)]
pub struct Driven {
    session: SessionId,
    threads: Vec<ThreadId>,
    head: Offset,
    token: u64,
    text: String,
}

impl Driven {
    /// What session `number` is called.
    pub fn id(number: u64) -> SessionId {
        SessionId::derive(&[b"bench", &number.to_be_bytes()])
    }

    /// What the first thread of a session is called.
    pub fn first_thread(session: SessionId) -> ThreadId {
        Self::nth_thread(session, 0)
    }

    fn nth_thread(session: SessionId, place: u64) -> ThreadId {
        ThreadId::derive(&[session.as_bytes(), &place.to_be_bytes()])
    }

    /// Session `number` of a bench, opened on `bus`, with one thread.
    pub async fn open(bus: &impl Bus, number: u64) -> party_bus::Result<Self> {
        Self::open_with(bus, number, 1).await
    }

    /// The same with `threads` threads.
    pub async fn open_with(bus: &impl Bus, number: u64, threads: u64) -> party_bus::Result<Self> {
        let (session, term) = (Self::id(number), Duration::from_secs(3_600));
        let threads: Vec<ThreadId> = (0..threads).map(|place| Self::nth_thread(session, place)).collect();
        let lease = bus.lease(LeaseOp::Acquire { session, owner: Owner::this_process(), term }).await?;
        let token = lease.expect("nobody else has it").fencing_token;
        let mut driven = Self { session, threads, head: Offset::START, token, text: text(TEXT) };
        let open = |thread: &ThreadId| Op::Open { thread: *thread, kind: ThreadKind::Private };
        let (mut record, _) = driven.said(driven.head);
        record.ops = driven.threads.iter().map(open).collect();
        bus.append(driven.next_batch(vec![record])).await?;
        Ok(driven)
    }

    /// The same whose items make `bytes` bytes of JSON, where that is enough for their other parts.
    #[must_use]
    pub fn with_items_of(mut self, bytes: usize) -> Self {
        self.text.clear();
        let (_, item) = self.said(self.head);
        let bare = serde_json::to_string(&item).expect("an item is JSON").len();
        self.text = text(bytes.saturating_sub(bare));
        self
    }

    /// The same whose items make 1 KiB on average, and half as much more or less: how well one size fits
    /// a page is chance.
    #[must_use]
    pub fn with_items_of_about_1_kib(self) -> Self {
        let number = self.head.0 as usize;
        self.with_items_of(512 + number * 617 % 1_025)
    }

    /// The session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Its first thread.
    pub fn thread(&self) -> ThreadId {
        Self::first_thread(self.session)
    }

    /// What it said last.
    pub fn last_item(&self) -> ItemId {
        ItemId::from_bytes(self.ordered(1, Offset(self.head.0 - 1)))
    }

    /// Its last offset, once all batches that it gave are written.
    pub const fn head(&self) -> Offset {
        self.head
    }

    /// The next batch: one record that brings an item and adds it to the threads.
    pub fn batch(&mut self) -> Batch {
        self.batch_of(1)
    }

    /// The next batch, of so many such records.
    pub fn batch_of(&mut self, records: u64) -> Batch {
        let records = (0..records).map(|ahead| self.saying(self.head.plus(ahead), self.threads.clone()));
        let records = records.collect();
        self.next_batch(records)
    }

    /// The next batch, which says something in `thread` alone.
    pub fn batch_in(&mut self, thread: ThreadId) -> Batch {
        let record = self.saying(self.head, vec![thread]);
        self.next_batch(vec![record])
    }

    /// A branch of `from`, which shares its first `after` positions, and the batch that opens it.
    pub fn branch(&mut self, from: ThreadId, after: u64) -> (ThreadId, Batch) {
        let thread = ThreadId::derive(&[self.session.as_bytes(), b"branch", &self.head.0.to_be_bytes()]);
        let (record, _) = self.said(self.head);
        let branch = Op::Branch { thread, kind: ThreadKind::Private, from, after };
        (thread, self.next_batch(vec![record.with_op(branch)]))
    }

    /// The next batch, a buffered one of what a turn streams.
    pub fn trace(&mut self) -> Batch {
        let turn = TurnId(Offset(1));
        let event = Traced { turn, attempt: 1, event: serde_json::json!({ "text": self.text }) };
        let record = NewRecord::new(made_at(self.head), &event.into());
        self.next_batch(vec![record]).buffered()
    }

    /// The next batch for the peer.
    pub fn rows(&mut self) -> Prepared {
        Prepared::new(&self.batch())
    }

    fn saying(&self, offset: Offset, threads: Vec<ThreadId>) -> NewRecord {
        let (record, item) = self.said(offset);
        let add = Op::Add { threads, item: item.id, how: How::Said };
        record.with_op(add).with_item(item)
    }

    /// A record of something said, and the item that it names.
    fn said(&self, offset: Offset) -> (NewRecord, Item) {
        let (item, at) = (ItemId::from_bytes(self.ordered(1, offset)), made_at(offset));
        let event = Delivered { item, by: None, turn: None };
        let item = Item::message(item, Author::agent("Mary"), at, &self.text);
        (NewRecord::new(at, &event.into()), item)
    }

    fn next_batch(&mut self, records: Vec<NewRecord>) -> Batch {
        let (id, head) = (BatchId::from_bytes(self.ordered(2, self.head)), self.head);
        self.head = head.plus(records.len() as u64);
        Batch::driver(self.session, id, head, self.token, records)
    }

    /// An id of version 7, as Party gives them, of the time at which what it names is made.
    fn ordered(&self, kind: u8, offset: Offset) -> [u8; 16] {
        let place = offset.0.to_be_bytes();
        let rest = *ItemId::derive(&[self.session.as_bytes(), &place, &[kind]]).as_bytes();
        let ms = made_at(offset).as_micros() / 1_000;
        let mut bytes = rest;
        bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
        bytes[6] = 0x70 | (rest[6] & 0xf);
        bytes
    }
}

fn text(bytes: usize) -> String {
    "It is a fair question. ".chars().cycle().take(bytes).collect()
}

const fn made_at(offset: Offset) -> Timestamp {
    Timestamp::from_micros(BEGINNING + 1_000_003 * offset.0.cast_signed())
}

/// A peer beside the store at `store`, with the same sessions, threads and leases, and those
/// sessions as the peer sees them.
pub fn peer_of(store: &Path, path: &Path, sessions: &[Driven]) -> rusqlite::Result<(Peer, Vec<Driven>)> {
    let peer = Peer::like(store, path)?;
    let twin = |driven: &Driven| {
        peer.lease(driven.session.as_bytes(), driven.token)?;
        for thread in &driven.threads {
            peer.open_thread(driven.session.as_bytes(), thread.as_bytes())?;
        }
        let Driven { session, threads, token, text, .. } = driven;
        let (session, threads, token, text) = (*session, threads.clone(), *token, text.clone());
        Ok(Driven { session, threads, head: Offset::START, token, text })
    };
    let twins = sessions.iter().map(twin).collect::<rusqlite::Result<_>>()?;
    Ok((peer, twins))
}
