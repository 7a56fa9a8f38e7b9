//! Cases about writing.

use super::{
    sample::{Sample, delivery, input, note, say},
    stage::{Played, Stage},
};
use crate::{Batch, Bus, BusExt as _, Classes, Error, ErrorKind, Read, Result};
use party_core::{Author, ItemId, NewRecord, Offset, Op, RecordClass, SessionId, ThreadId, ThreadKind};
use std::{fmt::Debug, sync::Arc};

pub(super) fn refused<T: Debug>(outcome: Result<T>, kind: ErrorKind) -> Error {
    let error = outcome.expect_err("a refusal");
    assert_eq!(error.kind(), kind, "{error}");
    error
}

async fn bodies(bus: &dyn Bus, session: SessionId) -> Vec<String> {
    let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.expect("it can be read");
    records.iter().map(|record| record.body.get().to_owned()).collect()
}

/// Of a batch whose last record is refused, nothing is left: no record, no item, no thread.
pub async fn a_batch_is_written_whole_or_not_at_all(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let threads = sample.open_threads(1).await;
    let (item, thread) =
        (say(&Author::System, "hi"), ThreadId::derive(&[b"never", sample.session.as_bytes()]));
    let mut impossible = note(RecordClass::Decision, "opened twice");
    impossible.ops =
        vec![Op::Open { thread, kind: ThreadKind::Feed }, Op::Open { thread, kind: ThreadKind::Feed }];
    let batch = sample.batch([delivery(&item, &threads), impossible]);
    refused(bus.append(batch).await, ErrorKind::Invalid);

    refused(bus.items(&[item.id]).await, ErrorKind::NotFound);
    refused(bus.window(crate::Window::last(sample.session, thread, 1)).await, ErrorKind::NotFound);
    assert_eq!(bus.head(sample.session).await.expect("a head"), sample.head);
    let window =
        bus.window(crate::Window::last(sample.session, threads[0], 1)).await.expect("the thread is there");
    assert_eq!(window.entries, []);
    Ok(())
}

/// Classes, authors and empty lists are checked before anything is written.
pub async fn a_batch_that_breaks_a_rule_is_refused_and_named(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let sample = Sample::opened(&bus).await;
    let mut input_with_op = note(RecordClass::Input, "topology");
    let thread = ThreadId::derive(&[sample.session.as_bytes()]);
    input_with_op.ops = vec![Op::Open { thread, kind: ThreadKind::Feed }];
    let foreign = note(RecordClass::Input, "foreign").with_item(say(&Author::human("bob"), "hi"));
    let replaced = |records: Vec<NewRecord>| {
        let mut batch = input(sample.session, "");
        batch.records = records;
        batch
    };
    for batch in [
        replaced(vec![]),
        replaced(vec![note(RecordClass::Decision, "by anybody")]),
        replaced(vec![input_with_op]),
        replaced(vec![foreign]),
        sample.batch([note(RecordClass::Input, "by nobody")]),
    ] {
        let id = batch.id.to_string();
        let error = refused(bus.append(batch).await, ErrorKind::Invalid);
        assert!(error.to_string().contains(&id), "{error}");
    }
    assert_eq!(bus.head(sample.session).await.expect("a head"), sample.head);
    Ok(())
}

/// After a dropped append the same batch tells whether it was written; it is there once.
pub async fn a_dropped_append_is_done_or_not_done(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let sample = Sample::opened(&bus).await;
    for polls in 0..8 {
        let batch = input(sample.session, &format!("dropped after {polls} polls"));
        let mut append = bus.append(batch.clone());
        for _ in 0..polls {
            if futures::poll!(&mut append).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(append);
        bus.append(batch).await.expect("a retry is safe");
    }
    assert_eq!(bodies(&*bus, sample.session).await.len(), 9);
    Ok(())
}

/// A retry writes nothing, even when the log and the lease have moved on.
pub async fn a_repeated_batch_returns_the_first_receipt(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let batch = sample.batch([note(RecordClass::Report, "a"), note(RecordClass::Decision, "b")]);
    let first = bus.append(batch.clone()).await.expect("the first time");
    sample.head = first.last;
    sample.write([note(RecordClass::Report, "c")]).await.expect("the log moves on");
    let release = crate::LeaseOp::Release { session: sample.session, fencing_token: sample.token };
    bus.lease(release).await.expect("a release");

    let again = bus.append(batch).await.expect("the second time");
    assert!(again.repeated && !first.repeated);
    assert_eq!((again.first, again.last), (first.first, first.last));
    assert_eq!(bodies(&*bus, sample.session).await.len(), 4);
    Ok(())
}

/// The error names the batch.
pub async fn a_batch_id_with_other_content_is_a_conflict(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let sample = Sample::opened(&bus).await;
    let batch = input(sample.session, "one");
    bus.append(batch.clone()).await.expect("the first time");
    let mut other = input(sample.session, "another");
    other.id = batch.id;
    let error = refused(bus.append(other).await, ErrorKind::BatchConflict);
    assert!(error.to_string().contains(&batch.id.to_string()), "{error}");
    Ok(())
}

/// A driver that has not seen the last input must look again.
pub async fn a_stale_head_is_a_conflict(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    bus.append(input(sample.session, "in between")).await.expect("an input");
    refused(sample.write([note(RecordClass::Decision, "blind")]).await, ErrorKind::Conflict);
    sample.head = bus.head(sample.session).await.expect("a head");
    sample.write([note(RecordClass::Decision, "informed")]).await.expect("the head fits now");
    Ok(())
}

/// Inputs need no lease and no head.
pub async fn an_input_goes_behind_whatever_is_there(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let sample = Sample::opened(&bus).await;
    for offset in 2..5 {
        let receipt = bus.append(input(sample.session, "hi")).await.expect("an input");
        assert_eq!((receipt.first, receipt.last), (Offset(offset), Offset(offset)));
    }
    Ok(())
}

/// A leased session without records counts as none.
pub async fn an_input_to_no_session_is_not_found(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let nowhere = SessionId::derive(&[b"nowhere"]);
    let error = refused(bus.append(input(nowhere, "hello?")).await, ErrorKind::NotFound);
    assert!(error.to_string().contains(&nowhere.to_string()), "{error}");
    let leased = Sample::new(&bus).await;
    refused(bus.append(input(leased.session, "hello?")).await, ErrorKind::NotFound);
    Ok(())
}

/// Only inputs have an author, also those that a driver's batch carries.
pub async fn an_input_is_stamped_with_its_author(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::new(&bus).await;
    let records = [note(RecordClass::Decision, "opened"), note(RecordClass::Input, "said")];
    let batch = sample.batch(records).by(Author::human("ann"));
    sample.head = bus.append(batch).await.expect("a first batch").last;
    let records = bus.read(Read::new(sample.session, Offset::START)).await.expect("a page").entries;
    let authors: Vec<_> = records.iter().map(|record| record.author.clone()).collect();
    assert_eq!(authors, [None, Some(Author::human("ann"))]);
    Ok(())
}

/// The same item again is no new item; another one under its id is refused by name.
pub async fn a037_an_item_never_changes_and_is_stored_once(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let item = say(&Author::agent("Mary"), "ship it");
    for _ in 0..2 {
        sample
            .write([note(RecordClass::Report, "said").with_item(Arc::clone(&item))])
            .await
            .expect("the same");
    }
    let mut changed = (*item).clone();
    changed.content = say(&Author::System, "do not").content.clone();
    let error = sample.write([note(RecordClass::Report, "said").with_item(changed)]).await;
    let error = refused(error, ErrorKind::ItemConflict);
    assert!(error.to_string().contains(&item.id.to_string()), "{error}");
    assert_eq!(bus.items(&[item.id]).await.expect("it is there"), [item]);
    Ok(())
}

/// Many writers of batches: each batch stays together, and there are no holes.
pub async fn offsets_are_dense_under_many_writers(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let session = Sample::opened(&bus).await.session;
    let writers = (0..32).map(|writer| {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move {
            for batch in 0..4 {
                let text = format!("{writer}/{batch}");
                let mut batch = input(session, &text);
                batch.records.push(note(RecordClass::Input, &text));
                let receipt = bus.append(batch).await.expect("an input");
                assert_eq!(receipt.last, receipt.first.plus(1));
            }
        })
    });
    futures::future::try_join_all(writers).await.expect("no writer fails");
    let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.expect("all records");
    let offsets: Vec<u64> = records.iter().map(|record| record.offset.0).collect();
    assert_eq!(offsets, (1..=257).collect::<Vec<_>>());
    for pair in records[1..].chunks(2) {
        assert_eq!(pair[0].body.get(), pair[1].body.get());
    }
    Ok(())
}

/// Unknown items, unknown threads, threads of other sessions, and threads that are there.
pub async fn topology_that_does_not_fit_is_refused(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut elsewhere = Sample::opened(&bus).await;
    let foreign = elsewhere.open_threads(1).await;
    let mut sample = Sample::opened(&bus).await;
    let own = sample.open_threads(1).await;
    let item = say(&Author::System, "hi");
    let with = |op: Op| note(RecordClass::Decision, "topology").with_op(op);
    let how = party_core::How::Said;
    let unknown = ItemId::derive(&[b"unknown", sample.session.as_bytes()]);
    for record in [
        with(Op::Open { thread: own[0], kind: ThreadKind::Feed }),
        with(Op::Add { threads: own.clone(), item: unknown, how }),
        delivery(&item, &foreign),
        delivery(&item, &[own[0], ThreadId::derive(&[b"unknown", sample.session.as_bytes()])]),
        delivery(&item, &[]),
    ] {
        let batch: Batch = sample.batch([record]);
        refused(bus.append(batch).await, ErrorKind::Invalid);
    }
    sample.write([delivery(&item, &own)]).await.expect("what fits is written");
    Ok(())
}
