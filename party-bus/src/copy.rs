//! Writing a session that is a copy of another: an import, a fork.

use crate::{
    Batch, Bus, Error, ErrorKind, Label, LeaseOp, Owner, Read, Result, SessionInfo, SessionQuery, Wake,
    encoded::{items_of, json},
    refusal,
};
use party_core::{Author, BatchId, Item, ItemId, NewRecord, Offset, Record, SessionId};
use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// At most so many records in a batch of a copy, and so many bytes unless one record makes more.
const MOST_RECORDS: usize = 1_000;
const MOST_BYTES: usize = 1 << 20;
/// For how long a copy holds its session; renewed while it is made.
const TERM: Duration = Duration::from_secs(30);

/// What a copy is to be like, where it differs from the original.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyOptions {
    /// What it is called.
    pub label: Option<Label>,
    /// When it wants to be driven, once it is complete; idle where absent, so that not two drivers pay for
    /// one session's turns.
    pub wake: Option<Wake>,
}

impl CopyOptions {
    /// The same for a copy that is called `label`.
    #[must_use]
    pub fn labelled(mut self, label: Label) -> Self {
        self.label = Some(label);
        self
    }

    /// The same for a copy that wants to be driven at `wake`.
    #[must_use]
    pub const fn waking(mut self, wake: Wake) -> Self {
        self.wake = Some(wake);
        self
    }
}

/// A copy that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The session.
    pub session: SessionId,
    /// The last record that was copied, or made for the copy.
    pub head: Offset,
    /// How many records this call wrote; fewer than there are where it went on with a copy that was there.
    pub written: u64,
}

/// A copy that is being made. What is there of it already is compared, what is not is written in batches
/// whose names follow from their places.
pub(crate) struct Copy<'a, B: Bus + ?Sized> {
    bus: &'a B,
    session: SessionId,
    options: CopyOptions,
    /// The last record that is in the store.
    there: Offset,
    /// Whether it is a whole session that is there: then nothing is written.
    is_whole: bool,
    /// Records of the store, to compare.
    stored: VecDeque<Arc<Record>>,
    /// The last record that was brought.
    head: Offset,
    lease: Option<(u64, Instant)>,
    batch: Vec<NewRecord>,
    author: Option<Author>,
    bytes: usize,
    written: u64,
}

impl<'a, B: Bus + ?Sized> Copy<'a, B> {
    pub(crate) async fn start(bus: &'a B, session: SessionId, options: CopyOptions) -> Result<Self> {
        let mut copy = Self {
            bus,
            session,
            options,
            there: Offset::START,
            is_whole: false,
            stored: VecDeque::new(),
            head: Offset::START,
            lease: None,
            batch: Vec::new(),
            author: None,
            bytes: 0,
            written: 0,
        };
        copy.look().await?;
        if !copy.is_whole {
            copy.acquire().await?;
            // Another process may have made it since.
            if let Err(error) = copy.look().await {
                copy.release().await;
                return Err(error);
            }
        }
        Ok(copy)
    }

    /// Looks what is there already.
    async fn look(&mut self) -> Result<()> {
        let page = self.bus.sessions(SessionQuery::one(self.session)).await?;
        let Some(SessionInfo { head, label, partial, .. }) = page.entries.into_iter().next() else {
            return Ok(());
        };
        if label != self.options.label {
            return Err(self.conflict("is there under another label"));
        }
        (self.there, self.is_whole) = (head, !partial);
        Ok(())
    }

    /// The next record, whose offset must be that, and about how many bytes it makes.
    pub(crate) async fn bring(&mut self, record: Record, bytes: usize) -> Result<()> {
        self.head = record.offset;
        if record.offset <= self.there {
            return self.compare(&record).await;
        }
        if self.is_whole {
            return Err(self.conflict(&format!("is there and ends at {}", self.there)));
        }
        let other_author = self.author.is_some() && record.author.is_some() && self.author != record.author;
        let is_full = self.batch.len() >= MOST_RECORDS || self.bytes + bytes > MOST_BYTES;
        if !self.batch.is_empty() && (other_author || is_full) {
            self.flush(true).await?;
        }
        self.bytes += bytes;
        self.batch.push(NewRecord::from(&record));
        self.author = self.author.take().or(record.author);
        Ok(())
    }

    /// Writes the last batch, after which the copy is complete.
    pub(crate) async fn finish(&mut self) -> Result<Copied> {
        if !self.is_whole {
            if self.batch.is_empty() {
                return Err(self.conflict("is a part of a longer copy"));
            }
            self.flush(false).await?;
        }
        Ok(Copied { session: self.session, head: self.head, written: self.written })
    }

    /// Gives the session up, as far as the store lets it.
    pub(crate) async fn release(&mut self) {
        if let Some((fencing_token, _)) = self.lease.take() {
            // Its term ends by itself.
            let _ = self.bus.lease(LeaseOp::Release { session: self.session, fencing_token }).await;
        }
    }

    async fn flush(&mut self, is_partial: bool) -> Result<()> {
        let token = self.hold().await?;
        let first = self.there.plus(1);
        let id = BatchId::derive(&[b"copy", self.session.as_bytes(), &first.0.to_be_bytes()]);
        let records = std::mem::take(&mut self.batch);
        let count = records.len() as u64;
        let mut batch = Batch::driver(self.session, id, self.there, token, records);
        (batch.author, self.bytes) = (self.author.take(), 0);
        // The last batch takes the others along to the disk.
        batch = match is_partial {
            true => batch.partial().buffered(),
            false => batch.waking(self.options.wake.unwrap_or(Wake::Idle)),
        };
        if self.there == Offset::START {
            batch.label = self.options.label.clone();
        }
        let between = |error: Error| error.within(format!("records {first} to {}", self.there.plus(count)));
        self.there = self.bus.append(batch).await.map_err(between)?.last;
        self.written += count;
        Ok(())
    }

    async fn acquire(&mut self) -> Result<()> {
        // One owner for all copies of this process: one that was dropped is taken over at once.
        static OWNER: OnceLock<Owner> = OnceLock::new();
        let (session, owner) = (self.session, OWNER.get_or_init(Owner::this_process).clone());
        let lease = self.bus.lease(LeaseOp::Acquire { session, owner, term: TERM }).await?;
        let lease = lease.ok_or_else(|| self.conflict("is driven by somebody else"))?;
        self.lease = Some((lease.fencing_token, Instant::now()));
        Ok(())
    }

    /// The token of the lease, which holds for a while.
    async fn hold(&mut self) -> Result<u64> {
        let (fencing_token, since) = self.lease.expect("invariant: what is written is leased");
        if since.elapsed() > TERM / 3 {
            let renew = LeaseOp::Renew { session: self.session, fencing_token, term: TERM };
            let lease = self.bus.lease(renew).await?;
            lease.ok_or_else(|| refusal::fenced(self.session, fencing_token))?;
            self.lease = Some((fencing_token, Instant::now()));
        }
        Ok(fencing_token)
    }

    /// Compares a record with the one that is there.
    async fn compare(&mut self, record: &Record) -> Result<()> {
        if self.stored.is_empty() {
            let read = Read::new(self.session, Offset(record.offset.0.saturating_sub(1)));
            self.stored = self.bus.read(read).await?.entries.into();
        }
        let is_same = match self.stored.pop_front() {
            Some(stored) => is_copy(record, &stored) && self.has(added(record, &stored)).await?,
            None => false,
        };
        if is_same {
            return Ok(());
        }
        Err(self.conflict(&format!("is there, and its record {} is another", record.offset)))
    }

    /// Whether the store has items just so, or erased.
    async fn has(&self, items: &[Arc<Item>]) -> Result<bool> {
        if items.is_empty() {
            return Ok(true);
        }
        let ids: Vec<ItemId> = items.iter().map(|item| item.id).collect();
        let stored = self.bus.items(&ids).await?;
        Ok(items.iter().zip(&stored).all(|(item, stored)| is_same_item(item, stored)))
    }

    fn conflict(&self, why: &str) -> Error {
        Error::new(ErrorKind::Conflict, format!("session {} {why}", self.session))
    }
}

/// Whether `record` is `stored` once more, items aside that it had to bring because others had brought
/// them to the store before.
fn is_copy(record: &Record, stored: &Record) -> bool {
    let envelope = |record: &Record| (record.v, record.offset, record.class, record.at, record.turn);
    let items = record.items.iter().zip(&stored.items).all(|(item, stored)| is_same_item(item, stored));
    envelope(record) == envelope(stored)
        && (&record.kind, &record.author, &record.ops) == (&stored.kind, &stored.author, &stored.ops)
        && record.body.get() == stored.body.get()
        && record.items.len() >= stored.items.len()
        && items
        && added(record, stored)
            .iter()
            .all(|item| record.ops.iter().any(|op| items_of(op).contains(&item.id)))
}

/// The items that `record` brings besides those of `stored`.
fn added<'a>(record: &'a Record, stored: &Record) -> &'a [Arc<Item>] {
    record.items.get(stored.items.len()..).unwrap_or_default()
}

fn is_same_item(item: &Item, stored: &Item) -> bool {
    item == stored || stored.is_erased() && item.erased() == *stored
}

/// About how many bytes a record makes.
pub(crate) fn size(record: &Record) -> usize {
    let items = record.items.iter().map(|item| json(&**item).len());
    record.body.get().len() + json(&record.ops).len() + items.sum::<usize>()
}
