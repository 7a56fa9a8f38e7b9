//! Cases about who may write what, and about what newer writers say.

use super::{
    sample::{Sample, delivery, fresh, input, note, say},
    stage::{Played, Stage},
    talk::new_thread,
    writing::refused,
};
use crate::{Batch, Bus, BusExt as _, ErrorKind, Label, LeaseOp, Owner, Read, Snapshot, Wake};
use party_core::{Author, BatchId, How, Item, Offset, Op, Record, RecordClass, SessionId, ThreadKind};
use serde_json::json;
use std::{sync::Arc, time::Duration};

const CLASSES: [RecordClass; 4] =
    [RecordClass::Input, RecordClass::Report, RecordClass::Decision, RecordClass::Trace];

/// What could be written and never be read again, by nobody, is refused while its writer is there.
pub async fn an_item_that_could_not_be_read_back_is_refused(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    for (name, value) in [("depth", deep), ("author", json!({ "type": "system" }))] {
        let mut item = (*say(&Author::System, "odd")).clone();
        item.extra.insert(name.into(), value);
        let error = sample.write([note(RecordClass::Report, "said").with_item(item.clone())]).await;
        let error = refused(error, ErrorKind::Invalid);
        assert!(error.to_string().contains(&item.id.to_string()), "{error}");
    }
    let mut newer = (*say(&Author::System, "newer")).clone();
    newer.extra.insert("mood".into(), json!({ "calm": 0.1 }));
    sample.write([note(RecordClass::Report, "said").with_item(newer.clone())]).await.expect("it can be read");
    assert_eq!(*bus.items(&[newer.id]).await.expect("it is there")[0], newer);
    Ok(())
}

/// Inputs are anybody's who is a person; all else is the driver's. Every class, by every way to write.
pub async fn each_class_has_its_writers(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let authors = [None, Some(Author::human("ann")), Some(Author::agent("Mary")), Some(Author::System)];
    for class in CLASSES {
        for author in authors.clone() {
            let is_person = matches!(author, Some(Author::Human { .. }));
            let mut posted = input(sample.session, "posted");
            posted.author.clone_from(&author);
            posted.records = vec![note(class, "posted")];
            let may_post = class == RecordClass::Input && is_person;
            let mut driven = sample.batch([note(class, "driven")]);
            driven.author.clone_from(&author);
            let may_drive = class != RecordClass::Input || is_person;
            for (mut batch, may) in [(posted, may_post), (driven, may_drive)] {
                if let crate::Expect::Driver { head, .. } = &mut batch.expect {
                    *head = sample.head;
                }
                let expect = batch.expect.clone();
                match bus.append(batch).await {
                    Ok(receipt) if may => sample.head = receipt.last,
                    Err(error) if !may => assert_eq!(error.kind(), ErrorKind::Invalid, "{error}"),
                    other => panic!("a {class} of {author:?} by {expect:?}: {other:?}"),
                }
            }
        }
    }
    sample.stands().await;
    Ok(())
}

/// Without a lease, with one that another has, and with one that nobody gave.
pub async fn only_the_holder_of_the_lease_drives(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let sample = Sample::opened(&bus).await;
    for class in CLASSES {
        for token in [0, sample.token + 1, u64::MAX] {
            let mut batch = sample.batch([note(class, "not mine")]).by(Author::human("ann"));
            batch.expect = crate::Expect::Driver { head: sample.head, fencing_token: token };
            refused(bus.append(batch).await, ErrorKind::Fenced);
        }
    }
    let nobodys = Sample { session: SessionId::derive(&[b"nobody's", &fresh()]), ..Sample::new(&bus).await };
    let batch = nobodys.batch([note(RecordClass::Decision, "opened")]);
    refused(bus.append(batch).await, ErrorKind::Fenced);
    assert_eq!(bus.head(sample.session).await.expect("a head"), sample.head);
    Ok(())
}

/// What an input may not bring: topology, snapshots, names, marks of a copy, a wake of its own choice.
pub async fn an_input_changes_nothing_but_the_log(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a"]).await;
    let text = input(sample.session, "plain");
    let ops = |record: party_core::NewRecord| Batch { records: vec![record], ..text.clone() };
    let label = Label { kind: "ledger".into(), key: "today".into(), parent: None };
    let snapshot = Snapshot { engine: "v1".into(), offset: Offset(1), state: vec![] };
    let op = Op::Close { thread: feed };
    for batch in [
        ops(note(RecordClass::Input, "op").with_op(op.clone())),
        ops(note(RecordClass::Input, "item").with_item(say(&Author::agent("Mary"), "hi"))),
        text.clone().with_snapshot(Some(snapshot)),
        text.clone().labelled(label.clone()),
        text.clone().partial(),
        text.clone().waking(Wake::Idle),
        Batch { wake: None, ..text.clone() },
        sample.batch([note(RecordClass::Input, "op").with_op(op)]).by(Author::human("ann")),
        sample.batch([note(RecordClass::Decision, "named")]).labelled(label),
    ] {
        refused(bus.append(batch).await, ErrorKind::Invalid);
    }
    assert_eq!(bus.head(sample.session).await.expect("a head"), sample.head);
    bus.append(text).await.expect("without any of it");
    Ok(())
}

/// Names have a length, batches a size. What is at the limit is written.
pub async fn a_batch_beyond_a_limit_is_refused(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let named = |length: usize| {
        let mut record = note(RecordClass::Decision, "named");
        record.kind = "k".repeat(length);
        record
    };
    let open = |length: usize| Op::Open { thread: new_thread(), kind: ThreadKind::Other("k".repeat(length)) };
    refused(sample.write([named(0)]).await, ErrorKind::Invalid);
    refused(sample.write([named(257)]).await, ErrorKind::Invalid);
    refused(sample.decide([open(0)]).await, ErrorKind::Invalid);
    refused(sample.decide([open(257)]).await, ErrorKind::Invalid);
    refused(sample.write(vec![note(RecordClass::Trace, "x"); 65_537]).await, ErrorKind::Invalid);
    sample.write([named(256)]).await.expect("the longest name");
    sample.decide([open(256)]).await.expect("the longest name");
    let receipt = sample.write(vec![note(RecordClass::Trace, "x"); 3_000]).await.expect("a long batch");
    assert_eq!(receipt.last, receipt.first.plus(2_999));
    let first = Sample::new(&bus).await;
    for (kind, key) in [("", "key"), ("kind", ""), (&*"k".repeat(257), "key"), ("kind", &*"k".repeat(257))] {
        let label = Label { kind: kind.into(), key: key.into(), parent: None };
        let batch = first.batch([note(RecordClass::Decision, "opened")]).labelled(label);
        refused(bus.append(batch).await, ErrorKind::Invalid);
    }
    Ok(())
}

/// A store writes no change of topology that it cannot carry out.
pub async fn a_change_of_topology_of_a_newer_version_is_refused(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a"]).await;
    let newer: Op = serde_json::from_value(json!({"op": "weave", "thread": feed})).expect("an op");
    let item = say(&Author::System, "with it");
    let mut record = delivery(&item, &[feed]);
    record.ops.push(newer);
    let error = refused(sample.write([record]).await, ErrorKind::Invalid);
    assert!(error.to_string().contains("weave"), "{error}");
    assert_eq!(sample.shown(feed).await, "1:a");
    refused(bus.items(&[item.id]).await, ErrorKind::NotFound);
    Ok(())
}

/// Version, kinds, blocks, fields and ways that this version does not know come back as they were written.
pub async fn what_a_newer_writer_says_is_kept_as_it_came(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let thread = new_thread();
    let mut item = serde_json::to_value(&*say(&Author::System, "hi")).expect("an item is JSON");
    item["kind"] = json!("hologram");
    item["shine"] = json!({"z": 1, "a": [2]});
    item["author"] = json!({"type": "oracle", "name": "Pythia"});
    item["content"] = json!([{"type": "scent", "of": "laurel"}, {"type": "text", "text": "hi", "font": 3}]);
    let item: Item = serde_json::from_value(item).expect("an item of a newer writer");
    let how: How = serde_json::from_value(json!({"type": "dreamt", "night": 3})).expect("a way");
    let mut record = note(RecordClass::Decision, "newer")
        .with_op(Op::Open { thread, kind: ThreadKind::Other("temple".into()) })
        .with_op(Op::Add { threads: vec![thread], item: item.id, how: how.clone() })
        .with_item(item.clone());
    (record.v, record.kind) = (7, "prophesied".into());
    let receipt = sample.write([record.clone()]).await.expect("it is kept");
    let read =
        bus.read(Read::new(sample.session, Offset(receipt.first.0 - 1))).await.expect("a page").entries;
    let expected: Record = record.placed(sample.session, receipt.first, None);
    assert_eq!(*read[0], expected);
    let window = bus.window(crate::Window::last(sample.session, thread, 1)).await.expect("a window").entries;
    assert_eq!((&window[0].how, &*window[0].item), (&how, &item));
    Ok(())
}

/// Whatever else is wrong with a batch that was written, it is the same batch.
pub async fn a_retry_needs_no_lease_and_no_head(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let batch = sample.batch([note(RecordClass::Report, "once")]);
    let first = bus.append(batch.clone()).await.expect("the first time");
    let (session, fencing_token) = (sample.session, sample.token);
    bus.lease(LeaseOp::Release { session, fencing_token }).await.expect("a release");
    let (owner, term) = (Owner::this_process(), Duration::from_secs(60));
    let next = bus.lease(LeaseOp::Acquire { session, owner, term }).await.expect("an answer");
    (sample.token, sample.head) = (next.expect("it is free").fencing_token, first.last);
    sample.write([note(RecordClass::Report, "by the next")]).await.expect("the log moves on");
    let mut again = batch.clone().waking(Wake::Now);
    again.expect = crate::Expect::Driver { head: Offset(99), fencing_token: 0 };
    let again = bus.append(again).await.expect("it was written");
    assert_eq!((again.first, again.last, again.repeated), (first.first, first.last, true));

    // The same id in another session is another batch.
    let other = Sample::opened(&bus).await;
    let mut elsewhere = other.batch([note(RecordClass::Report, "elsewhere")]);
    elsewhere.id = batch.id;
    assert!(!bus.append(elsewhere).await.expect("another batch").repeated);
    // And every part of the content counts.
    let one: BatchId = batch.id;
    for other in [
        sample.batch([note(RecordClass::Decision, "once")]),
        sample.batch([note(RecordClass::Report, "twice")]),
        sample.batch([note(RecordClass::Report, "once").with_item(say(&Author::System, "more"))]),
        sample.batch([note(RecordClass::Report, "once").with_op(Op::Close { thread: new_thread() })]),
        sample.batch([note(RecordClass::Report, "once"), note(RecordClass::Report, "once")]),
    ] {
        refused(bus.append(Batch { id: one, ..other }).await, ErrorKind::BatchConflict);
    }
    Ok(())
}
