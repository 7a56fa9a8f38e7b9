//! A forum on scripted agents: shares through the tool, reactions, quiescence.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use party_launch::{
    Party, Seat,
    bus::Batch,
    bus::{Bus, Fault, FaultyBus, MemoryBus, SessionQuery},
    core::{Author, BatchId, Event, Item, ItemId, MessagePosted, NewRecord, Timestamp},
    harness::scripted::{Script, Step},
};
use std::sync::Arc;

fn script() -> Script {
    let shares = |text: &str| Step {
        share: Some(text.to_owned()),
        say: Some(format!("draft of {text}")),
        after_ms: 5,
        ..Step::default()
    };
    Script::default()
        .agent("Ada", [shares("Ada opens"), Step::say(5, "nothing to add")])
        .agent("Bob", [Step::say(9, "I wait"), shares("Bob answers"), Step::say(5, "done")])
}

fn forum(bus: Arc<dyn Bus>) -> party_launch::PartyBuilder {
    common::builder(bus, script()).seat(Seat::new("Ada", "lead")).seat(Seat::new("Bob", "participant"))
}

async fn feed(party: &Party, count: usize) -> Vec<String> {
    let mut feed = party.feed();
    let mut texts = Vec::new();
    while texts.len() < count {
        texts.push(feed.next().await.unwrap().unwrap().text());
    }
    texts
}

#[tokio::test]
async fn a003_a004_a007_shares_stand_in_the_feed_once_and_the_discussion_ends_by_itself() {
    let party = forum(Arc::new(MemoryBus::new())).start("Hi").await.unwrap();
    party.at_rest().await.unwrap();
    assert_eq!(feed(&party, 3).await, ["Hi", "Ada opens", "Bob answers"]);
    party.post("And now?").await.unwrap();
    party.at_rest().await.unwrap();
    party.close().await.unwrap();
    party.finished().await.unwrap();
    assert_eq!(feed(&party, 4).await[3], "And now?");
}

#[tokio::test]
async fn another_handle_s_input_is_acted_on_by_the_driver() {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let party = forum(Arc::clone(&bus)).start("Hi").await.unwrap();
    party.at_rest().await.unwrap();
    let author = Author::human("eve");
    let item = Item::message(ItemId::derive(&[b"eve"]), author.clone(), Timestamp::default(), "From outside");
    let event = Event::from(MessagePosted { item: item.id });
    let record = NewRecord::new(Timestamp::default(), &event).with_item(item);
    bus.append(Batch::input(party.session(), BatchId::derive(&[b"eve"]), author, vec![record]))
        .await
        .unwrap();
    assert_eq!(feed(&party, 4).await[3], "From outside");
}

#[tokio::test]
async fn killed_at_every_append_every_share_stands_in_the_feed_once() {
    let counted = Arc::new(FaultyBus::new(Arc::new(MemoryBus::new()), Fault::none()));
    let party = forum(counted.clone()).start("Hi").await.unwrap();
    party.at_rest().await.unwrap();
    party.shutdown().await.unwrap();
    for append in 1..=counted.appends() {
        for fault in [Fault::crash_before(append), Fault::crash_after(append)] {
            let inner: Arc<dyn Bus> = Arc::new(MemoryBus::new());
            if let Ok(party) = forum(Arc::new(FaultyBus::new(Arc::clone(&inner), fault))).start("Hi").await {
                let _ = party.at_rest().await;
                let _ = party.shutdown().await;
            }
            let sessions = inner.sessions(SessionQuery::newest()).await.unwrap();
            let Some(session) = sessions.entries.first().map(|info| info.session) else { continue };
            common::release(inner.as_ref(), session, 1).await;
            let party = common::builder(inner, script()).resume(session).await.unwrap();
            party.at_rest().await.unwrap();
            assert_eq!(feed(&party, 3).await, ["Hi", "Ada opens", "Bob answers"], "{fault:?}");
            party.close().await.unwrap();
            party.finished().await.unwrap();
        }
    }
}
