//! Steps that mostly fit what is there.

use super::act::{Act, Reference};
use crate::{
    Batch, Classes, Erase, Label, Layer, LeaseOp, Prune, Read, Search, SessionQuery, Side, Snapshot,
    ThreadInfo, ThreadQuery, Wake, Window, conformance::note,
};
use party_core::{
    Author, BatchId, How, Item, ItemId, NewRecord, Offset, Op, RecordClass, SessionId, ThreadId, ThreadKind,
    Timestamp,
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::value::RawValue;
use std::{collections::BTreeSet, time::Duration};

pub(super) const SESSIONS: u8 = 2;
const THREADS: u8 = 9;
const ITEMS: u8 = 6;
const BATCHES: u8 = 40;
/// The words that items hold, some of them.
const WORDS: [&str; 3] = ["apple", "Birne", "cedar"];

/// A step on one of two handles.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) handle: usize,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    /// Opens the handle anew.
    Reopen,
    /// Asks as it is.
    Ask(Act),
    Write(Write),
    /// Writes the batch again that was written so many before the last.
    Again(usize),
    Acquire(u8, usize),
    /// Renews or releases with a token that is so far behind the last.
    Keep {
        session: u8,
        behind: u64,
        term: Option<Duration>,
    },
}

/// A batch whose head and token are known when it is written.
#[derive(Debug, Clone)]
struct Write {
    session: u8,
    batch: u8,
    /// How far the expected head and the token are behind the true ones; `None` for inputs.
    driver: Option<(u64, u64)>,
    records: Vec<NewRecord>,
    buffered: bool,
    partial: bool,
    snapshot: bool,
    wake: Option<Wake>,
    label: bool,
}

pub(super) fn session(number: u8) -> SessionId {
    SessionId::derive(&[b"model", &[number]])
}

fn thread(number: u8) -> ThreadId {
    ThreadId::derive(&[b"model", &[number]])
}

fn item_id(number: u8) -> ItemId {
    ItemId::derive(&[b"model", &[number]])
}

impl Reference {
    pub(super) fn act(&self, step: &Step) -> Option<Act> {
        match &step.what {
            What::Reopen => None,
            What::Ask(act) => Some(act.clone()),
            What::Write(write) => Some(Act::Append(self.batch(write))),
            What::Again(back) => {
                let again = self.written.len().checked_sub(back + 1)?;
                self.written.get(again).cloned().map(Act::Append)
            }
            What::Acquire(number, owner) => Some(Act::Lease(LeaseOp::Acquire {
                session: session(*number),
                owner: self.owners.get(*owner)?.clone(),
                term: Duration::from_secs(600),
            })),
            What::Keep { session: number, behind, term } => {
                let fencing_token = self.token(*number).saturating_sub(*behind);
                let session = session(*number);
                Some(Act::Lease(match term {
                    Some(term) => LeaseOp::Renew { session, fencing_token, term: *term },
                    None => LeaseOp::Release { session, fencing_token },
                }))
            }
        }
    }

    fn token(&self, number: u8) -> u64 {
        self.tokens.get(usize::from(number)).copied().unwrap_or_default()
    }

    fn batch(&self, write: &Write) -> Batch {
        let (session, id) = (session(write.session), BatchId::derive(&[b"model", &[write.batch]]));
        let (author, records) = (Author::human("ann"), write.records.clone());
        let Some((stale_head, stale_token)) = write.driver else {
            return Batch::input(session, id, author, records);
        };
        let head = Offset(self.head(session).0.saturating_sub(stale_head));
        let token = self.token(write.session).saturating_sub(stale_token);
        let mut batch = Batch::driver(session, id, head, token, records).by(author);
        if write.snapshot {
            let state = vec![write.batch];
            batch = batch.with_snapshot(Some(Snapshot { engine: "model".into(), offset: head, state }));
        }
        if write.label && head == Offset::START {
            let key = write.batch.to_string();
            batch = batch.labelled(Label { kind: "model".into(), key, parent: Some(session) });
        }
        batch.wake = write.wake;
        batch.partial = write.partial;
        if write.buffered { batch.buffered() } else { batch }
    }
}

/// Any step; most of them fit what the reference holds.
pub(super) fn step(model: &Reference) -> BoxedStrategy<Step> {
    let model = model.clone();
    let number = prop_oneof![3 => Just(0), 1 => 0..SESSIONS];
    let what = number.prop_flat_map(move |number| {
        let driven = model.token(number) > 0;
        prop_oneof![
            if driven { 12 } else { 1 } => write(number, model.threads(number)).prop_map(What::Write),
            1 => (0..3_usize).prop_map(What::Again),
            if driven { 1 } else { 8 } => (0..3_usize).prop_map(move |owner| What::Acquire(number, owner)),
            1 => keep(number),
            1 => Just(What::Reopen),
            4 => look(number, model.threads(number)).prop_map(What::Ask),
            1 => care(number, model.head(session(number)), model.can).prop_map(What::Ask),
        ]
    });
    (0..2_usize, what).prop_map(|(handle, what)| Step { handle, what }).boxed()
}

/// Mostly 0.
fn rarely(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![9 => Just(0), 1 => 1..=most]
}

fn seldom() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.05)
}

fn keep(session: u8) -> impl Strategy<Value = What> {
    let term = prop_oneof![Just(None), Just(Some(Duration::ZERO)), Just(Some(Duration::from_secs(600)))];
    (rarely(1), term).prop_map(move |(behind, term)| What::Keep { session, behind, term })
}

fn write(session: u8, threads: Vec<ThreadInfo>) -> BoxedStrategy<Write> {
    let wake = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Wake::Now)),
        1 => Just(Some(Wake::Idle)),
        1 => prop_oneof![1..9_i64, Just(i64::MAX / 2)]
            .prop_map(|at| Some(Wake::At(Timestamp::from_micros(at)))),
    ];
    let driver = prop_oneof![5 => (rarely(2), rarely(1)).prop_map(Some), 1 => Just(None)];
    let flags = (any::<bool>(), seldom(), any::<bool>(), any::<bool>());
    (0..BATCHES, driver, flags, wake)
        .prop_flat_map(move |(batch, driver, (buffered, partial, snapshot, label), wake)| {
            let records = vec(record(session, driver.is_some(), threads.clone()), 1..4);
            records.prop_map(move |mut records| {
                let at = i64::from(session) * 1_000 + i64::from(batch);
                records.iter_mut().for_each(|record| record.at = Timestamp::from_micros(at));
                Write { session, batch, driver, records, buffered, partial, snapshot, wake, label }
            })
        })
        .boxed()
}

fn record(session: u8, driven: bool, threads: Vec<ThreadInfo>) -> BoxedStrategy<NewRecord> {
    let class = match driven {
        true => prop_oneof![
            4 => Just(RecordClass::Decision),
            2 => Just(RecordClass::Report),
            1 => Just(RecordClass::Trace),
            1 => Just(RecordClass::Input),
        ]
        .boxed(),
        false => {
            let other = select(vec![RecordClass::Report, RecordClass::Decision, RecordClass::Trace]);
            prop_oneof![9 => Just(RecordClass::Input), 1 => other].boxed()
        }
    };
    let variant = prop_oneof![19 => Just(0_u8), 1 => Just(1)];
    (class, vec(op(threads), 0..4), vec((0..ITEMS, variant), 0..2), seldom(), 0..3_u16)
        .prop_map(move |(class, ops, items, odd, v)| {
            let mut record = note(class, &format!("model {session}"));
            record.v = v;
            // An input with ops breaks a rule; one in a while is enough.
            record.ops = if class == RecordClass::Input && !odd { Vec::new() } else { ops };
            let named: BTreeSet<ItemId> =
                record.ops.iter().flat_map(crate::encoded::items_of).copied().collect();
            let brought = (0..ITEMS).filter(|number| !odd && named.contains(&item_id(*number)));
            for (number, variant) in brought.map(|number| (number, 0)).chain(items) {
                record = record.with_item(item(number, variant));
            }
            record
        })
        .boxed()
}

fn item(number: u8, variant: u8) -> Item {
    let word = WORDS.get(usize::from(number) % WORDS.len()).copied().unwrap_or_default();
    let text = format!("item {number}, variant {variant}: {word}");
    Item::message(item_id(number), Author::human("ann"), Timestamp::from_micros(0), text)
}

fn known(threads: &[ThreadInfo]) -> BoxedStrategy<ThreadInfo> {
    let unknown = (0..THREADS).prop_map(|number| ThreadInfo {
        thread: thread(number),
        kind: ThreadKind::Private,
        state: party_core::ThreadState::Open,
        origin: None,
        head: 2,
    });
    match threads.is_empty() {
        true => unknown.boxed(),
        false => prop_oneof![12 => select(threads.to_vec()), 1 => unknown].boxed(),
    }
}

/// Positions of a thread, and seldom one beside it.
fn position(info: &ThreadInfo) -> BoxedStrategy<u64> {
    prop_oneof![19 => 0..=info.head, 1 => Just(info.head + 1), 1 => Just(u64::MAX)].boxed()
}

fn op(threads: Vec<ThreadInfo>) -> BoxedStrategy<Op> {
    let kind = select(vec![ThreadKind::Feed, ThreadKind::Private, ThreadKind::Other("model".into())]);
    let items = (0..ITEMS).prop_map(item_id);
    let new = (0..THREADS).prop_map(thread);
    let tangents: Vec<_> = threads.iter().filter(|info| info.kind == ThreadKind::Tangent).cloned().collect();
    let of = known(&threads);
    let add = (vec(known(&threads), 1..3), items.clone()).prop_map(|(to, item)| Op::Add {
        threads: to.into_iter().map(|info| info.thread).collect(),
        item,
        how: How::Delivered { from: None },
    });
    let branch = (new.clone(), kind.clone(), of.clone()).prop_flat_map(|(thread, kind, info)| {
        position(&info).prop_map(move |after| Op::Branch {
            thread,
            kind: kind.clone(),
            from: info.thread,
            after,
        })
    });
    let compact = (of.clone(), items.clone()).prop_flat_map(|(info, item)| {
        let ends = (position(&info), position(&info));
        ends.prop_map(move |(one, other)| Op::Compact {
            thread: info.thread,
            first: one.min(other),
            last: one.max(other),
            item,
        })
    });
    let tangent = (new.clone(), of.clone()).prop_flat_map(|(thread, info)| {
        position(&info).prop_map(move |anchor| Op::Tangent { thread, parent: info.thread, anchor })
    });
    let resolve = (known(&tangents), vec(items, 0..3))
        .prop_map(|(info, items)| Op::Resolve { thread: info.thread, items });
    prop_oneof![
        3 => (new, kind).prop_map(|(thread, kind)| Op::Open { thread, kind }),
        10 => add,
        3 => branch,
        4 => compact,
        2 => tangent,
        1 => resolve,
        1 => known(&tangents).prop_map(|info| Op::Abandon { thread: info.thread }),
        1 => of.prop_map(|info| Op::Close { thread: info.thread }),
    ]
    .boxed()
}

/// Any question that changes nothing.
fn look(number: u8, threads: Vec<ThreadInfo>) -> BoxedStrategy<Act> {
    let session = session(number);
    let window = known(&threads).prop_flat_map(move |info| {
        let side =
            position(&info).prop_flat_map(|at| select(vec![Side::Last, Side::Before(at), Side::After(at)]));
        let layer = select(vec![Layer::Shown, Layer::Archive]);
        (side, 0..9_u32, layer).prop_map(move |(side, limit, layer)| {
            let mut window = Window::last(session, info.thread, limit);
            (window.side, window.layer) = (side, layer);
            Act::Window(window)
        })
    });
    let read =
        (0..9_u64, 0..6_u32, any::<bool>(), any::<bool>()).prop_map(move |(after, limit, folded, narrow)| {
            let mut read = Read::new(session, Offset(after)).limit(limit);
            read.classes = if folded { Classes::FOLDED } else { Classes::ALL };
            read.max_bytes = if narrow { 300 } else { read.max_bytes };
            Act::Read(read)
        });
    let threads =
        (known(&threads), 0..4_u8, 0..3_u64, 0..4_u32).prop_map(move |(info, which, skip, limit)| {
            let mut query = ThreadQuery::all(session);
            (query.skip, query.limit) = (skip, limit);
            match which {
                0 => query.parent = Some(info.thread),
                1 => query.kind = Some(info.kind),
                2 => query.thread = Some(info.thread),
                _ => {}
            }
            Act::Threads(query)
        });
    let sessions = (any::<bool>(), any::<bool>(), 0..2_u64).prop_map(move |(kind, parent, skip)| {
        let mut query = SessionQuery::newest();
        query.kind = kind.then(|| "model".to_owned());
        query.parent = parent.then_some(session);
        query.skip = skip;
        Act::Sessions(query)
    });
    prop_oneof![
        4 => window,
        2 => read,
        1 => threads,
        1 => sessions,
        1 => Just(Act::Sessions(SessionQuery::due(100))),
        1 => vec((0..ITEMS).prop_map(item_id), 0..3).prop_map(Act::Items),
    ]
    .boxed()
}

/// What the owner asks, of what the store can do.
fn care(number: u8, head: Offset, can: crate::Capabilities) -> BoxedStrategy<Act> {
    let session = session(number);
    let body = || RawValue::from_string(r#"{"text":"erased"}"#.to_owned()).expect("JSON");
    let bodies = vec((1..=head.0 + 1).prop_map(move |at| (session, Offset(at), body())), 0..2);
    let erase = (vec((0..ITEMS).prop_map(item_id), 0..2), bodies)
        .prop_map(|(items, bodies)| Act::Erase(Erase { items, bodies }));
    let trace = (0..=head.0).prop_map(move |up_to| Prune::Trace { session, up_to: Offset(up_to) });
    let prune = prop_oneof![3 => trace, 1 => Just(Prune::Sessions(vec![session]))].prop_map(Act::Prune);
    let search = select(vec!["apple", "birne", "ITEM", "variant cedar", "0 item", "oak", "?"])
        .prop_map(|text| Act::Search(Search { limit: 1_000, ..Search::new(text) }));
    let items = (0..ITEMS).prop_map(|number| Act::Items(vec![item_id(number)]));
    let declared = [
        can.erase.then(|| erase.boxed()),
        can.prune.then(|| prune.boxed()),
        can.search.then(|| search.boxed()),
        Some(items.boxed()),
    ];
    let declared: Vec<BoxedStrategy<Act>> = declared.into_iter().flatten().collect();
    proptest::strategy::Union::new(declared).boxed()
}
