//! How calls run.

use crate::hands::{answers, counting, desk, schema, until};
use party_launch::{
    CallContext, Tool,
    bus::{BusExt, Classes, Fault, FaultyBus, MemoryBus},
    core::{CloseReason, Event, Offset, SeatId},
    harness::ToolReply,
};
use serde_json::json;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{Barrier, Notify};

#[tokio::test]
async fn a049_a_harness_call_is_routed_to_the_host_s_tool_and_its_result_returned_by_id() {
    let bus = Arc::new(MemoryBus::new());
    let seen = Arc::new(Mutex::new(Vec::<CallContext>::new()));
    let look = {
        let seen = Arc::clone(&seen);
        Tool::new("look", "Looks.", schema(), move |arguments, call: CallContext| {
            seen.lock().unwrap().push(call);
            async move { Ok(format!("{} is on the shelf", arguments["what"].as_str().unwrap()).into()) }
        })
    };
    let (party, ada) = desk(bus.clone(), vec![look]).await;
    let offered: Vec<&str> = ada.request.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(offered, ["share", "look"]);
    assert_eq!(ada.request.tools[1].description, "Looks.");
    let reply = ada.ask("toolu_7", "look", json!({ "what": "it" })).await;
    assert_eq!(reply, ToolReply::text("it is on the shelf"));
    let (key, session) = (ada.key, party.session());
    ada.say("Found.");
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);

    let calls = seen.lock().unwrap().clone();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((call.session, call.turn, call.attempt), (session, key.turn, 1));
    assert_eq!((call.seat, call.agent.as_str(), call.call.as_str()), (SeatId(0), "Ada", "toolu_7"));
    let records = bus.read_to_end(session, Offset::START, Classes::FOLDED).await.unwrap();
    let kinds: Vec<&str> = records.iter().map(|record| record.kind.as_str()).collect();
    let called = kinds.iter().position(|kind| *kind == "toolCalled").unwrap();
    assert_eq!(kinds[called + 1], "toolRan", "{kinds:?}");
    let Event::SessionOpened(opened) = records[0].event().unwrap() else { panic!("{kinds:?}") };
    assert_eq!((opened.host_tools[0].name.as_str(), opened.host_tools[0].idempotent), ("look", false));
}

#[tokio::test]
async fn synced_commits_are_turns_and_engine_calls_and_twice_host_calls_and_one() {
    let bus = Arc::new(FaultyBus::new(Arc::new(MemoryBus::new()), Fault::none()));
    let count = Arc::new(AtomicUsize::new(0));
    let (party, ada) = desk(bus.clone(), vec![counting("look", &count)]).await;
    let mut host_calls = 0;
    for id in ["c1", "c2", "c3"] {
        ada.ask(id, "look", json!({})).await;
        host_calls += 1;
    }
    assert!(!ada.ask("c4", "share", json!({ "text": "Hear me." })).await.is_error);
    assert!(ada.ask("c5", "rm", json!({})).await.is_error, "the engine refuses it");
    ada.say("Done.");
    party.finished().await.unwrap();
    party.shutdown().await.unwrap();
    let (turns, engine_calls) = (1, 2);
    assert_eq!(bus.synced_appends(), turns + engine_calls + 2 * host_calls + 1);
}

#[tokio::test]
async fn calls_of_one_turn_run_side_by_side() {
    let meeting = Arc::new(Barrier::new(3));
    let meet = Tool::new("meet", "Waits for the others.", schema(), move |arguments, _| {
        let meeting = Arc::clone(&meeting);
        async move {
            meeting.wait().await;
            Ok(arguments.to_string().into())
        }
    });
    let (_party, ada) = desk(Arc::new(MemoryBus::new()), vec![meet]).await;
    let (a, b, c) = tokio::join!(
        ada.ask("a", "meet", json!({ "n": 1 })),
        ada.ask("b", "meet", json!({ "n": 2 })),
        ada.ask("c", "meet", json!({ "n": 1 })),
    );
    assert_eq!([a.text, b.text, c.text], [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":1}"#]);
}

#[tokio::test]
async fn the_same_call_asked_again_attaches_while_it_runs_and_is_answered_from_the_log_after() {
    let bus = Arc::new(FaultyBus::new(Arc::new(MemoryBus::new()), Fault::none()));
    let (count, begun, go) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (count, begun, go) = (Arc::clone(&count), Arc::clone(&begun), Arc::clone(&go));
        Tool::new("slow", "Takes its time.", schema(), move |_, _| {
            let (count, begun, go) = (Arc::clone(&count), Arc::clone(&begun), Arc::clone(&go));
            async move {
                begun.notify_one();
                go.notified().await;
                Ok(format!("run {}", count.fetch_add(1, Ordering::SeqCst)).into())
            }
        })
    };
    let (_party, ada) = desk(bus.clone(), vec![slow]).await;
    let both = async { tokio::join!(ada.ask("a", "slow", json!({})), ada.ask("a", "slow", json!({}))) };
    let release = async {
        begun.notified().await;
        go.notify_one();
    };
    let ((first, second), ()) = tokio::join!(both, release);
    assert_eq!((first.text.as_str(), second.text.as_str()), ("run 0", "run 0"));
    let before = bus.appends();
    assert_eq!(ada.ask("a", "slow", json!({})).await.text, "run 0");
    assert_eq!((bus.appends(), count.load(Ordering::SeqCst)), (before, 1));
}

#[tokio::test]
async fn a_call_whose_asker_has_gone_is_carried_out_and_an_equal_one_gets_its_answer_once() {
    let bus = Arc::new(MemoryBus::new());
    let (count, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let begun = Arc::new(Notify::new());
    let pay = {
        let (count, begun, go) = (Arc::clone(&count), Arc::clone(&begun), Arc::clone(&go));
        Tool::new("pay", "Pays.", schema(), move |_, _| {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            let run = count.fetch_add(1, Ordering::SeqCst);
            async move {
                begun.notify_one();
                go.notified().await;
                Ok(format!("paid {run}").into())
            }
        })
    };
    let (party, ada) = desk(bus.clone(), vec![pay]).await;
    let asked = ada.ask("a", "pay", json!({ "sum": 3, "to": "x" }));
    tokio::select! {
        reply = asked => panic!("{reply:?}"),
        () = begun.notified() => {}
    }
    // While it runs still, and nobody waits for it.
    let again = ada.ask("b", "pay", json!({ "to": "x", "sum": 3.0 }));
    let release = async {
        until(&party, |engine| engine.turn(ada.key.turn).unwrap().calls.len() == 2).await;
        go.notify_one();
    };
    let (reply, ()) = tokio::join!(again, release);
    assert_eq!(reply, ToolReply::text("paid 0"));
    go.notify_one();
    assert_eq!(ada.ask("c", "pay", json!({ "sum": 3, "to": "x" })).await.text, "paid 1", "once");
    let expected = [("a", "ran", "paid 0"), ("b", "repeated", "paid 0"), ("c", "ran", "paid 1")];
    let answers = answers(bus.as_ref(), party.session()).await;
    let found: Vec<_> =
        answers.iter().map(|(call, by, text, _)| (call.as_str(), *by, text.as_str())).collect();
    assert_eq!(found, expected);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_share_whose_asker_has_gone_lands_once_in_the_same_attempt() {
    let bus = Arc::new(MemoryBus::new());
    let count = Arc::new(AtomicUsize::new(0));
    let (party, ada) = desk(bus.clone(), vec![counting("look", &count)]).await;
    {
        let asked = ada.ask("a", "share", json!({ "text": "Once." }));
        tokio::pin!(asked);
        // It is handed over, and its asker goes before it is answered.
        assert!(futures::poll!(asked.as_mut()).is_pending());
    }
    let reply = ada.ask("b", "share", json!({ "text": "Once." })).await;
    assert!(reply.text.starts_with("shared as "), "{reply:?}");
    let answers = answers(bus.as_ref(), party.session()).await;
    assert_eq!(answers.iter().map(|answer| answer.1).collect::<Vec<_>>(), ["answered", "repeated"]);
    assert_eq!(answers[0].2, reply.text);
}
