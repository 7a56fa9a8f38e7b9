//! Many who follow one session, and many who listen to a channel, counted alike.

use futures::StreamExt;
use party_bus::{Batch, Bus, BusExt as _, Durability, LeaseOp, Owner};
use party_core::{
    Author, BatchId, How, Item, ItemId, NewRecord, Offset, Op, Record, SessionId, ThreadId, ThreadKind,
    Timestamp, Traced, TurnId,
};
use std::{
    fs,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, broadcast},
    task::JoinSet,
};

/// Listeners that say together when each of them has had a whole stride of records.
#[derive(Debug)]
pub struct Crowd {
    arrivals: Arc<Arrivals>,
    _listeners: JoinSet<()>,
}

#[derive(Debug)]
struct Arrivals {
    crowd: usize,
    arrived: AtomicUsize,
    /// When the first of them had the first record of the stride.
    first: Mutex<Option<Instant>>,
    all: Notify,
}

impl Arrivals {
    /// Notes that one has had a record.
    fn had(&self, record: &Record) {
        let place = record.offset.0 % Crowd::STRIDE as u64;
        if place == 1 {
            self.first().get_or_insert_with(Instant::now);
        }
        if place == 0 && self.arrived.fetch_add(1, Ordering::Relaxed) + 1 == self.crowd {
            self.arrived.store(0, Ordering::Relaxed);
            self.all.notify_one();
        }
    }

    fn first(&self) -> MutexGuard<'_, Option<Instant>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crowd {
    /// How many records make a stride.
    pub const STRIDE: usize = 1_000;

    /// Followers of a session, behind `after`, that look at each record.
    pub fn following<B: Bus>(bus: &Arc<B>, session: SessionId, after: Offset, crowd: usize) -> Self {
        Self::of(crowd, |listeners, arrivals| {
            let mut follow = Arc::clone(bus).follow(session, after);
            listeners.spawn(async move {
                while let Ok(record) = follow.next().await {
                    arrivals.had(record);
                }
            });
        })
    }

    /// Followers of a session, behind `after`, that get a handle of their own on each record, as receivers of
    /// a channel do.
    pub fn holding<B: Bus>(bus: &Arc<B>, session: SessionId, after: Offset, crowd: usize) -> Self {
        Self::of(crowd, |listeners, arrivals| {
            let mut follow = Arc::clone(bus).follow(session, after);
            listeners.spawn(async move {
                while let Some(Ok(record)) = StreamExt::next(&mut follow).await {
                    arrivals.had(&record);
                }
            });
        })
    }

    /// Receivers of a broadcast channel.
    pub fn receiving(channel: &broadcast::Sender<Arc<Record>>, crowd: usize) -> Self {
        Self::of(crowd, |listeners, arrivals| {
            let mut receiver = channel.subscribe();
            listeners.spawn(async move {
                loop {
                    match receiver.recv().await {
                        Ok(record) => arrivals.had(&record),
                        Err(broadcast::error::RecvError::Closed) => return,
                        Err(lagged) => panic!("the channel holds a stride: {lagged}"),
                    }
                }
            });
        })
    }

    fn of(crowd: usize, mut listen: impl FnMut(&mut JoinSet<()>, Arc<Arrivals>)) -> Self {
        let arrivals = Arc::new(Arrivals {
            crowd,
            arrived: AtomicUsize::new(0),
            first: Mutex::default(),
            all: Notify::new(),
        });
        let mut listeners = JoinSet::new();
        (0..crowd).for_each(|_| listen(&mut listeners, Arc::clone(&arrivals)));
        Self { arrivals, _listeners: listeners }
    }

    /// A stride of records that nobody stores.
    pub fn records(session: SessionId, text: usize) -> Vec<Arc<Record>> {
        let text: String = "x".repeat(text);
        let placed = |place| traced(&text).placed(session, Offset(place), None);
        (1..=Self::STRIDE as u64).map(|place| Arc::new(placed(place))).collect()
    }

    /// Waits until each has had the next stride; how long that took from the first delivery.
    pub async fn have_a_stride(&self) -> Duration {
        self.arrivals.all.notified().await;
        self.arrivals.first().take().map_or(Duration::ZERO, |first| first.elapsed())
    }
}

/// A session that is written in strides, each one buffered batch.
#[derive(Debug)]
pub struct Strides {
    /// The session.
    pub session: SessionId,
    /// Its last record.
    pub head: Offset,
    token: u64,
    threads: Vec<ThreadId>,
    text: String,
}

impl Strides {
    /// Leases a session of that many threads, and writes a first stride that opens them. Records that
    /// follow hold a text of `text` bytes.
    pub async fn open(bus: &impl Bus, threads: usize, text: usize) -> party_bus::Result<Self> {
        let session = SessionId::derive(&[b"strides", &threads.to_be_bytes()]);
        let term = Duration::from_secs(3_600);
        let lease = bus.lease(LeaseOp::Acquire { session, owner: Owner::this_process(), term }).await?;
        let token = lease.expect("nobody else has it").fencing_token;
        let threads: Vec<ThreadId> =
            (0..threads).map(|number| ThreadId::derive(&[&number.to_be_bytes()])).collect();
        let mut records: Vec<NewRecord> = (0..Crowd::STRIDE).map(|_| traced("")).collect();
        let open = |thread: &ThreadId| Op::Open { thread: *thread, kind: ThreadKind::Private };
        records[0].ops = threads.iter().map(open).collect();
        let text = "It is a fair question. ".chars().cycle().take(text).collect();
        let mut strides = Self { session, head: Offset::START, token, threads, text };
        strides.write(bus, records).await?;
        Ok(strides)
    }

    /// The next stride of records that bring nothing: what a turn streams.
    pub fn streamed(&self) -> Vec<NewRecord> {
        (0..Crowd::STRIDE).map(|_| traced(&self.text)).collect()
    }

    /// The next stride of records that each bring an item and add it to a thread, in turn.
    pub fn said(&self) -> Vec<NewRecord> {
        let places = self.head.0 + 1..=self.head.0 + Crowd::STRIDE as u64;
        places.map(|place| self.said_at(place)).collect()
    }

    fn said_at(&self, place: u64) -> NewRecord {
        // Of version 7, made a millisecond behind the one before.
        let mut id = *ItemId::derive(&[self.session.as_bytes(), &place.to_be_bytes()]).as_bytes();
        id[..6].copy_from_slice(&place.to_be_bytes()[2..]);
        id[6] = 0x70 | (id[6] & 0xf);
        let item =
            Item::message(ItemId::from_bytes(id), Author::agent("Mary"), Timestamp::default(), &self.text);
        let thread = self.threads[place as usize % self.threads.len()];
        let add = Op::Add { threads: vec![thread], item: item.id, how: How::Said };
        traced("").with_item(item).with_op(add)
    }

    /// Writes a stride.
    pub async fn write(&mut self, bus: &impl Bus, records: Vec<NewRecord>) -> party_bus::Result<()> {
        let id = BatchId::derive(&[self.session.as_bytes(), &self.head.0.to_be_bytes()]);
        let mut batch = Batch::driver(self.session, id, self.head, self.token, records);
        batch.durability = Durability::Buffered;
        self.head = bus.append(batch).await?.last;
        Ok(())
    }
}

fn traced(text: &str) -> NewRecord {
    let event = Traced { turn: TurnId(Offset(1)), attempt: 1, event: text.into() };
    NewRecord::new(Timestamp::default(), &event.into())
}

/// What this process has resident, in bytes.
///
/// # Panics
/// Where the system does not tell.
pub fn rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("what is resident");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}
