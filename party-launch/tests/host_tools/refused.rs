//! What is refused: before the start, on resume, and of calls.

use crate::{
    door::post_call,
    hands::{answers, builder, builder_by, counting, desk, format},
};
use party_launch::{
    ErrorKind, Seat,
    bus::{Bus, BusExt, Classes, MemoryBus, SessionQuery},
    core::{Offset, SessionId},
    harness::{ToolCall, ToolDoor, ToolReply, TurnKey},
};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

fn count() -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(0))
}

#[tokio::test]
async fn a_format_that_names_a_tool_that_nobody_offers_is_refused_before_anything_is_written() {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let (builder, _turns) = builder(Arc::clone(&bus));
    let party = builder.format(format("look, pay")).seat(Seat::new("Ada", "clerk"));
    let error = party.tool(counting("look", &count())).start("Well?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert_eq!(
        error.to_string(),
        "format `desk`: intents.answer.tools names tool `pay`, which is not defined; defined: share, look"
    );
    let (builder, _turns) = crate::hands::builder(Arc::clone(&bus));
    let twice = builder.format(format("look")).seat(Seat::new("Ada", "clerk"));
    let twice = twice.tool(counting("look", &count())).tool(counting("look", &count()));
    let error = twice.start("Well?").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Tool, "the tool `look` is given twice")
    );
    assert!(bus.sessions(SessionQuery::newest()).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn a_session_is_not_resumed_without_the_tools_that_it_was_started_with() {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let count = count();
    let (party, ada) = desk(Arc::clone(&bus), vec![counting("look", &count)]).await;
    let session = party.session();
    party.shutdown().await.unwrap();
    drop(ada);
    let head = bus.head(session).await.unwrap();
    let (bare, _turns) = builder(Arc::clone(&bus));
    let error = bare.tool(counting("other", &count)).resume(session).await.unwrap_err();
    let expected = format!("the tool `look` was not given, and session {session} was started with it");
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Tool, expected));
    assert_eq!(bus.head(session).await.unwrap(), head, "nothing is written");

    let (builder, mut turns) = builder(Arc::clone(&bus));
    let more = builder.tool(counting("look", &count)).tool(counting("other", &count));
    let party = more.resume(session).await.unwrap();
    let ada = turns.recv().await.unwrap();
    assert_eq!(ada.request.tools.len(), 2, "what it was not started with is not offered");
    assert!(!ada.ask("c1", "look", json!({})).await.is_error);
    ada.say("Done.");
    party.finished().await.unwrap();
    party.shutdown().await.unwrap();
    let (bare, _turns) = crate::hands::builder(bus);
    assert!(bare.resume(session).await.is_ok(), "a closed session is only read");
}

#[tokio::test]
async fn calls_that_are_not_offered_or_not_of_this_turn_are_refused() {
    let bus = Arc::new(MemoryBus::new());
    let count = count();
    let (party, ada) = desk(bus.clone(), vec![counting("look", &count)]).await;
    let refused = ada.ask("c1", "rm", json!({})).await;
    assert_eq!(refused.text, "the tool `rm` is not offered in this turn");
    assert_eq!(ada.ask("c2", "look", json!("all")).await.text, "`look` takes an object of arguments");
    let logged = answers(bus.as_ref(), party.session()).await;
    assert_eq!(logged.iter().map(|answer| answer.1).collect::<Vec<_>>(), ["answered", "answered"]);

    let (key, port) = (ada.key, Arc::clone(&ada.port));
    let ask = |key| port.call(ToolCall { key, id: "c9".into(), name: "look".into(), arguments: json!({}) });
    let before = bus.read_to_end(party.session(), Offset::START, Classes::ALL).await.unwrap().len();
    for key in [TurnKey { attempt: 2, ..key }, TurnKey { session: SessionId::derive(&[]), ..key }] {
        assert_eq!(ask(key).await.text, "the turn has ended");
    }
    let after = bus.read_to_end(party.session(), Offset::START, Classes::ALL).await.unwrap().len();
    assert_eq!(after, before, "they are not recorded");
    ada.say("Done.");
    party.finished().await.unwrap();
    let late = ask(key).await;
    assert!(late.is_error && (late.text == "the turn has ended" || late.text == "the conversation is over"));
    party.shutdown().await.unwrap();
    assert_eq!(ask(key).await.text, "the conversation is over");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_turn_may_call_a_thousand_times() {
    let count = count();
    let (party, ada) = desk(Arc::new(MemoryBus::new()), vec![counting("look", &count)]).await;
    for call in 0..1_000 {
        assert!(!ada.ask(&format!("c{call}"), "look", json!({})).await.is_error);
    }
    assert_eq!(ada.ask("one more", "look", json!({})).await.text, "a turn may call tools 1000 times; end it");
    assert!(!ada.ask("c7", "look", json!({})).await.is_error, "an answer is given again");
    assert_eq!(count.load(Ordering::SeqCst), 1_000);
    ada.say("Done.");
    party.finished().await.unwrap();
}

#[tokio::test]
async fn arguments_of_more_than_a_mebibyte_are_refused_at_both_doors_without_a_record() {
    // `{"text":""}` is around the text; a quote takes two bytes.
    let (most, quotes) = ("x".repeat((1 << 20) - 11), "\"".repeat(1 << 19));
    for door in [ToolDoor::InProcess, ToolDoor::McpHttp] {
        let (bus, count) = (Arc::new(MemoryBus::new()), count());
        let (party, mut turns) = builder_by(door, bus.clone());
        let party = party.format(format("look")).seat(Seat::new("Ada", "clerk"));
        let party = party.tool(counting("look", &count)).start("Well?").await.unwrap();
        let ada = turns.recv().await.unwrap();
        let ask = async |id: &str, text: &str| match door {
            ToolDoor::McpHttp => post_call(&ada, id, "look", json!({ "text": text })).await,
            _ => ada.ask(id, "look", json!({ "text": text })).await,
        };
        let refused = ToolReply::error("the arguments of `look` have more than 1048576 bytes; give less");
        assert_eq!(ask("c1", &quotes).await, refused);
        assert_eq!(ask("c2", &format!("{most}x")).await, refused);
        // The answer of this tool is as long as its arguments, and too long.
        assert!(ask("c3", &most).await.text.starts_with("`look` gave 10485"));
        let calls = answers(bus.as_ref(), party.session()).await;
        assert_eq!(calls.iter().map(|answer| answer.0.as_str()).collect::<Vec<_>>(), ["c3"]);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}
