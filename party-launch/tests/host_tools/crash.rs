//! The host is gone between any two appends.

use crate::{
    common::{folded, in_words, release},
    hands::{counting, format},
};
use party_launch::{
    Party, PartyBuilder, Seat,
    bus::{Bus, Fault, FaultyBus, MemoryBus, SessionQuery, Window},
    core::{CloseReason, Event, Record, SessionId},
    harness::scripted::{Call, Script, Scripted, Step},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Ada shares, looks and pays, and says so.
fn script() -> Script {
    let call = |tool: &str, arguments| Call { tool: tool.into(), arguments };
    let step = Step {
        share: Some("Hear me.".into()),
        calls: vec![call("look", json!({ "at": 1 })), call("pay", json!({ "sum": 3 }))],
        ..Step::say(5, "Done.")
    };
    Script::default().agent("Ada", [step])
}

#[derive(Default)]
struct Counts {
    look: Arc<AtomicUsize>,
    pay: Arc<AtomicUsize>,
}

fn builder(bus: Arc<dyn Bus>, counts: &Counts) -> PartyBuilder {
    Party::builder(bus)
        .harness(Scripted::new(script()))
        .folder(std::env::temp_dir().join("party-tests"))
        .tool(counting("look", &counts.look).idempotent())
        .tool(counting("pay", &counts.pay))
}

async fn start(bus: Arc<dyn Bus>, counts: &Counts) -> party_launch::Result<Party> {
    builder(bus, counts).format(format("look, pay")).seat(Seat::new("Ada", "clerk")).start("Well?").await
}

/// The log without calls: those of lost attempts stand in it as well, and an answer that is given again
/// is marked.
async fn without_calls(bus: &dyn Bus, session: SessionId) -> Vec<String> {
    let is_call = |line: &String| line.starts_with("tool");
    let mut lines = in_words(session, &folded(bus, session).await);
    lines.retain(|line| !is_call(line));
    lines
}

/// What each tool's call was answered in the attempt that ended the turn.
fn told(records: &[Arc<Record>]) -> BTreeMap<String, String> {
    let (mut calls, mut told) = (BTreeMap::new(), BTreeMap::new());
    for record in records {
        match record.event().unwrap() {
            Event::ToolCalled(event) => {
                calls.insert((event.attempt, event.call), event.tool);
            }
            Event::ToolAnswered(event) => {
                told.insert(calls[&(event.attempt, event.call)].clone(), event.text);
            }
            Event::ToolRan(event) => {
                told.insert(calls[&(event.attempt, event.call)].clone(), event.text);
            }
            _ => {}
        }
    }
    // The item's id follows from its place in the log.
    told.entry("share".to_owned()).and_modify(|text| text.truncate("shared as".len()));
    told
}

/// Every call has one answer.
fn answered_once(records: &[Arc<Record>]) {
    let mut open = BTreeMap::<_, u32>::new();
    for record in records {
        match record.event().unwrap() {
            Event::ToolCalled(event) => {
                assert_eq!(open.insert((event.attempt, event.call), 0), None);
            }
            Event::ToolAnswered(event) => *open.get_mut(&(event.attempt, event.call)).unwrap() += 1,
            Event::ToolRan(event) => *open.get_mut(&(event.attempt, event.call)).unwrap() += 1,
            _ => {}
        }
    }
    assert!(open.values().all(|answers| *answers == 1), "{open:?}");
}

/// The feed: the question and the share come before what is said last.
async fn feed(bus: &dyn Bus, session: SessionId) -> Vec<String> {
    let records = folded(bus, session).await;
    let Event::SessionOpened(opened) = records[0].event().unwrap() else { panic!("no genesis") };
    let page = bus.window(Window::last(session, opened.feed, 100)).await.unwrap();
    page.entries.iter().map(|entry| entry.item.text()).collect()
}

#[tokio::test]
async fn a201_killed_at_every_append_each_call_is_answered_once_and_none_runs_twice_unasked() {
    let (inner, counts) = (Arc::new(MemoryBus::new()), Counts::default());
    let counted = Arc::new(FaultyBus::new(inner.clone(), Fault::none()));
    let party = start(counted.clone(), &counts).await.unwrap();
    let session = party.session();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    party.shutdown().await.unwrap();
    let expected = without_calls(inner.as_ref(), session).await;
    let whole = told(&folded(inner.as_ref(), session).await);
    assert_eq!(feed(inner.as_ref(), session).await, ["Well?", "Hear me.", "Done."]);
    let (mut unknown, mut again) = (0, 0);
    for append in 1..=counted.appends() {
        for fault in [Fault::crash_before(append), Fault::crash_after(append)] {
            let (inner, counts) = (Arc::new(MemoryBus::new()), Counts::default());
            if let Ok(party) = start(Arc::new(FaultyBus::new(inner.clone(), fault)), &counts).await {
                let _ = party.finished().await;
                let _ = party.shutdown().await;
            }
            let sessions = inner.sessions(SessionQuery::newest()).await.unwrap();
            let Some(session) = sessions.entries.first().map(|info| info.session) else { continue };
            release(inner.as_ref(), session, 1).await;
            let party = builder(inner.clone(), &counts).resume(session).await.unwrap();
            assert_eq!(party.finished().await.unwrap(), CloseReason::Finished, "{fault:?}");
            party.shutdown().await.unwrap();

            let records = folded(inner.as_ref(), session).await;
            answered_once(&records);
            assert_eq!(without_calls(inner.as_ref(), session).await, expected, "{fault:?}");
            assert_eq!(feed(inner.as_ref(), session).await, ["Well?", "Hear me.", "Done."], "{fault:?}");
            let (looked, paid) = (counts.look.load(Ordering::SeqCst), counts.pay.load(Ordering::SeqCst));
            let mut told = told(&records);
            if told["pay"].starts_with("outcome unknown") {
                unknown += 1;
                assert!(paid <= 1, "{fault:?}: it ran {paid} times");
                told.insert("pay".into(), whole["pay"].clone());
            } else {
                assert_eq!(paid, 1, "{fault:?}");
            }
            again += usize::from(looked > 1);
            assert!(looked >= 1, "{fault:?}");
            assert_eq!(told, whole, "{fault:?}");
        }
    }
    // It met both: the answer of `pay` is lost before `toolRan` and after `toolCalled`.
    assert!(unknown >= 2 && again >= 1, "{unknown} {again}");
}
