//! Whatever is asked of a SQLite store through two handles, in any order, with reopening in
//! between: it answers and holds what the store in memory does.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{
    Batch, Bus, BusExt, Classes, ErrorKind, LeaseOp, MemoryBus, Owner, Result, SessionQuery, Snapshot,
    SqliteBus, Window, conformance::note,
};
use party_core::{
    Author, BatchId, How, Item, ItemId, NewRecord, Offset, Op, RecordClass, SessionId, ThreadId, ThreadKind,
    Timestamp,
};
use proptest::{collection::vec, prelude::*};
use std::{fmt::Debug, path::PathBuf, time::Duration};

const SESSIONS: u8 = 2;
const THREADS: u8 = 3;

#[derive(Debug, Clone)]
enum Step {
    Append {
        handle: usize,
        write: Write,
    },
    Acquire {
        handle: usize,
        session: u8,
        owner: usize,
    },
    /// Renews or releases with the token that is `behind` the last one.
    Keep {
        handle: usize,
        session: u8,
        behind: u64,
        release: bool,
    },
    Reopen {
        handle: usize,
    },
}

#[derive(Debug, Clone)]
struct Write {
    session: u8,
    batch: u8,
    /// How far the expected head and the token are from the true ones; `None` for inputs.
    driver: Option<(u64, u64)>,
    buffered: bool,
    records: Vec<Draft>,
    snapshot: bool,
}

#[derive(Debug, Clone)]
struct Draft {
    class: u8,
    /// Number and variant of each item.
    items: Vec<(u8, u8)>,
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Open(u8),
    Add(Vec<u8>, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let handle = 0..2_usize;
    let session = 0..SESSIONS;
    prop_oneof![
        8 => (handle.clone(), write()).prop_map(|(handle, write)| Step::Append { handle, write }),
        2 => (handle.clone(), session.clone(), 0..3_usize)
            .prop_map(|(handle, session, owner)| Step::Acquire { handle, session, owner }),
        1 => (handle.clone(), session, rarely(1), any::<bool>())
            .prop_map(|(handle, session, behind, release)| Step::Keep { handle, session, behind, release }),
        1 => handle.prop_map(|handle| Step::Reopen { handle }),
    ]
}

/// Mostly 0.
fn rarely(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![6 => Just(0), 1 => 1..=most]
}

fn write() -> impl Strategy<Value = Write> {
    let change = prop_oneof![
        (0..THREADS).prop_map(Change::Open),
        (vec(0..THREADS, 0..3), 0..4_u8).prop_map(|(threads, item)| Change::Add(threads, item)),
    ];
    let variant = prop_oneof![9 => Just(0_u8), 1 => Just(1)];
    let draft = (0..4_u8, vec((0..4_u8, variant), 0..3), vec(change, 0..3))
        .prop_map(|(class, items, changes)| Draft { class, items, changes });
    let driver = prop_oneof![3 => (rarely(2), rarely(1)).prop_map(Some), 1 => Just(None)];
    (0..SESSIONS, 0..24_u8, driver, any::<bool>(), vec(draft, 1..4), any::<bool>()).prop_map(
        |(session, batch, driver, buffered, records, snapshot)| Write {
            session,
            batch,
            driver,
            buffered,
            records,
            snapshot,
        },
    )
}

fn session(number: u8) -> SessionId {
    SessionId::derive(&[&[number]])
}

fn thread(number: u8) -> ThreadId {
    ThreadId::derive(&[&[number]])
}

impl Write {
    fn batch(&self, head: Offset, token: u64) -> Batch {
        let (session, id) = (session(self.session), BatchId::derive(&[&[self.batch]]));
        let at = Timestamp::from_micros(self.batch.into());
        let records = self.records.iter().map(|draft| draft.record(at)).collect();
        let author = Author::human("ann");
        let Some((stale_head, stale_token)) = self.driver else {
            let mut batch = Batch::input(session, id, author, records);
            batch.records.iter_mut().for_each(|record| {
                record.class = RecordClass::Input;
                record.ops.clear();
            });
            return batch;
        };
        let (head, token) = (Offset(head.0.saturating_sub(stale_head)), token.saturating_sub(stale_token));
        let snapshot = Snapshot { engine: "model".into(), offset: head, state: vec![self.batch] };
        let batch = Batch::driver(session, id, head, token, records).by(author);
        let batch = batch.with_snapshot(self.snapshot.then_some(snapshot));
        if self.buffered { batch.buffered() } else { batch }
    }
}

impl Draft {
    fn record(&self, at: Timestamp) -> NewRecord {
        let Self { class, items, changes } = self;
        let classes = [RecordClass::Input, RecordClass::Report, RecordClass::Decision, RecordClass::Trace];
        let mut record = note(classes[usize::from(*class)], "model");
        record.at = at;
        let id = |number: u8| ItemId::derive(&[&[number]]);
        for (number, variant) in items {
            let text = format!("item {number} variant {variant}");
            let item = Item::message(id(*number), Author::human("ann"), Timestamp::from_micros(0), text);
            record = record.with_item(item);
        }
        // An input with ops breaks a rule; one in a while is enough.
        for change in changes.iter().take(if *class == 0 { changes.len() / 2 } else { 3 }) {
            record = record.with_op(match change {
                Change::Open(number) => Op::Open { thread: thread(*number), kind: ThreadKind::Private },
                Change::Add(threads, item) => Op::Add {
                    threads: threads.iter().copied().map(thread).collect(),
                    item: id(*item),
                    how: How::Delivered { from: None },
                },
            });
        }
        record
    }
}

/// The model, and the store beside it.
struct Pair {
    model: MemoryBus,
    path: PathBuf,
    handles: [SqliteBus; 2],
    owners: [Owner; 3],
    tokens: [u64; SESSIONS as usize],
}

fn kinds<T>(outcome: Result<T>) -> Result<T, ErrorKind> {
    outcome.map_err(|error| error.kind())
}

impl Pair {
    async fn new(path: PathBuf) -> Self {
        let handles = [SqliteBus::open(&path).await.unwrap(), SqliteBus::open(&path).await.unwrap()];
        let dead = Owner { pid: 999_999_999, ..Owner::this_process() };
        let owners = [Owner::this_process(), Owner::this_process(), dead];
        Self { model: MemoryBus::new(), path, handles, owners, tokens: [0; SESSIONS as usize] }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Append { handle, write } => {
                let head = self.model.head(session(write.session)).await.unwrap();
                let batch = write.batch(head, self.tokens[usize::from(write.session)]);
                let expected = kinds(self.model.append(batch.clone()).await);
                assert_eq!(kinds(self.handles[*handle].append(batch).await), expected);
            }
            Step::Acquire { handle, session: number, owner } => {
                let (session, owner) = (session(*number), self.owners[*owner].clone());
                let op = LeaseOp::Acquire { session, owner, term: Duration::from_secs(600) };
                if let Some(token) = self.lease(*handle, op).await {
                    self.tokens[usize::from(*number)] = token;
                }
            }
            Step::Keep { handle, session: number, behind, release } => {
                let fencing_token = self.tokens[usize::from(*number)].saturating_sub(*behind);
                let (session, term) = (session(*number), Duration::from_secs(600));
                let op = match release {
                    true => LeaseOp::Release { session, fencing_token },
                    false => LeaseOp::Renew { session, fencing_token, term },
                };
                self.lease(*handle, op).await;
            }
            Step::Reopen { handle } => {
                self.handles[*handle].close().await.unwrap();
                self.handles[*handle] = SqliteBus::open_existing(&self.path).await.unwrap();
            }
        }
    }

    async fn lease(&self, handle: usize, op: LeaseOp) -> Option<u64> {
        let expected = self.model.lease(op.clone()).await.unwrap();
        assert_eq!(self.handles[handle].lease(op).await.unwrap(), expected);
        expected.map(|lease| lease.fencing_token)
    }

    /// Both handles show what the model shows.
    async fn compare(&self) {
        for store in &self.handles {
            for number in 0..SESSIONS {
                let one = SessionQuery::one(session(number));
                same(store.sessions(one.clone()).await, self.model.sessions(one).await);
                let all = |bus| read_all(bus, session(number));
                same(all(store).await, all(&self.model).await);
            }
            same(
                store.sessions(SessionQuery::newest()).await,
                self.model.sessions(SessionQuery::newest()).await,
            );
            for (number, thread) in
                (0..SESSIONS).flat_map(|number| (0..THREADS).map(move |n| (number, thread(n))))
            {
                let session = session(number);
                for window in [
                    Window::last(session, thread, 100),
                    Window::last(session, thread, 2),
                    Window::before(session, thread, 3, 2),
                    Window::after(session, thread, 1, 2),
                ] {
                    same(store.window(window).await, self.model.window(window).await);
                }
            }
        }
    }
}

async fn read_all(bus: &dyn Bus, session: SessionId) -> Result<Vec<std::sync::Arc<party_core::Record>>> {
    bus.read_to_end(session, Offset::START, Classes::ALL).await
}

fn same<T: Debug + PartialEq>(found: Result<T>, expected: Result<T>) {
    assert_eq!(kinds(found), kinds(expected));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn two_handles_of_one_file_answer_like_the_store_in_memory(steps in vec(step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pair = Pair::new(folder.path().join("store.db")).await;
            for number in 0..SESSIONS {
                pair.step(&Step::Acquire { handle: 0, session: number, owner: 0 }).await;
            }
            for step in &steps {
                pair.step(step).await;
            }
            pair.compare().await;
        });
    }
}
