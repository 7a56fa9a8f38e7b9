//! Cases about reading.

use super::{
    sample::{Sample, input, note},
    stage::{Played, Stage},
};
use crate::{
    Bus, BusExt as _, Classes, Durability, ErrorKind, LeaseOp, Page, Read, Scope, SessionQuery, Snapshot,
    ThreadQuery, Watch, Window,
};
use futures::FutureExt as _;
use party_core::{Author, Offset, RecordClass, ThreadId, Timestamp};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Spaces, order of fields and big numbers of a body survive.
pub async fn a087_what_is_written_comes_back_byte_for_byte(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let body = "{\"z\": 1e400,  \"a\":\"\\u00e9 é \\u0000\", \"n\":123456789012345678901234567890}";
    let mut record = note(RecordClass::Report, "");
    record.body = RawValue::from_string(body.into()).expect("JSON");
    sample.write([record]).await.expect("any JSON is a body");
    let page = bus.read(Read::new(sample.session, Offset(1))).await.expect("a page");
    assert_eq!(page.entries[0].body.get(), body);

    let thread = sample.thread([""; 0]).await;
    for text in
        ["\u{2028}\u{0}\u{7f}\r\n\t \u{feff}", "'; drop table items; --", "</from> é e\u{301} 👩‍🚀 ", ""]
    {
        let item = sample.say(&[thread], text).await;
        let entries = bus.window(Window::last(sample.session, thread, 1)).await.expect("a window").entries;
        assert_eq!((&entries[0].item, entries[0].item.text().as_str()), (&item, text));
    }
    Ok(())
}

/// Where it was said, by whom and when; whoever reads the session sees it.
pub async fn a083_whatever_is_said_is_a_record_with_session_author_and_time(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let session = sample.session;
    let people = [Author::human("ann"), Author::human("bob")];
    for (second, author) in (5..).zip(&people) {
        let mut batch = input(session, "hello");
        batch.author = Some(author.clone());
        batch.records[0].at = Timestamp::from_micros(second);
        sample.head = bus.append(batch).await.expect("an input").last;
    }
    let mut event = note(RecordClass::Decision, "escalated");
    event.at = Timestamp::from_micros(7);
    sample.write([event]).await.expect("a decision");
    let mut follow = Arc::clone(&bus).follow(session, Offset(1));
    for (offset, author) in (2..).zip(people.map(Some).into_iter().chain([None])) {
        let record = follow.next().await.expect("a record");
        assert_eq!((record.session, record.offset, &record.author), (session, Offset(offset), &author));
        assert_eq!(record.at, Timestamp::from_micros(3 + i64::try_from(offset).unwrap_or_default()));
    }
    Ok(())
}

/// By number, by bytes, by class; `scanned_to` leads on, and a filter leaves no reader behind.
pub async fn a_page_ends_at_its_limits_and_says_where(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let classes = [RecordClass::Report, RecordClass::Trace, RecordClass::Report, RecordClass::Trace];
    sample.write(classes.map(|class| note(class, "0123456789"))).await.expect("records");
    let shape = |page: Page<Arc<party_core::Record>>| {
        let offsets: Vec<u64> = page.entries.iter().map(|record| record.offset.0).collect();
        (offsets, page.scanned_to, page.more)
    };
    let all = Read::new(sample.session, Offset(1));
    let read = async |read: Read| shape(bus.read(read).await.expect("a page"));
    assert_eq!(read(all.clone()).await, (vec![2, 3, 4, 5], 5, false));
    assert_eq!(read(all.clone().limit(2)).await, (vec![2, 3], 3, true));
    assert_eq!(read(all.clone().limit(0)).await, (vec![], 1, true));
    assert_eq!(read(all.clone().classes(Classes::FOLDED)).await, (vec![2, 4], 5, false));
    assert_eq!(read(all.clone().classes(Classes::FOLDED).limit(1)).await, (vec![2], 2, true));
    let mut narrow = all.clone();
    narrow.max_bytes = 1;
    assert_eq!(read(narrow.clone()).await, (vec![2], 2, true));
    narrow.max_bytes = 30;
    assert_eq!(read(narrow).await, (vec![2, 3], 3, true));
    assert_eq!(read(Read::new(sample.session, Offset(5))).await, (vec![], 5, false));
    Ok(())
}

/// Neither `read` nor `changed` lets such a reader wait for ever.
pub async fn a_reader_ahead_of_the_head_is_rewound(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let sample = Sample::opened(&bus).await;
    let ahead = Watch::Session { session: sample.session, after: Offset(7) };
    assert_eq!(bus.changed(ahead).await.expect("a hint").sessions, [(sample.session, Offset(1))]);
    let error = bus.read(Read::new(sample.session, Offset(7))).await.expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::Rewound);
    let nowhere = party_core::SessionId::derive(&[b"nowhere"]);
    assert_eq!(bus.read_to_end(nowhere, Offset::START, Classes::ALL).await.expect("no records"), []);
    Ok(())
}

/// What is there, then what comes, although waits are dropped again and again.
pub async fn a_follower_sees_each_record_once_in_order(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let session = Sample::opened(&bus).await.session;
    let writer = tokio::spawn({
        let bus = Arc::clone(&bus);
        async move {
            for number in 0..100 {
                bus.append(input(session, &number.to_string())).await.expect("an input");
            }
        }
    });
    let mut follow = Arc::clone(&bus).follow(session, Offset::START);
    for offset in 1..=101 {
        // The first wait is dropped unless it ends at once; no record may be lost with it.
        let record = match follow.next().now_or_never() {
            Some(record) => record,
            None => follow.next().await,
        };
        assert_eq!(record.expect("a record").offset, Offset(offset));
    }
    writer.await.expect("the writer ends");
    // One who comes later finds many at once.
    let mut late = Arc::clone(&bus).follow(session, Offset::START);
    for offset in 1..=101 {
        assert_eq!(late.next().await.expect("a record").offset, Offset(offset));
    }
    Ok(())
}

/// Those left out do not stop it.
pub async fn a_follower_of_some_classes_sees_only_those(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let mut follow = Arc::clone(&bus).follow(sample.session, Offset::START).classes(Classes::FOLDED);
    assert_eq!(follow.next().await.expect("a record").offset, Offset(1));
    for class in [RecordClass::Trace, RecordClass::Trace, RecordClass::Report] {
        sample.write([note(class, "live")]).await.expect("a record");
    }
    assert_eq!(follow.next().await.expect("a record").offset, Offset(4));
    Ok(())
}

/// A store need not have any of it at hand; what it has is the same.
pub async fn what_is_recent_is_what_a_read_finds(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let mut follow = Arc::clone(&bus).follow(sample.session, Offset(1));
    let classes = [RecordClass::Report, RecordClass::Trace, RecordClass::Report];
    for round in 1..=10_u64 {
        assert!(follow.next().now_or_never().is_none());
        sample.write(classes.map(|class| note(class, "0123456789"))).await.expect("records");
        let head = 1 + 3 * round;
        for (after, limit) in (0..=head).zip([1_000, 1, 2].into_iter().cycle()) {
            for classes in [Classes::ALL, Classes::FOLDED] {
                let read = Read::new(sample.session, Offset(after)).classes(classes).limit(limit);
                let Some(recent) = bus.recent(&read) else { continue };
                let found = bus.read(read).await.expect("a page").entries;
                assert!((after + 1..=head).contains(&recent.scanned_to), "after {after}: {recent:?}");
                let within = found.into_iter().filter(|record| record.offset.0 <= recent.scanned_to);
                assert_eq!(recent.entries, within.collect::<Vec<_>>(), "after {after}");
            }
        }
        for offset in head - 2..=head {
            assert_eq!(follow.next().await.expect("a record").offset, Offset(offset));
        }
    }
    let read = Read::new(sample.session, Offset(1));
    assert_eq!(bus.recent(&read.clone().in_epoch(bus.info().epoch + 1)), None);
    bus.close().await.expect("it closes");
    assert_eq!(bus.recent(&read), None);
    Ok(())
}

/// Before any synced batch follows it.
pub async fn a_buffered_batch_is_visible_at_once(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let sample = Sample::opened(&bus).await;
    let batch = sample.batch([note(RecordClass::Trace, "thinking")]).buffered();
    let receipt = bus.append(batch).await.expect("a buffered batch");
    assert_eq!((receipt.first, receipt.durability), (Offset(2), Durability::Buffered));
    let page = bus.read(Read::new(sample.session, Offset(1))).await.expect("a page");
    assert_eq!(page.entries.len(), 1);
    Ok(())
}

/// And it does not end before, as long as nothing else happens.
pub async fn a_wait_ends_when_the_session_grows(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let sample = Sample::opened(&bus).await;
    let watch = Watch::Session { session: sample.session, after: sample.head };
    let grown = async {
        loop {
            let changed = bus.changed(watch).await.expect("a hint");
            if let Some((_, head)) = changed.sessions.first().filter(|(_, head)| *head > sample.head) {
                return *head;
            }
        }
    };
    let append = bus.append(input(sample.session, "hi"));
    let (head, receipt) = futures::join!(grown, append);
    assert_eq!(head, receipt.expect("an input").last);
    Ok(())
}

/// Sessions that are only leased are not listed.
pub async fn sessions_are_listed_newest_first(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut newest_first = Vec::new();
    for age in [2, 0, 1] {
        let mut sample = Sample::new(&bus).await;
        let mut record = note(RecordClass::Decision, "opened");
        record.at = Timestamp::from_micros(1_000 - age);
        sample.write([record]).await.expect("a first record");
        newest_first.push((age, sample.session));
    }
    newest_first.sort_unstable();
    let only_leased = Sample::new(&bus).await.session;
    let page = bus.sessions(SessionQuery::newest()).await.expect("a list");
    let listed: Vec<_> = page.entries.iter().map(|info| info.session).collect();
    assert_eq!(listed, newest_first.iter().map(|(_, session)| *session).collect::<Vec<_>>());
    assert_eq!(bus.head(listed[0]).await.expect("a head"), Offset(1));
    assert_eq!(bus.head(only_leased).await.expect("a head"), Offset::START);

    let mut query = SessionQuery::newest();
    (query.skip, query.limit) = (1, 1);
    let page = bus.sessions(query).await.expect("a list");
    assert_eq!((page.entries[0].session, page.scanned_to, page.more), (listed[1], 2, true));
    Ok(())
}

/// It is shown where one session is asked for, and a refused batch does not touch it.
pub async fn the_last_snapshot_replaces_the_others(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let snapshot = |offset| Snapshot { engine: "v1".into(), offset: Offset(offset), state: vec![0, 255] };
    for head in [2, 3] {
        let batch = sample.batch([note(RecordClass::Decision, "step")]).with_snapshot(Some(snapshot(head)));
        sample.head = bus.append(batch).await.expect("a step").last;
    }
    sample.write([note(RecordClass::Decision, "without one")]).await.expect("a step");
    sample.head = Offset(1);
    let stale = sample.batch([note(RecordClass::Decision, "stale")]).with_snapshot(Some(snapshot(9)));
    bus.append(stale).await.expect_err("a conflict");

    let one = bus.sessions(SessionQuery::one(sample.session)).await.expect("a list");
    assert_eq!(one.entries[0].snapshot, Some(snapshot(3)));
    let all = bus.sessions(SessionQuery::newest()).await.expect("a list");
    assert!(all.entries.iter().all(|info| info.snapshot.is_none()));
    Ok(())
}

/// Those who wait are woken.
pub async fn a_closed_bus_refuses_everything(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    let bus: Arc<dyn Bus> = admin.clone();
    let sample = Sample::opened(&bus).await;
    let mut follow = Arc::clone(&bus).follow(sample.session, sample.head);
    let (waiting, closed) = futures::join!(follow.next(), bus.close());
    closed.expect("it closes");
    let release = LeaseOp::Release { session: sample.session, fencing_token: sample.token };
    let query = SessionQuery::newest();
    let thread = ThreadId::derive(&[]);
    for outcome in [
        waiting.map(drop),
        bus.append(input(sample.session, "late")).await.map(drop),
        bus.read(Read::new(sample.session, Offset::START)).await.map(drop),
        bus.changed(Watch::Session { session: sample.session, after: sample.head }).await.map(drop),
        bus.lease(release).await.map(drop),
        bus.sessions(query).await.map(drop),
        bus.window(Window::last(sample.session, thread, 1)).await.map(drop),
        bus.threads(ThreadQuery::all(sample.session)).await.map(drop),
        bus.items(&[]).await.map(drop),
        admin.verify(Scope::Store).await.map(drop),
        bus.close().await,
    ] {
        assert_eq!(outcome.expect_err("a refusal").kind(), ErrorKind::Closed);
    }
    Ok(())
}
