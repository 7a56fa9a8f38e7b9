//! Sessions that a bench drives on a store by itself, and the peer that has the same ones.

use crate::{Peer, Prepared};
use party_bus::{Batch, Bus, LeaseOp, Owner, SqliteBus};
use party_core::{
    Author, BatchId, Delivered, How, Item, ItemId, NewRecord, Offset, Op, SessionId, ThreadId, ThreadKind,
    Timestamp,
};
use std::{path::Path, time::Duration};

/// About as much as an agent says in a turn; with its envelope some 1 KiB.
const TEXT: usize = 800;

/// A session under a lease of ours, with one thread.
#[derive(Debug)]
pub struct Driven {
    session: SessionId,
    thread: ThreadId,
    head: Offset,
    token: u64,
    text: String,
}

impl Driven {
    /// What session `number` is called.
    pub fn id(number: u64) -> SessionId {
        SessionId::derive(&[b"bench", &number.to_be_bytes()])
    }

    /// Session `number` of a bench, opened on `bus`.
    pub async fn open(bus: &SqliteBus, number: u64) -> party_bus::Result<Self> {
        let (session, thread) = (Self::id(number), ThreadId::derive(&[b"bench", &number.to_be_bytes()]));
        let term = Duration::from_secs(3_600);
        let lease = bus.lease(LeaseOp::Acquire { session, owner: Owner::this_process(), term }).await?;
        let token = lease.expect("nobody else has it").fencing_token;
        let text = "It is a fair question. ".chars().cycle().take(TEXT).collect();
        let mut driven = Self { session, thread, head: Offset::START, token, text };
        let open = Op::Open { thread, kind: ThreadKind::Private };
        bus.append(driven.next_batch(|record, _| record.with_op(open))).await?;
        Ok(driven)
    }

    /// The next batch: one record that brings an item and adds it to the thread.
    pub fn batch(&mut self) -> Batch {
        let thread = self.thread;
        self.next_batch(|record, item| {
            let add = Op::Add { threads: vec![thread], item: item.id, how: How::Said };
            record.with_op(add).with_item(item)
        })
    }

    /// The same for the peer.
    pub fn rows(&mut self) -> Prepared {
        Prepared::new(&self.batch())
    }

    fn next_batch(&mut self, fill: impl FnOnce(NewRecord, Item) -> NewRecord) -> Batch {
        let place = [self.session.as_bytes().as_slice(), &self.head.0.to_be_bytes()];
        // As version 7 of UUIDs has it: ids made one after the other lie beside each other.
        let order = |kind: u8| {
            let mut bytes = *ItemId::derive(&[place[0], place[1], &[kind]]).as_bytes();
            bytes[..8].copy_from_slice(&self.head.0.to_be_bytes());
            bytes
        };
        let (item, at) = (ItemId::from_bytes(order(1)), Timestamp::from_micros(self.head.0.cast_signed()));
        let event = Delivered { item, by: None, turn: None };
        let item = Item::message(item, Author::agent("Mary"), at, &self.text);
        let record = fill(NewRecord::new(at, &event.into()), item);
        let id = BatchId::from_bytes(order(2));
        let batch = Batch::driver(self.session, id, self.head, self.token, vec![record]);
        self.head = self.head.plus(1);
        batch
    }
}

/// A peer beside the store at `store`, with the same sessions, threads and leases, and those
/// sessions as the peer sees them.
pub fn peer_of(store: &Path, path: &Path, sessions: &[Driven]) -> rusqlite::Result<(Peer, Vec<Driven>)> {
    let peer = Peer::like(store, path)?;
    let twin = |driven: &Driven| {
        peer.lease(driven.session.as_bytes(), driven.token)?;
        peer.open_thread(driven.session.as_bytes(), driven.thread.as_bytes())?;
        let Driven { session, thread, token, text, .. } = driven;
        let (session, thread, token, text) = (*session, *thread, *token, text.clone());
        Ok(Driven { session, thread, head: Offset::START, token, text })
    };
    let twins = sessions.iter().map(twin).collect::<rusqlite::Result<_>>()?;
    Ok((peer, twins))
}
