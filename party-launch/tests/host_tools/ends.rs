//! Tools that fail, panic, say too much, or never return.

use crate::hands::{answers, builder, desk, format, schema};
use futures::{FutureExt as _, future::join_all};
use party_launch::{CallContext, Seat, Tool, bus::MemoryBus, core::CloseReason, harness::ToolReply};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

#[tokio::test]
async fn whatever_a_tool_does_the_agent_is_answered_and_the_driver_lives() {
    let tools: Vec<Tool> = vec![
        Tool::new("early", "Panics at once.", schema(), |_, _| -> std::future::Ready<_> {
            panic!("at once")
        }),
        Tool::new("late", "Panics.", schema(), |_, _| async {
            tokio::task::yield_now().await;
            panic!("later")
        }),
        Tool::new("fail", "Fails.", schema(), |_, _| async { Err("no such shelf".into()) }),
        Tool::new("deep", "Fails.", schema(), |_, _| async {
            let cause = std::io::Error::other("disk on fire");
            Err(Box::<dyn std::error::Error + Send + Sync>::from(cause))
        }),
        Tool::new("refuse", "Refuses.", schema(), |_, _| async { Ok(ToolReply::error("not you")) }),
        Tool::new("flood", "Says much.", schema(), |_, _| async { Ok("x".repeat((1 << 20) + 1).into()) }),
        Tool::new("much", "Says a lot.", schema(), |_, _| async { Ok("x".repeat(1 << 20).into()) }),
    ];
    let bus = Arc::new(MemoryBus::new());
    let (party, ada) = desk(bus.clone(), tools).await;
    for (name, why) in [
        ("early", "`early` panicked"),
        ("late", "`late` panicked"),
        ("fail", "`fail` failed: no such shelf"),
        ("deep", "`deep` failed: disk on fire"),
        ("refuse", "not you"),
        ("flood", "`flood` gave 1048577 bytes, and an answer has 1048576 at most; ask for less"),
    ] {
        assert_eq!(ada.ask(name, name, json!({})).await, ToolReply::error(why));
    }
    assert_eq!(ada.ask("much", "much", json!({})).await.text.len(), 1 << 20);
    ada.say("Done.");
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    assert_eq!(answers(bus.as_ref(), party.session()).await.len(), 7);
}

/// Says that it was dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_tool_that_never_returns_is_cancelled_and_dropped_with_its_turn() {
    let (told, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let hang = {
        let (told, dropped) = (Arc::clone(&told), Arc::clone(&dropped));
        Tool::new("hang", "Hangs.", schema(), move |_, call: CallContext| {
            let (told, dropped) = (Arc::clone(&told), Dropped(Arc::clone(&dropped)));
            async move {
                let _dropped = dropped;
                call.cancelled().await;
                assert!(call.is_cancelled());
                told.notify_one();
                std::future::pending().await
            }
        })
    };
    let bus = Arc::new(MemoryBus::new());
    let (builder, mut turns) = builder(bus.clone());
    let format = format("hang").with_timeout_secs(1);
    let party = builder.format(format).seat(Seat::new("Ada", "clerk")).tool(hang).start("Well?").await;
    let (party, ada) = (party.unwrap(), turns.recv().await.unwrap());
    let reply = ada.ask("c1", "hang", json!({})).await;
    assert!(reply.is_error, "{reply:?}");
    party.finished().await.unwrap();
    told.notified().await;
    // The driver lets go of the session only when nothing of it runs any more.
    party.shutdown().await.unwrap();
    dropped.notified().await;
    let answers = answers(bus.as_ref(), ada.key.session).await;
    let [(call, "ran", why, true)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(call, "c1");
    assert!(why.starts_with("outcome unknown: ") && why.ends_with(" while `hang` ran"), "{why}");
}

#[tokio::test]
async fn a_party_that_is_shut_down_or_dropped_cancels_its_tools_and_waits_for_what_they_still_do() {
    for drops in [false, true] {
        let (begun, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tidy, hang) = {
            let (begun, done) = (Arc::clone(&begun), Arc::clone(&done));
            let tidy = Tool::new("tidy", "Tidies up.", schema(), move |_, call: CallContext| {
                let (begun, done) = (Arc::clone(&begun), Arc::clone(&done));
                async move {
                    begun.notify_one();
                    call.cancelled().await;
                    tokio::task::yield_now().await;
                    done.notify_one();
                    Ok("tidy".into())
                }
            });
            (tidy, Tool::new("hang", "Hangs.", schema(), |_, _| std::future::pending()))
        };
        let bus = Arc::new(MemoryBus::new());
        let (party, ada) = desk(bus.clone(), vec![tidy, hang]).await;
        let (session, port) = (party.session(), Arc::clone(&ada.port));
        let calls = [ada.call("c1", "hang", json!({})), ada.call("c2", "tidy", json!({}))];
        let asked = tokio::spawn(async move { join_all(calls.map(|call| port.call(call))).await });
        begun.notified().await;
        if drops {
            drop(party);
            done.notified().await;
        } else {
            party.shutdown().await.unwrap();
            assert!(done.notified().now_or_never().is_some(), "it was done before");
        }
        let over = ToolReply::error("the conversation is over");
        assert_eq!(asked.await.unwrap(), [over.clone(), over]);
        assert!(answers(bus.as_ref(), session).await.is_empty(), "nobody knows how they ended");
    }
}

#[tokio::test]
async fn a_turn_that_ends_while_its_tool_runs_does_not_wait_for_it() {
    let bus = Arc::new(MemoryBus::new());
    let begun = Arc::new(Notify::new());
    let hang = {
        let begun = Arc::clone(&begun);
        Tool::new("hang", "Hangs.", schema(), move |_, _| {
            begun.notify_one();
            std::future::pending()
        })
    };
    let (party, ada) = desk(bus.clone(), vec![hang]).await;
    let (port, call) = (Arc::clone(&ada.port), ada.call("c1", "hang", json!({})));
    let asked = tokio::spawn(async move { port.call(call).await });
    begun.notified().await;
    ada.say("I do not wait.");
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    assert!(asked.await.unwrap().is_error);
    let expected = "outcome unknown: the turn ended while `hang` ran";
    let answers = answers(bus.as_ref(), party.session()).await;
    assert_eq!(answers, [("c1".to_owned(), "ran", expected.to_owned(), true)]);
}

#[tokio::test]
async fn a_stop_is_not_held_up_by_a_tool() {
    let begun = Arc::new(Notify::new());
    let hang = {
        let begun = Arc::clone(&begun);
        Tool::new("hang", "Hangs.", schema(), move |_, _| {
            begun.notify_one();
            std::future::pending()
        })
    };
    let (party, ada) = desk(Arc::new(MemoryBus::new()), vec![hang]).await;
    let (reply, reason) = tokio::join!(ada.ask("c1", "hang", json!({})), async {
        begun.notified().await;
        party.stop().await.unwrap();
        party.finished().await.unwrap()
    });
    assert!(reply.is_error, "{reply:?}");
    assert_eq!(reason, CloseReason::Aborted);
    party.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_idempotent_tool_that_never_returns_after_a_takeover_is_given_the_intent_s_time() {
    let bus = Arc::new(MemoryBus::new());
    let (begun, seen) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Vec::new())));
    let hang = {
        let (begun, seen) = (Arc::clone(&begun), Arc::clone(&seen));
        Tool::new("hang", "Hangs.", schema(), move |_, call: CallContext| {
            seen.lock().unwrap().push((call.attempt, call.call));
            begun.notify_one();
            std::future::pending()
        })
    };
    let hang = Arc::new(hang.idempotent());
    let (party, mut turns) = builder(bus.clone());
    let party = party.format(format("hang").with_timeout_secs(1)).seat(Seat::new("Ada", "clerk"));
    let party = party.tool(Arc::clone(&hang)).start("Well?").await.unwrap();
    let (session, ada) = (party.session(), turns.recv().await.unwrap());
    let (port, call) = (Arc::clone(&ada.port), ada.call("c1", "hang", json!({})));
    let asked = tokio::spawn(async move { port.call(call).await });
    begun.notified().await;
    party.shutdown().await.unwrap();
    assert_eq!(asked.await.unwrap(), ToolReply::error("the conversation is over"));

    let (party, mut turns) = builder(bus.clone());
    let party = party.tool(hang).resume(session).await.unwrap();
    let ada = turns.recv().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [(1, "c1".to_owned()), (1, "c1".to_owned())], "under the same id");
    let unknown = "outcome unknown: its time was over while `hang` ran";
    let told = ada.request.continuation.clone().unwrap();
    assert!(ada.key.attempt == 2 && told.contains(&format!("was answered: {unknown}")), "{told}");
    assert_eq!(ada.ask("d1", "hang", json!({})).await, ToolReply::error(unknown), "the stored answer");
    ada.say("So be it.");
    party.finished().await.unwrap();
    let answers = answers(bus.as_ref(), session).await;
    assert_eq!(answers.iter().map(|answer| answer.1).collect::<Vec<_>>(), ["ran", "repeated"]);
}
