//! Following, and looking around: comforts over every bus.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use futures::{FutureExt as _, StreamExt as _};
use party_bus::{
    Bus, BusAdminExt as _, BusExt as _, Classes, ErrorKind, LeaseOp, MemoryBus, Owner, Read, SqliteBus,
    Window,
    conformance::{Sample, input, note},
};
use party_core::{Author, How, Item, ItemId, Offset, Op, RecordClass, ThreadId, ThreadKind, Timestamp};
use std::{sync::Arc, time::Duration};

fn memory() -> Arc<dyn Bus> {
    Arc::new(MemoryBus::new())
}

#[tokio::test]
async fn a_subscriber_sees_what_comes_and_not_what_was_there() {
    let bus = memory();
    let session = Sample::opened(&bus).await.session;
    let mut subscriber = Arc::clone(&bus).subscribe(session).await.unwrap();
    assert!(subscriber.next().now_or_never().is_none());
    bus.append(input(session, "now")).await.unwrap();
    assert_eq!(subscriber.next().await.unwrap().offset, Offset(2));
}

#[tokio::test]
async fn a_place_of_another_epoch_ends_a_follower() {
    let bus = memory();
    let session = Sample::opened(&bus).await.session;
    let epoch = bus.info().epoch;
    let mut same = Arc::clone(&bus).follow(session, Offset::START).in_epoch(epoch);
    assert!(same.next().await.is_ok());
    let mut other = Arc::clone(&bus).follow(session, Offset::START).in_epoch(epoch + 1);
    assert_eq!(futures::StreamExt::next(&mut other).await.unwrap().unwrap_err().kind(), ErrorKind::Rewound);
    assert!(futures::StreamExt::next(&mut other).await.is_none());
}

#[tokio::test]
async fn a_thousand_followers_each_see_every_record_once_in_order() {
    let bus = memory();
    let session = Sample::opened(&bus).await.session;
    let follow = |bus: &Arc<dyn Bus>| Arc::clone(bus).follow(session, Offset::START);
    let followers: Vec<_> = (0..1_000).map(|_| follow(&bus)).collect();
    let tasks = followers.into_iter().map(|mut follow| {
        tokio::spawn(async move {
            for offset in 1..=200 {
                assert_eq!(follow.next().await.unwrap().offset, Offset(offset));
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for number in 2..=200 {
        bus.append(input(session, &number.to_string())).await.unwrap();
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_in_memory_never_hides_what_another_process_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let here: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let there: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let session = Sample::opened(&here).await.session;
    let mut follower = Arc::clone(&here).follow(session, Offset(1));
    for round in 1..=30 {
        assert!(follower.next().now_or_never().is_none());
        here.append(input(session, "here")).await.unwrap();
        let other = if round % 3 == 0 { &here } else { &there };
        other.append(input(session, "there")).await.unwrap();
        // One has come to memory, and maybe the other has not: who reads now finds both.
        let records = here.read_to_end(session, Offset(2 * round - 1), Classes::ALL).await.unwrap();
        let offsets: Vec<u64> = records.iter().map(|record| record.offset.0).collect();
        assert_eq!(offsets, [2 * round, 2 * round + 1]);
        for record in records {
            assert_eq!(follower.next().await.unwrap(), &record);
        }
    }
}

#[tokio::test]
async fn what_is_erased_is_not_in_memory_any_more_here_and_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let here = Arc::new(SqliteBus::open(&path).await.unwrap());
    let there = Arc::new(SqliteBus::open(&path).await.unwrap());
    let plain: Arc<dyn Bus> = Arc::clone(&here) as _;
    let mut sample = Sample::opened(&plain).await;
    let mut followers =
        [Arc::clone(&here), Arc::clone(&there)].map(|bus| bus.follow(sample.session, Offset(1)));
    for (number, eraser) in [&here, &there].into_iter().enumerate() {
        for follower in &mut followers {
            assert!(follower.next().now_or_never().is_none());
        }
        let id = ItemId::derive(&[sample.session.as_bytes(), &number.to_be_bytes()]);
        let item = Item::message(id, Author::agent("Mary"), Timestamp::from_micros(1), "secret");
        sample.write([note(RecordClass::Report, "said").with_item(item)]).await.unwrap();
        for follower in &mut followers {
            follower.next().await.unwrap();
        }
        eraser.erase_item(sample.session, id).await.unwrap();
        let last = Read::new(sample.session, Offset(sample.head.0 - 1));
        let text = async |bus: &SqliteBus| bus.read(last.clone()).await.unwrap().entries[0].items[0].text();
        assert_eq!(text(eraser).await, "");
        // The other process hears of it.
        let soon = tokio::time::Instant::now() + Duration::from_secs(30);
        while !text(&here).await.is_empty() || !text(&there).await.is_empty() {
            assert!(tokio::time::Instant::now() < soon, "it is still shown");
            tokio::task::yield_now().await;
        }
    }
}

/// A thread of nine entries, a branch after six with two more, a branch of that after seven, and a thread
/// that shares nothing.
async fn family(bus: &Arc<dyn Bus>) -> (Sample, [ThreadId; 4]) {
    let mut sample = Sample::opened(bus).await;
    let threads = [b"a", b"b", b"c", b"d"].map(|name| ThreadId::derive(&[name]));
    let [a, b, c, d] = threads;
    let kind = ThreadKind::Private;
    let change = |op| note(RecordClass::Decision, "changed").with_op(op);
    sample.write([change(Op::Open { thread: a, kind: kind.clone() })]).await.unwrap();
    say(&mut sample, a, 9).await;
    sample.write([change(Op::Branch { thread: b, kind: kind.clone(), from: a, after: 6 })]).await.unwrap();
    say(&mut sample, b, 2).await;
    sample.write([change(Op::Branch { thread: c, kind: kind.clone(), from: b, after: 7 })]).await.unwrap();
    sample.write([change(Op::Open { thread: d, kind })]).await.unwrap();
    (sample, threads)
}

async fn say(sample: &mut Sample, thread: ThreadId, count: u64) {
    for number in 0..count {
        let id = ItemId::derive(&[thread.as_bytes(), &number.to_be_bytes()]);
        let item = Item::message(id, Author::agent("Mary"), Timestamp::from_micros(1), number.to_string());
        let add = Op::Add { threads: vec![thread], item: id, how: How::Said };
        sample.write([note(RecordClass::Decision, "said").with_item(item).with_op(add)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_thread_comes_page_by_page_from_any_side_in_both_layers() {
    let bus = memory();
    let (mut sample, [a, ..]) = family(&bus).await;
    let session = sample.session;
    let pages = async |window: Window| -> Vec<Vec<u64>> {
        let pages = Arc::clone(&bus).windows(window).map(|page| page.unwrap());
        pages.map(|page| page.iter().map(|entry| entry.position).collect()).collect().await
    };
    assert_eq!(pages(Window::last(session, a, 4)).await, [vec![6, 7, 8, 9], vec![2, 3, 4, 5], vec![1]]);
    assert_eq!(pages(Window::before(session, a, 4, 2)).await, [vec![2, 3], vec![1]]);
    assert_eq!(pages(Window::after(session, a, 0, 3)).await, [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9]]);
    assert!(pages(Window::last(session, a, 0)).await.is_empty());
    let summary = Item::summary(ItemId::derive(&[b"s"]), Author::System, Timestamp::from_micros(1), "Short.");
    let compact = Op::Compact { thread: a, first: 2, last: 7, item: summary.id };
    let compacted = note(RecordClass::Decision, "compacted").with_item(summary).with_op(compact);
    sample.write([compacted]).await.unwrap();
    assert_eq!(pages(Window::last(session, a, 3)).await, [vec![7, 8, 9], vec![1]]);
    assert_eq!(pages(Window::after(session, a, 0, 4).archive()).await.concat(), (1..=9).collect::<Vec<_>>());
    let nowhere = Window::last(session, ThreadId::derive(&[b"nowhere"]), 3);
    let mut nowhere = Arc::clone(&bus).windows(nowhere);
    assert_eq!(nowhere.next().await.unwrap().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(nowhere.next().await.is_none());
}

#[tokio::test]
async fn threads_are_seen_as_a_tree_with_common_ancestors() {
    let bus = memory();
    let (sample, [a, b, c, d]) = family(&bus).await;
    let session = sample.session;
    let tree = bus.tree(session).await.unwrap();
    let ids = |infos: Vec<&party_bus::ThreadInfo>| infos.iter().map(|info| info.thread).collect::<Vec<_>>();
    assert_eq!(ids(tree.threads().iter().collect()), [a, b, c, d]);
    assert_eq!(ids(tree.roots().collect()), [a, d]);
    assert_eq!((ids(tree.children(a).collect()), ids(tree.children(b).collect())), (vec![b], vec![c]));
    assert_eq!((tree.get(b).unwrap().head, tree.children(d).count()), (8, 0));
    let common = async |one, other| bus.common_ancestor(session, one, other).await.unwrap();
    assert_eq!(common(a, c).await, Some((a, 6)));
    assert_eq!(common(b, c).await, Some((b, 7)));
    assert_eq!(common(c, b).await, Some((b, 7)));
    assert_eq!(common(a, a).await, Some((a, 9)));
    assert_eq!(common(a, d).await, None);
    let nowhere = ThreadId::derive(&[b"nowhere"]);
    let error = bus.common_ancestor(session, a, nowhere).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn due_sessions_are_claimed_once_however_many_ask() {
    let bus = memory();
    let mut due = Vec::new();
    for _ in 0..20 {
        let sample = Sample::opened(&bus).await;
        let (session, fencing_token) = (sample.session, sample.token);
        bus.append(input(session, "wake up")).await.unwrap();
        bus.lease(LeaseOp::Release { session, fencing_token }).await.unwrap();
        due.push(session);
    }
    let _idle = Sample::opened(&bus).await;
    let owners: Vec<Owner> = (0..4).map(|_| Owner::this_process()).collect();
    let term = Duration::from_secs(60);
    let claims = futures::future::join_all(owners.iter().map(|owner| bus.claim_due(owner, term, 8))).await;
    let mut claimed: Vec<_> = claims.into_iter().flat_map(Result::unwrap).collect();
    assert!(claimed.iter().all(|(info, lease)| info.session == lease.session));
    while let more @ [_, ..] = &bus.claim_due(&owners[0], term, 8).await.unwrap()[..] {
        claimed.extend(more.iter().cloned());
    }
    let mut claimed: Vec<_> = claimed.into_iter().map(|(info, _)| info.session).collect();
    claimed.sort_unstable();
    due.sort_unstable();
    assert_eq!(claimed, due);
}
