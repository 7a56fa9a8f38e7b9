//! Steps that mostly fit what is there.

use super::{
    act::{Act, Reference},
    draft::{Draft, Kind, Threads, Wish},
};
use crate::{
    Batch, Classes, Erase, Label, Layer, LeaseOp, Prune, Read, Search, SessionQuery, Side, Snapshot,
    ThreadQuery, Wake, Window,
};
use party_core::{Author, BatchId, ItemId, Offset, RecordClass, SessionId, Timestamp};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::value::RawValue;
use std::time::Duration;

pub(super) const SESSIONS: u8 = 2;
pub(super) const ITEMS: u8 = 6;
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
    /// A window of one of the threads that are there.
    Window {
        session: u8,
        of: u64,
        side: u8,
        at: u64,
        limit: u32,
        layer: Layer,
    },
    /// Threads, by what one of them is.
    Threads {
        session: u8,
        of: u64,
        by: u8,
        skip: u64,
        limit: u32,
    },
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
    records: Vec<Draft>,
    buffered: bool,
    partial: bool,
    snapshot: bool,
    wake: Option<Wake>,
    label: bool,
}

pub(super) fn session(number: u8) -> SessionId {
    SessionId::derive(&[b"model", &[number]])
}

pub(super) fn item_id(number: u8) -> ItemId {
    ItemId::derive(&[b"model", &[number]])
}

impl Reference {
    pub(super) fn act(&self, step: &Step) -> Option<Act> {
        match &step.what {
            What::Reopen => None,
            What::Ask(act) => Some(act.clone()),
            What::Write(write) => Some(Act::Append(self.batch(write))),
            What::Window { session: number, of, side, at, limit, layer } => {
                let info = Threads(self.threads(*number)).any(*of);
                let at = at % (info.head + 3);
                let mut window = Window::last(session(*number), info.thread, *limit);
                window.side = match side {
                    0 => Side::Last,
                    1 => Side::Before(at),
                    _ => Side::After(at),
                };
                window.layer = *layer;
                Some(Act::Window(window))
            }
            What::Threads { session: number, of, by, skip, limit } => {
                let info = Threads(self.threads(*number)).any(*of);
                let mut query = ThreadQuery::all(session(*number));
                (query.skip, query.limit) = (*skip, *limit);
                match by {
                    0 => query.parent = Some(info.thread),
                    1 => query.kind = Some(info.kind),
                    2 => query.thread = Some(info.thread),
                    _ => {}
                }
                Some(Act::Threads(query))
            }
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
        let author = Author::human("ann");
        let mut threads = Threads(self.threads(write.session));
        let at = Timestamp::from_micros(i64::from(write.session) * 1_000 + i64::from(write.batch));
        let records = write.records.iter().map(|draft| draft.record(&mut threads, at)).collect();
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
        let held = model.held.get(usize::from(number)).is_some_and(|held| *held);
        let head = model.head(session(number));
        prop_oneof![
            if held { 14 } else { 1 } => write(number, head > Offset::START).prop_map(What::Write),
            1 => (0..3_usize).prop_map(What::Again),
            if held { 1 } else { 14 } => (0..3_usize).prop_map(move |owner| What::Acquire(number, owner)),
            1 => keep(number),
            1 => Just(What::Reopen),
            4 => look(number),
            1 => care(number, head, model.can).prop_map(What::Ask),
        ]
    });
    (0..2_usize, what).prop_map(|(handle, what)| Step { handle, what }).boxed()
}

/// Mostly 0.
fn rarely(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![19 => Just(0), 1 => 1..=most]
}

fn seldom() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.03)
}

fn keep(session: u8) -> impl Strategy<Value = What> {
    let term = prop_oneof![Just(None), Just(Some(Duration::ZERO)), Just(Some(Duration::from_secs(600)))];
    (rarely(1), term).prop_map(move |(behind, term)| What::Keep { session, behind, term })
}

fn write(session: u8, is_there: bool) -> BoxedStrategy<Write> {
    let wake = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Wake::Now)),
        1 => Just(Some(Wake::Idle)),
        1 => prop_oneof![1..9_i64, Just(i64::MAX / 2)]
            .prop_map(|at| Some(Wake::At(Timestamp::from_micros(at)))),
    ];
    let inputs = if is_there { 0.15 } else { 0.02 };
    let stale = (rarely(2), rarely(1));
    let driver = (prop::bool::weighted(inputs), stale).prop_map(|(input, stale)| (!input).then_some(stale));
    let flags = (any::<bool>(), seldom(), any::<bool>(), any::<bool>());
    (any::<u8>(), driver, flags, wake)
        .prop_flat_map(move |(batch, driver, (buffered, partial, snapshot, label), wake)| {
            vec(draft(driver.is_some()), 1..4).prop_map(move |records| Write {
                session,
                batch,
                driver,
                records,
                buffered,
                partial,
                snapshot,
                wake,
                label,
            })
        })
        .boxed()
}

fn draft(driven: bool) -> BoxedStrategy<Draft> {
    let class = match driven {
        true => prop_oneof![
            6 => Just(RecordClass::Decision),
            2 => Just(RecordClass::Report),
            1 => Just(RecordClass::Trace),
            1 => Just(RecordClass::Input),
        ]
        .boxed(),
        false => {
            let other = select(vec![RecordClass::Report, RecordClass::Decision, RecordClass::Trace]);
            prop_oneof![19 => Just(RecordClass::Input), 1 => other].boxed()
        }
    };
    let variant = prop_oneof![29 => Just(0_u8), 1 => Just(1)];
    (class, vec(wish(), 0..4), vec((0..ITEMS, variant), 0..2), seldom(), 0..3_u16)
        .prop_map(|(class, wishes, items, odd, v)| Draft { class, wishes, items, odd, v })
        .boxed()
}

fn wish() -> BoxedStrategy<Wish> {
    let change = prop_oneof![
        2 => Just(Kind::Open),
        10 => Just(Kind::Add),
        3 => Just(Kind::Branch),
        4 => Just(Kind::Compact),
        2 => Just(Kind::Tangent),
        1 => Just(Kind::Resolve),
        1 => Just(Kind::Abandon),
        1 => Just(Kind::Close),
    ];
    (change, any::<[u64; 3]>(), prop::bool::weighted(0.02))
        .prop_map(|(kind, dice, odd)| Wish { kind, dice, odd })
        .boxed()
}

/// Any question that changes nothing.
fn look(number: u8) -> BoxedStrategy<What> {
    let id = session(number);
    let layer = select(vec![Layer::Shown, Layer::Archive]);
    let window = (any::<u64>(), 0..3_u8, any::<u64>(), 0..9_u32, layer).prop_map(
        move |(of, side, at, limit, layer)| What::Window { session: number, of, side, at, limit, layer },
    );
    let read =
        (0..9_u64, 0..6_u32, any::<bool>(), any::<bool>()).prop_map(move |(after, limit, folded, narrow)| {
            let mut read = Read::new(id, Offset(after)).limit(limit);
            read.classes = if folded { Classes::FOLDED } else { Classes::ALL };
            read.max_bytes = if narrow { 300 } else { read.max_bytes };
            What::Ask(Act::Read(read))
        });
    let threads = (any::<u64>(), 0..4_u8, 0..3_u64, 0..4_u32)
        .prop_map(move |(of, by, skip, limit)| What::Threads { session: number, of, by, skip, limit });
    let sessions = (any::<bool>(), any::<bool>(), 0..2_u64).prop_map(move |(kind, parent, skip)| {
        let mut query = SessionQuery::newest();
        query.kind = kind.then(|| "model".to_owned());
        query.parent = parent.then_some(id);
        query.skip = skip;
        What::Ask(Act::Sessions(query))
    });
    prop_oneof![
        4 => window,
        2 => read,
        1 => threads,
        1 => sessions,
        1 => Just(What::Ask(Act::Sessions(SessionQuery::due(100)))),
        1 => vec((0..ITEMS).prop_map(item_id), 0..3).prop_map(|ids| What::Ask(Act::Items(ids))),
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
