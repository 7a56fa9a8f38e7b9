//! Buses around a bus: traced, hooked; and what is taken back.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{
    Batch, Bus, BusAdmin, BusAdminExt as _, BusExt as _, Classes, Error, ErrorKind, HookedBus, MemoryBus,
    PRUNED, Prune, Scope, TracedBus, async_trait, bus_conformance,
    conformance::{Sample, Stage, input, note},
};
use party_core::{
    Author, ContentBlock, Event, How, Item, ItemId, NewRecord, Offset, Op, RecordClass, ThreadId, ThreadKind,
    Timestamp, ToolAnswered, ToolCalled, Traced, TurnId,
};
use serde_json::json;
use std::sync::Arc;
use test_support::Traces;

struct Wrapped(Arc<MemoryBus>);

#[async_trait]
impl Stage for Wrapped {
    async fn open(&self) -> Arc<dyn BusAdmin> {
        let hooked = HookedBus::new(Arc::clone(&self.0), |_: &mut Batch| Ok(()));
        Arc::new(TracedBus::new(Arc::new(hooked)))
    }
}

#[expect(clippy::unused_async, reason = "the suite takes async makers")]
async fn make() -> Wrapped {
    Wrapped(Arc::new(MemoryBus::new()))
}

bus_conformance!(make);

/// Replaces a word in what is said, and refuses another.
fn redact(batch: &mut Batch) -> Result<(), Error> {
    for record in &mut batch.records {
        if record.body.get().contains("forbidden") {
            return Err(Error::new(ErrorKind::Invalid, "that is forbidden here"));
        }
        for item in &mut record.items {
            for block in &mut Arc::make_mut(item).content {
                if let ContentBlock::Text { text, .. } = block {
                    *text = text.replace("hunter2", "*******");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_hook_changes_what_is_written_and_a_retry_is_still_the_same_batch() {
    let inner = Arc::new(MemoryBus::new());
    let bus: Arc<dyn Bus> = Arc::new(HookedBus::new(Arc::clone(&inner), redact));
    let mut sample = Sample::opened(&bus).await;
    let item = message("The password is hunter2.");
    let batch = sample.batch([note(RecordClass::Report, "said").with_item(item.clone())]);
    assert!(!bus.append(batch.clone()).await.unwrap().repeated);
    assert!(bus.append(batch).await.unwrap().repeated);
    assert_eq!(inner.items(&[item.id]).await.unwrap()[0].text(), "The password is *******.");
    sample.head = Offset(2);
    let error = sample.write([note(RecordClass::Report, "forbidden")]).await.unwrap_err();
    assert_eq!(error.to_string(), "that is forbidden here");
    assert_eq!(inner.head(sample.session).await.unwrap(), Offset(2));
}

#[tokio::test]
async fn a_hook_that_changes_what_no_hook_may_is_refused() {
    let changes: [fn(&mut Batch); 3] = [
        |batch| batch.records.truncate(1),
        |batch| batch.author = Some(Author::System),
        |batch| batch.id = party_core::BatchId::derive(&[b"other"]),
    ];
    for change in changes {
        let hook = move |batch: &mut Batch| {
            if batch.records.len() == 2 {
                change(batch);
            }
            Ok(())
        };
        let bus: Arc<dyn Bus> = Arc::new(HookedBus::new(Arc::new(MemoryBus::new()), hook));
        let mut sample = Sample::opened(&bus).await;
        let two = [note(RecordClass::Report, "one"), note(RecordClass::Report, "two")];
        assert_eq!(sample.write(two).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(bus.head(sample.session).await.unwrap(), Offset(1));
    }
}

#[tokio::test]
async fn a_traced_bus_tells_outcomes_and_times_and_never_what_was_said() {
    let traces = Traces::listen();
    let inner = Arc::new(MemoryBus::new());
    let bus: Arc<TracedBus<MemoryBus>> = Arc::new(TracedBus::new(inner));
    let plain: Arc<dyn Bus> = Arc::clone(&bus) as _;
    let sample = Sample::opened(&plain).await;
    bus.append(input(sample.session, "hunter2")).await.unwrap();
    bus.append(sample.batch([note(RecordClass::Report, "hunter2")])).await.unwrap_err();
    bus.search(party_bus::Search::new("hunter2")).await.unwrap();
    bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.unwrap();
    let told = traces.text();
    let appends: Vec<&str> = told.lines().filter(|line| line.starts_with("DEBUG bus.append")).collect();
    assert_eq!(appends.len(), 3, "{told}");
    assert!(appends[1].contains(&format!("session={}", sample.session)) && appends[1].contains("records=1"));
    let failed = told.lines().find(|line| line.starts_with("WARN")).unwrap();
    assert!(failed.contains("micros=") && failed.contains("error=Conflict"), "{failed}");
    assert!(!told.contains("hunter2"), "{told}");
}

fn message(text: &str) -> Item {
    Item::message(ItemId::derive(&[text.as_bytes()]), Author::agent("Mary"), Timestamp::from_micros(1), text)
}

fn event(event: impl Into<Event>, turn: TurnId) -> NewRecord {
    NewRecord::new(Timestamp::from_micros(1), &event.into()).in_turn(turn)
}

const SECRET: &str = "The vault opens with \"hunter2\",\nsaid softly.";

/// A turn that shares `item` by a tool, and what it streamed; and another turn.
async fn shared(bus: &Arc<dyn Bus>, item: &Item) -> Sample {
    let mut sample = Sample::opened(bus).await;
    let (turn, other, thread) = (TurnId(Offset(2)), TurnId(Offset(3)), ThreadId::derive(&[b"feed"]));
    let called = |turn, text: &str| ToolCalled {
        turn,
        attempt: 1,
        call: "c".into(),
        tool: "share".into(),
        arguments: json!({ "text": format!(" {text} "), "also": [format!("as JSON: {}", json!(text))], "n": 7 }),
    };
    let answered = |text: &str| ToolAnswered {
        turn,
        attempt: 1,
        call: "c".into(),
        text: format!("shared: {text}"),
        is_error: false,
        repeated: false,
    };
    let traced =
        Traced { turn, attempt: 1, event: json!({ "type": "text", "delta": "The vault opens with \"hun" }) };
    let newer = note(RecordClass::Trace, "ter2\",\nsaid softly.").in_turn(turn);
    let added = note(RecordClass::Decision, "delivered")
        .with_item(item.clone())
        .with_op(Op::Open { thread, kind: ThreadKind::Feed })
        .with_op(Op::Add { threads: vec![thread], item: item.id, how: How::Said });
    let records = [
        note(RecordClass::Decision, "turnStarted"),
        note(RecordClass::Decision, "turnStarted"),
        event(traced, turn),
        newer,
        event(called(turn, SECRET), turn),
        added.in_turn(turn),
        event(answered(SECRET), turn),
        event(called(other, "something else"), other),
    ];
    sample.write(records).await.unwrap();
    sample
}

#[tokio::test]
async fn an_item_is_taken_back_with_all_that_its_turn_left_of_it() {
    let admin: Arc<dyn BusAdmin> = Arc::new(TracedBus::new(Arc::new(MemoryBus::new())));
    let (bus, item): (Arc<dyn Bus>, _) = (Arc::clone(&admin) as _, message(SECRET));
    let sample = shared(&bus, &item).await;
    let mut follower = Arc::clone(&bus).follow(sample.session, Offset::START);
    follower.next().await.unwrap();
    let erased = admin.erase_item(sample.session, item.id).await.unwrap();
    assert_eq!((erased.items, erased.bodies), (1, 4));
    let mut file = Vec::new();
    bus.export(sample.session, &mut file).await.unwrap();
    let file = String::from_utf8(file).unwrap();
    for piece in ["hunter2", "vault", "softly"] {
        assert!(!file.contains(piece), "{piece}");
    }
    // What is left are events that can be read, and the other turn as it was.
    let records = bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.unwrap();
    let events: Vec<Event> = records.iter().map(|record| record.event().unwrap()).collect();
    let arguments = events.iter().filter_map(|event| match event {
        Event::ToolCalled(called) => Some(&called.arguments),
        _ => None,
    });
    let arguments: Vec<_> = arguments.collect();
    assert_eq!(arguments[0], &json!({ "text": " [erased] ", "also": ["as JSON: \"[erased]\""], "n": 7 }));
    assert_eq!(arguments[1]["text"], " something else ");
    assert!(
        events.iter().any(
            |event| matches!(event, Event::ToolAnswered(answered) if answered.text == "shared: [erased]")
        )
    );
    assert!(
        events.iter().any(|event| matches!(event, Event::Traced(traced) if traced.event["type"] == "text"))
    );
    assert_eq!(admin.verify(Scope::Session(sample.session)).await.unwrap().problems, []);
    // Again: what is erased already is erased, and trace that was pruned is left so.
    assert_eq!(admin.erase_item(sample.session, item.id).await.unwrap().items, 1);
    let (session, up_to) = (sample.session, Offset(9));
    let fencing_token = sample.token;
    bus.lease(party_bus::LeaseOp::Release { session, fencing_token }).await.unwrap();
    admin.prune(Prune::Trace { session, up_to }).await.unwrap();
    assert_eq!(admin.erase_item(session, item.id).await.unwrap().bodies, 0);
    assert_eq!(bus.read_to_end(session, Offset(3), Classes::ALL).await.unwrap()[0].kind, PRUNED);
}

#[tokio::test]
async fn what_a_session_does_not_have_is_not_taken_back() {
    let admin: Arc<dyn BusAdmin> = Arc::new(MemoryBus::new());
    let bus: Arc<dyn Bus> = Arc::clone(&admin) as _;
    let item = message("Stay.");
    let here = Sample::opened(&bus).await;
    let mut there = Sample::opened(&bus).await;
    there.write([note(RecordClass::Report, "said").with_item(item.clone())]).await.unwrap();
    let error = admin.erase_item(here.session, item.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(bus.items(&[item.id]).await.unwrap()[0].text(), "Stay.");
}
