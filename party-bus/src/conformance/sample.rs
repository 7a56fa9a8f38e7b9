//! What the cases write.

use crate::{Batch, Bus, LeaseOp, Owner, Receipt, Result};
use party_core::{
    Author, BatchId, How, Item, ItemId, NewRecord, Offset, Op, RecordClass, SessionId, ThreadId, ThreadKind,
    Timestamp,
};
use serde_json::value::RawValue;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Names that no other call gives: stores that are servers may keep the names of earlier runs.
pub(super) fn fresh() -> [u8; 24] {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let mut name = [0; 24];
    name[..16].copy_from_slice(&(now ^ (u128::from(std::process::id()) << 96)).to_be_bytes());
    name[16..].copy_from_slice(&CALLS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    name
}

/// A record of class `class` whose body holds `text`.
pub fn note(class: RecordClass, text: &str) -> NewRecord {
    let at = Timestamp::from_micros(1_000_000);
    let body = serde_json::json!({ "text": text });
    // A tag that no version knows: a store must not care.
    let json = serde_json::json!({ "class": class, "kind": "noted", "at": at, "body": body });
    let mut record: NewRecord = serde_json::from_str(&json.to_string()).expect("the shape of a record");
    record.body = self::body(text);
    record
}

/// A body that holds `text`, as [`note`] makes it.
pub(super) fn body(text: &str) -> Box<RawValue> {
    let body = serde_json::json!({ "text": text });
    RawValue::from_string(body.to_string()).expect("a body of JSON")
}

/// An item of `author` under a new id.
pub fn say(author: &Author, text: &str) -> Arc<Item> {
    let id = ItemId::derive(&[b"said", &fresh()]);
    Arc::new(Item::message(id, author.clone(), Timestamp::from_micros(2_000_000), text))
}

/// A batch of one input by `ann`.
pub fn input(session: SessionId, text: &str) -> Batch {
    let id = BatchId::derive(&[b"input", &fresh()]);
    Batch::input(session, id, Author::human("ann"), vec![note(RecordClass::Input, text)])
}

/// A session that is leased and driven by the test.
#[derive(Debug)]
#[non_exhaustive]
pub struct Sample {
    /// The store.
    pub bus: Arc<dyn Bus>,
    /// The session.
    pub session: SessionId,
    /// The token of its lease.
    pub token: u64,
    /// Its head, as its driver believes.
    pub head: Offset,
}

impl Sample {
    /// Leases a new session.
    ///
    /// # Panics
    /// Where the store refuses a new session.
    pub async fn new(bus: &Arc<dyn Bus>) -> Self {
        let session = SessionId::derive(&[b"session", &fresh()]);
        let mut sample = Self { bus: Arc::clone(bus), session, token: 0, head: Offset::START };
        sample.acquire().await;
        sample
    }

    /// A new session with one record.
    ///
    /// # Panics
    /// Where the store refuses it.
    pub async fn opened(bus: &Arc<dyn Bus>) -> Self {
        let mut sample = Self::new(bus).await;
        sample.write([note(RecordClass::Decision, "opened")]).await.expect("a driver may write");
        sample
    }

    /// A driver's batch of `records`.
    pub fn batch(&self, records: impl IntoIterator<Item = NewRecord>) -> Batch {
        let id = BatchId::derive(&[b"driver", &fresh()]);
        Batch::driver(self.session, id, self.head, self.token, records.into_iter().collect())
    }

    /// Appends a driver's batch, and moves the head.
    ///
    /// # Errors
    /// Those of [`Bus::append`].
    pub async fn write(&mut self, records: impl IntoIterator<Item = NewRecord>) -> Result<Receipt> {
        let receipt = self.bus.append(self.batch(records)).await?;
        self.head = receipt.last;
        Ok(receipt)
    }

    /// Gives up the lease.
    ///
    /// # Panics
    /// Where it is gone.
    pub async fn release(&self) {
        let release = LeaseOp::Release { session: self.session, fencing_token: self.token };
        self.bus.lease(release).await.expect("a lease works").expect("it is held");
    }

    /// Takes the session again.
    ///
    /// # Panics
    /// Where another has it.
    pub async fn acquire(&mut self) {
        let (session, owner, term) = (self.session, Owner::this_process(), Duration::from_secs(60));
        let lease = self.bus.lease(LeaseOp::Acquire { session, owner, term }).await;
        self.token = lease.expect("a lease works").expect("it is free").fencing_token;
    }

    /// Opens `count` threads in one record.
    ///
    /// # Panics
    /// Where the store refuses them.
    pub async fn open_threads(&mut self, count: usize) -> Vec<ThreadId> {
        let threads: Vec<ThreadId> = (0..count).map(|_| ThreadId::derive(&[b"thread", &fresh()])).collect();
        let mut record = note(RecordClass::Decision, "threads");
        record.ops =
            threads.iter().map(|thread| Op::Open { thread: *thread, kind: ThreadKind::Private }).collect();
        self.write([record]).await.expect("threads can be opened");
        threads
    }
}

/// A decision that brings `item` and adds it to `threads`.
pub(super) fn delivery(item: &Arc<Item>, threads: &[ThreadId]) -> NewRecord {
    let add = Op::Add { threads: threads.to_vec(), item: item.id, how: How::Said };
    note(RecordClass::Decision, "delivered").with_item(Arc::clone(item)).with_op(add)
}
