//! How an attempt fails where its runtime does not tell, and what it may stream.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::puppet::{Puppet, Stage, said};
use party_launch::{
    Party, PartyBuilder, Seat,
    bus::{Bus, BusExt, Classes, MemoryBus},
    core::{Cost, Event, Failure, Offset, Outcome, TurnEnded, Usd},
    formats::Format,
    harness::{
        Answer, Harness, TurnEnd,
        scripted::{Script, Scripted},
    },
};
use std::sync::Arc;

fn room() -> Format {
    let text = "name: room
roles: { lead: { intent: speak } }
intents: { speak: { tools: [share], ownTools: [Bash], ask: true } }
";
    Format::from_yaml(text).unwrap()
}

fn builder(bus: Arc<dyn Bus>, harness: impl Harness) -> PartyBuilder {
    let folder = std::env::temp_dir().join("party-tests");
    Party::builder(bus).harness(harness).folder(folder).format(room()).seat(Seat::new("Ada", "lead"))
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
    let ends = events(harness).await.into_iter().filter_map(|event| match event {
        Event::TurnEnded(event) => Some(event),
        _ => None,
    });
    ends.last().unwrap()
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
