//! How an attempt fails where its runtime does not tell, what it may stream, and what that holds up.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{
    lookout::Lookout,
    puppet::{Puppet, Stage, said},
};
use party_launch::{
    Party, PartyBuilder, Seat, Tool,
    bus::{Batch, Bus, BusExt, Classes, Fault, FaultyBus, MemoryBus},
    core::{
        Author, BatchId, CloseReason, Command, Commanded, Cost, Event, Failure, NewRecord, Offset, Outcome,
        Timestamp, TurnEnded, Usd,
    },
    formats::Format,
    harness::{
        Answer, Harness, TurnEnd, TurnEvent,
        scripted::{Script, Scripted},
    },
};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

fn room(tools: &str) -> Format {
    let text = format!(
        "name: room
roles: {{ lead: {{ intent: speak }} }}
intents: {{ speak: {{ tools: [{tools}], ownTools: [Bash], ask: true }} }}
"
    );
    Format::from_yaml(&text).unwrap()
}

fn builder(bus: Arc<dyn Bus>, harness: impl Harness) -> PartyBuilder {
    let folder = std::env::temp_dir().join("party-tests");
    Party::builder(bus).harness(harness).folder(folder).format(room("share")).seat(Seat::new("Ada", "lead"))
}

/// All events of a session whose one turn is played so.
async fn events(harness: impl Harness) -> Vec<Event> {
    let bus = Arc::new(MemoryBus::new());
    let party = builder(bus.clone(), harness).start("Hi").await.unwrap();
    party.at_rest().await.unwrap();
    let session = party.session();
    party.shutdown().await.unwrap();
    let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap();
    records.iter().map(|record| record.event().unwrap()).collect()
}

async fn end(harness: impl Harness) -> TurnEnded {
    let mut ends = events(harness).await.into_iter().filter_map(|event| match event {
        Event::TurnEnded(event) => Some(event),
        _ => None,
    });
    ends.next_back().unwrap()
}

#[tokio::test]
async fn a_runtime_that_does_not_open_has_not_started_and_cost_nothing() {
    let ended = end(Scripted::new(Script::default().agent("Bob", []))).await;
    assert_eq!((ended.outcome, ended.failure), (Outcome::Failed, Some(Failure::NotStarted)));
    assert_eq!(ended.cost, Cost::Reported(Usd::ZERO));
    assert!(ended.reason.unwrap().starts_with("no script for agent `Ada`"));
}

#[tokio::test]
async fn a_stream_that_stops_and_an_adapter_that_panics_have_died() {
    let stops = Puppet::new(|_: Stage| async { panic!("the stream is dropped") });
    let panics = Puppet::new(|_: Stage| -> std::future::Ready<TurnEnd> { panic!("in the adapter") });
    let why = ["the runtime's stream ended without an end", "the adapter panicked"];
    for (puppet, why) in [stops, panics].into_iter().zip(why) {
        let ended = end(puppet).await;
        assert_eq!((ended.outcome, ended.failure), (Outcome::Failed, Some(Failure::Died)));
        assert_eq!((ended.reason.as_deref(), ended.cost), (Some(why), Cost::Unknown));
    }
}

#[tokio::test]
async fn a_question_with_an_input_of_more_than_a_mebibyte_is_denied_and_nobody_is_asked() {
    let puppet = Puppet::new(|mut stage: Stage| async move {
        stage.ask_for("q1", &"x".repeat(1 << 20));
        let (request, answer) = stage.answered().await;
        let why = "the input of `Bash` has 1048590 bytes, and may have 1048576; give less".to_owned();
        assert_eq!((request.as_str(), answer), ("q1", Answer::Deny { why }));
        said("Then not.")
    });
    let events = events(puppet).await;
    assert!(!events.iter().any(|event| matches!(event, Event::PermissionAsked(_))), "{events:?}");
    let ended = events.iter().find_map(|event| match event {
        Event::TurnEnded(event) => Some(event.outcome),
        _ => None,
    });
    assert_eq!(ended, Some(Outcome::Completed));
}

/// Ada calls a tool that takes a moment, and talks meanwhile. The place of the tool's answer behind the
/// call, in a store that is full for a while once the tool has begun; where no place is given, the place
/// where that would be.
async fn answered_after(full_at: Option<u64>) -> (u64, usize) {
    let fault = full_at.map_or(Fault::none(), |append| Fault::full(append, 6));
    let bus = Arc::new(FaultyBus::new(Arc::new(MemoryBus::new()), fault));
    let (begun, begun_at) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
    let (tell, noted, store) = (Arc::clone(&begun), Arc::clone(&begun_at), Arc::clone(&bus));
    let look = Tool::new("look", "Looks.", json!({ "type": "object" }), move |_, _| {
        noted.store(store.appends(), Ordering::SeqCst);
        tell.notify_one();
        async {
            sleep(Duration::from_millis(1)).await;
            Ok("so".into())
        }
    });
    let puppet = Puppet::new(move |stage: Stage| {
        let begun = Arc::clone(&begun);
        async move {
            let talk = async {
                begun.notified().await;
                (0..500).for_each(|_| stage.tell(TurnEvent::Text { text: "and".into() }));
            };
            tokio::join!(stage.call("c1", "look", json!({})), talk);
            said("so")
        }
    });
    let party = builder(bus.clone(), puppet).format(room("share, look")).tool(look);
    let party = party.start("Hi").await.unwrap();
    party.at_rest().await.unwrap();
    let records = bus.read_to_end(party.session(), Offset::START, Classes::ALL).await.unwrap();
    let place = |kind: &str| records.iter().position(|record| record.kind == kind).unwrap();
    (begun_at.load(Ordering::SeqCst), place("toolRan") - place("toolCalled"))
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_talks_without_pause_does_not_hold_up_the_answer_of_a_tool() {
    let (begun_at, _) = answered_after(None).await;
    let (_, place) = answered_after(Some(begun_at + 1)).await;
    assert_eq!(place, 2, "only what was being written when the tool ended comes first");
}

#[tokio::test]
async fn of_a_long_event_the_log_has_the_head_and_of_an_answer_all_of_it() {
    let puppet = Puppet::new(|stage: Stage| async move {
        let long = "x".repeat(1 << 20);
        stage.tell(TurnEvent::Raw { event: json!(long).into() });
        stage.tell(TurnEvent::Text { text: (*long).into() });
        said(&long)
    });
    let bus = Arc::new(MemoryBus::new());
    let party = builder(bus.clone(), puppet).start("Hi").await.unwrap();
    party.at_rest().await.unwrap();
    let records = bus.read_to_end(party.session(), Offset::START, Classes::ALL).await.unwrap();
    let traced: Vec<_> = records.iter().filter(|record| record.kind == "traced").collect();
    let events: Vec<_> = traced.iter().map(|record| record.event().unwrap()).collect();
    let (head, quoted) = ("x".repeat(4 << 10), format!("\"{}", "x".repeat((4 << 10) - 1)));
    for (event, (kind, bytes, head)) in
        events.iter().zip([("raw", (1 << 20) + 2, quoted), ("text", 1 << 20, head)])
    {
        let Event::Traced(traced) = event else { panic!("{event:?}") };
        assert_eq!(traced.event, json!({ "type": kind, "bytes": bytes, "head": head }));
    }
    assert_eq!(events.len(), 2);
    let said = records.iter().find(|record| record.kind == "turnEnded").unwrap();
    assert_eq!(said.items[0].text().len(), 1 << 20);
}

#[tokio::test]
async fn a_host_that_asks_without_pause_does_not_hide_what_another_process_wrote() {
    let lookout = Lookout { inner: MemoryBus::new(), polls: 1_000, nothing: 0.into() };
    let bus: Arc<dyn Bus> = Arc::new(lookout);
    let puppet = Puppet::new(|stage: Stage| async move {
        stage.interrupted.cancelled().await;
        TurnEnd { outcome: Outcome::Cancelled, text: None, ..said("") }
    });
    let party = builder(Arc::clone(&bus), puppet).start("Hi").await.unwrap();
    let asking = async { while party.state().await.unwrap().closed().is_none() {} };
    let stopping = async {
        let stop = NewRecord::new(Timestamp::default(), &Commanded { command: Command::Stop }.into());
        let id = BatchId::derive(&[b"stop"]);
        bus.append(Batch::input(party.session(), id, Author::human("eve"), vec![stop])).await.unwrap();
    };
    let both = async { tokio::join!(asking, stopping) };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("the stop is acted on");
    assert_eq!(party.finished().await.unwrap(), CloseReason::Aborted);
}

#[tokio::test]
async fn a_store_that_tells_of_nothing_all_the_time_hides_no_agent() {
    let lookout = Lookout { inner: MemoryBus::new(), polls: 0, nothing: 100_000.into() };
    let party = builder(Arc::new(lookout), Puppet::new(|_: Stage| async { said("so") }));
    let party = party.start("Hi").await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), party.at_rest()).await.expect("she is heard").unwrap();
}
