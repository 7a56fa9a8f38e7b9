//! Whatever ops come in whatever order, the SQLite store shows the threads, windows and records that the
//! store in memory does, which folds them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{
    Batch, Bus, LeaseOp, MemoryBus, Owner, Read, SqliteBus, ThreadQuery, Window, conformance::note,
};
use party_core::{
    Author, BatchId, How, Item, ItemId, Layer, NewRecord, Offset, Op, RecordClass, SessionId, Side, ThreadId,
    ThreadKind, Timestamp,
};
use proptest::{collection::vec, prelude::*};
use std::time::Duration;

const THREADS: u8 = 6;
const ITEMS: u8 = 5;

fn thread(number: u8) -> ThreadId {
    ThreadId::derive(&[b"thread", &[number]])
}

fn item(number: u8) -> Item {
    let text = "x".repeat(if number == 0 { 40_000 } else { 20 });
    Item::message(ItemId::derive(&[b"item", &[number]]), Author::System, Timestamp::from_micros(7), text)
}

fn session() -> SessionId {
    SessionId::derive(&[b"session"])
}

fn op() -> impl Strategy<Value = Op> {
    let one = || (0..THREADS).prop_map(thread);
    let kind = || prop_oneof![Just(ThreadKind::Private), Just(ThreadKind::Other("own".into()))];
    let what = || (0..ITEMS).prop_map(|number| item(number).id);
    let how = prop_oneof![
        Just(How::Said),
        Just(How::Delivered { from: None }),
        (0..THREADS + 2).prop_map(|from| How::Delivered { from: Some(thread(from)) }),
        Just(serde_json::from_str(r#"{"type":"beamed","by":"Scotty"}"#).unwrap()),
    ];
    prop_oneof![
        2 => (one(), kind()).prop_map(|(thread, kind)| Op::Open { thread, kind }),
        8 => (vec(one(), 1..4), what(), how).prop_map(|(threads, item, how)| Op::Add { threads, item, how }),
        3 => (one(), kind(), one(), 0..12_u64)
            .prop_map(|(thread, kind, from, after)| Op::Branch { thread, kind, from, after }),
        5 => (one(), 0..10_u64, 0..8_u64, what())
            .prop_map(|(thread, first, more, item)| Op::Compact { thread, first, last: first + more, item }),
        2 => (one(), one(), 0..10_u64).prop_map(|(thread, parent, anchor)| Op::Tangent { thread, parent, anchor }),
        1 => (one(), vec(what(), 0..3)).prop_map(|(thread, items)| Op::Resolve { thread, items }),
        1 => one().prop_map(|thread| Op::Abandon { thread }),
        1 => one().prop_map(|thread| Op::Close { thread }),
    ]
}

/// Ops by record, by batch.
fn batches() -> impl Strategy<Value = Vec<Vec<Vec<Op>>>> {
    vec(vec(vec(op(), 0..4), 1..3), 1..40)
}

fn record(ops: Vec<Op>) -> NewRecord {
    ops.into_iter().fold(note(RecordClass::Decision, "changed"), NewRecord::with_op)
}

async fn lead(bus: &dyn Bus) -> u64 {
    let (session, owner) = (session(), Owner::this_process());
    let lease = bus.lease(LeaseOp::Acquire { session, owner, term: Duration::from_secs(60) }).await;
    let token = lease.unwrap().unwrap().fencing_token;
    let begin = (0..ITEMS).fold(record(Vec::new()), |record, number| record.with_item(item(number)));
    let feed = Op::Open { thread: thread(0), kind: ThreadKind::Feed };
    let add = Op::Add { threads: vec![thread(0)], item: item(1).id, how: How::Said };
    let begin = (0..6).fold(begin.with_op(feed), |record, _| record.with_op(add.clone()));
    let id = BatchId::derive(&[b"begin"]);
    bus.append(Batch::driver(session, id, Offset::START, token, vec![begin])).await.unwrap();
    token
}

/// All that a store shows of the session.
async fn shown(bus: &dyn Bus) -> String {
    let mut shown = Vec::new();
    let records = bus.read(Read::new(session(), Offset::START)).await.unwrap();
    shown.push(format!("{records:?}"));
    for query in [ThreadQuery::all(session()), ThreadQuery::children(session(), thread(0))] {
        shown.push(format!("{:?}", bus.threads(query).await.unwrap()));
    }
    for number in 0..THREADS {
        let id = thread(number);
        shown.push(format!("{:?}", bus.threads(ThreadQuery::one(session(), id)).await.unwrap()));
        let sides = [Side::Last]
            .into_iter()
            .chain((0..12).step_by(2).flat_map(|at| [Side::Before(at), Side::After(at)]));
        for (side, layer) in sides.flat_map(|side| [(side, Layer::Shown), (side, Layer::Archive)]) {
            for limit in [2, 50] {
                let mut window = Window::last(session(), id, limit);
                (window.side, window.layer) = (side, layer);
                let view = bus.window(window).await.map_err(|error| error.to_string());
                shown.push(format!("{number} {side:?} {layer:?} {limit}: {view:?}"));
            }
        }
    }
    shown.join("\n")
}

async fn compare(batches: Vec<Vec<Vec<Op>>>) -> Result<(), TestCaseError> {
    // In memory, where it can be: nothing here depends on a sync.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (memory, sqlite) = (MemoryBus::new(), SqliteBus::open(folder.path().join("store.db")).await.unwrap());
    let tokens = [lead(&memory).await, lead(&sqlite).await];
    let mut head = Offset(1);
    for (number, records) in (0_u64..).zip(batches) {
        let records: Vec<NewRecord> = records.into_iter().map(record).collect();
        let id = BatchId::derive(&[&number.to_be_bytes()]);
        let batch = |token| Batch::driver(session(), id, head, token, records.clone());
        let (ours, theirs) = (sqlite.append(batch(tokens[1])).await, memory.append(batch(tokens[0])).await);
        prop_assert_eq!(
            ours.as_ref().map_err(ToString::to_string),
            theirs.as_ref().map_err(ToString::to_string)
        );
        head = ours.map_or(head, |receipt| receipt.last);
    }
    prop_assert_eq!(shown(&sqlite).await, shown(&memory).await);
    sqlite.close().await.unwrap();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn windows_threads_and_records_of_sqlite_equal_the_fold_of_the_ops(batches in batches()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(batches))?;
    }
}
