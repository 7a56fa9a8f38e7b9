//! Turns that do not go on, and questions that nobody answers.

use crate::{
    codex::{Bench, Tools, begin, end_in, end_of, events_of, request, until, within},
    peer::{Fake, TURN},
};
use party_core::{Failure, Outcome};
use party_harness::{Answer, Close, Steered, TurnEvent};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const SHORT: Duration = Duration::from_millis(300);

/// Stopped for its silence, and failed for that.
#[tokio::test]
async fn a173_a_turn_without_a_sign_of_life_is_stopped_and_has_failed() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().idle_patience(SHORT);
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        let asked = peer.answer("turn/interrupt", json!({})).await;
        assert_eq!(asked["turnId"], TURN);
        peer.complete("interrupted", None).await;
        peer
    };
    let play = async { end_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (end, _peer) = futures::join!(play, serve);
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Idle)), "{end:?}");
    assert_eq!(end.reason.as_deref(), Some("codex gave no sign of life for 300 ms"));
}

/// Announced again and again, a retry is no sign of life; what the model writes is one.
#[tokio::test]
async fn a173_a_provider_that_is_asked_without_end_is_a_typed_error() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().idle_patience(SHORT);
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        let began = Instant::now();
        while began.elapsed() < SHORT * 2 {
            peer.tell("item/agentMessage/delta", json!({"itemId": "m", "delta": "x"})).await;
            tokio::time::sleep(SHORT / 20).await;
        }
        let mut asked = None;
        while asked.is_none() {
            let error = json!({"message": "Reconnecting... waiting for network"});
            peer.tell("error", json!({"error": error, "willRetry": true})).await;
            asked = tokio::time::timeout(SHORT / 20, peer.next()).await.ok();
        }
        let asked = asked.unwrap();
        assert_eq!(asked["method"], "turn/interrupt");
        peer.send(&json!({"id": asked["id"], "result": {}})).await;
        peer.complete("interrupted", None).await;
        peer
    };
    let play = async { events_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (events, _peer) = futures::join!(play, serve);
    assert_eq!(end_in(&events).failure, Some(Failure::Idle));
    assert!(events.iter().any(|event| matches!(event, TurnEvent::Waiting { .. })), "{events:?}");
}

/// The turn is over for the host; the session goes on in a new thread.
#[tokio::test]
async fn a173_a_turn_that_no_interrupt_ends_is_given_up() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().stop_patience(SHORT);
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        peer.answer("turn/interrupt", json!({})).await;
        // The thread that was given up is none of the seat's any more.
        peer.answer("thread/unsubscribe", json!({})).await;
        peer.configured().await;
        peer.answer("thread/start", json!({"thread": {"id": "another"}})).await;
        peer
    };
    let play = async {
        let turn = begin(&session, request(1, "Go.", &[])).await;
        turn.control.interrupt().await.unwrap();
        let end = end_of(turn).await;
        assert_eq!((end.outcome, end.token), (Outcome::Cancelled, None));
        session.turn(request(2, "And?", &[])).await
    };
    tokio::select! {
        turn = play => panic!("it has not begun: {turn:?}"),
        _peer = serve => {}
    }
}

/// Its connection is given up with it, so that others get another.
#[tokio::test]
async fn a173_a_server_that_answers_nothing_any_more_is_given_up() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().stop_patience(SHORT);
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let _mute = fake.running().await;
        let mut peer = fake.running().await;
        peer.complete("completed", Some("Next.")).await;
        peer
    };
    let play = async {
        let turn = begin(&session, request(1, "Go.", &[])).await;
        turn.control.interrupt().await.unwrap();
        let end = end_of(turn).await;
        assert_eq!((end.outcome, end.token), (Outcome::Cancelled, None));
        end_of(begin(&session, request(2, "And?", &[])).await).await
    };
    assert_eq!(futures::join!(play, serve).0.text.as_deref(), Some("Next."));
}

/// An interrupt that comes before the turn is active is asked again.
#[tokio::test]
async fn an_interrupt_that_comes_too_early_is_repeated() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().stop_patience(Duration::from_secs(30));
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        peer.refuse("turn/interrupt", -32600, "no active turn to interrupt").await;
        peer.answer("turn/interrupt", json!({})).await;
        peer.complete("interrupted", None).await;
        peer
    };
    let play = async {
        let turn = begin(&session, request(1, "Go.", &[])).await;
        turn.control.interrupt().await.unwrap();
        end_of(turn).await
    };
    assert_eq!(futures::join!(play, serve).0.outcome, Outcome::Cancelled);
}

async fn asked(peer: &mut crate::peer::Peer) {
    let item = json!({"type": "commandExecution", "id": "c1", "command": "rm x", "cwd": "/w"});
    peer.tell("item/started", json!({ "item": item })).await;
    let params = json!({"itemId": "c1", "command": "rm x", "cwd": "/w", "availableDecisions": ["accept"]});
    peer.ask(7, "item/commandExecution/requestApproval", params).await;
}

/// The model is told why before it learns that it may not: both come with its next call.
async fn denied(peer: &mut crate::peer::Peer) -> Value {
    let told = peer.answer("turn/steer", json!({"turnId": TURN})).await;
    assert_eq!(peer.next().await, json!({"id": 7, "result": {"decision": "decline"}}));
    let item = json!({"type": "commandExecution", "id": "c1", "status": "declined"});
    peer.tell("item/completed", json!({ "item": item })).await;
    peer.complete("completed", Some("Then not.")).await;
    told["input"][0]["text"].clone()
}

#[tokio::test]
async fn a173_a_question_that_nobody_answers_is_answered_by_no() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().answer_patience(SHORT);
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        asked(&mut peer).await;
        let told = denied(&mut peer).await;
        peer.answer("thread/backgroundTerminals/clean", json!({})).await;
        (told, peer)
    };
    let mut request = request(1, "Go.", &[]);
    (request.own_tools, request.ask) = (vec!["shell".to_owned()], true);
    let play = async { events_of(begin(&session, request).await).await };
    let (events, (told, _peer)) = futures::join!(play, serve);
    assert_eq!(told, "You may not do this: nobody answered within 300 ms");
    let end = end_in(&events);
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Then not.")));
    let withdrawn = events.iter().filter(|event| matches!(event, TurnEvent::PermissionWithdrawn { .. }));
    assert_eq!(withdrawn.count(), 1, "{events:?}");
    let result = events.iter().find_map(|event| match event {
        TurnEvent::ToolResult { text, is_error, .. } => Some((&**text, *is_error)),
        _ => None,
    });
    assert_eq!(result, Some(("not allowed: nobody answered within 300 ms", true)));
}

/// After the connection broke it is asked again under its old id, and answered once.
#[tokio::test]
async fn a_question_outlives_its_connection() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let (again, asked_again) = oneshot::channel();
    let serve = async {
        let mut peer = fake.running().await;
        asked(&mut peer).await;
        drop(peer);
        let mut peer = fake.greeted().await;
        peer.resume("active").await;
        peer.answer("thread/turns/list", json!({"data": []})).await;
        asked(&mut peer).await;
        // What comes after the question is answered: it was heard.
        peer.call(8, "share").await;
        assert_eq!(peer.next().await["id"], 8);
        again.send(()).unwrap();
        assert_eq!(peer.next().await, json!({"id": 7, "result": {"decision": "accept"}}));
        peer.tell("serverRequest/resolved", json!({"requestId": 7})).await;
        peer.complete("completed", Some("Done.")).await;
        peer.answer("thread/backgroundTerminals/clean", json!({})).await;
        peer
    };
    let mut request = request(1, "Go.", &["share"]);
    (request.own_tools, request.ask) = (vec!["shell".to_owned()], true);
    let play = async {
        let mut turn = begin(&session, request).await;
        let mut seen = until(&mut turn, |event| matches!(event, TurnEvent::PermissionAsked { .. })).await;
        let Some(TurnEvent::PermissionAsked { request, tool, input }) = seen.pop() else {
            panic!("{seen:?}")
        };
        assert_eq!((tool.as_str(), input.value()), ("shell", json!({"command": "rm x", "cwd": "/w"})));
        within(asked_again).await.unwrap();
        turn.control.answer(request, Answer::Allow).await.unwrap();
        events_of(turn).await
    };
    let (events, _peer) = futures::join!(play, serve);
    assert_eq!(end_in(&events).text.as_deref(), Some("Done."));
    assert!(!events.iter().any(|event| matches!(event, TurnEvent::PermissionAsked { .. })), "asked once");
}

/// What a turn does not list is not used, whatever Codex thinks of it; nobody is asked.
#[tokio::test]
async fn what_a_turn_does_not_list_is_denied_without_asking() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let serve = async {
        let mut peer = fake.running().await;
        peer.ask(1, "item/fileChange/requestApproval", json!({"itemId": "p"})).await;
        peer.ask(2, "item/commandExecution/requestApproval", json!({"itemId": "c", "command": "ls"})).await;
        let meta = json!({"tool_name": "Send", "tool_params": {}});
        peer.ask(3, "mcpServer/elicitation/request", json!({"serverName": "foreign", "_meta": meta})).await;
        let answers = [peer.next().await, peer.next().await, peer.next().await];
        peer.complete("completed", Some("Done.")).await;
        (answers, peer)
    };
    let play = async { events_of(begin(&session, request(1, "Go.", &[])).await).await };
    let (events, (answers, _peer)) = futures::join!(play, serve);
    let declines = json!({"decision": "decline"});
    assert_eq!(
        answers.map(|answer| answer["result"].clone()),
        [declines.clone(), declines, json!({"action": "decline"})]
    );
    assert!(!events.iter().any(|event| matches!(event, TurnEvent::PermissionAsked { .. })));
}

#[tokio::test]
async fn a_message_waits_until_the_turn_can_take_it_and_is_too_late_after() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex();
    let session = bench.open(&codex, &tools).await;
    let (steers, steered) = oneshot::channel();
    let serve = async {
        let mut peer = fake.greeted().await;
        peer.open().await;
        peer.answer("turn/start", json!({"turn": {"id": TURN}})).await;
        within(steered).await.unwrap();
        peer.tell("turn/started", json!({"turn": {"id": TURN}})).await;
        let told = peer.answer("turn/steer", json!({"turnId": TURN})).await;
        assert_eq!(
            (&told["expectedTurnId"], &told["input"][0]["text"]),
            (&json!(TURN), &json!("And hurry."))
        );
        peer.refuse("turn/steer", -32600, "no active turn to steer").await;
        peer.complete("completed", Some("As you say.")).await;
        peer
    };
    let play = async {
        let turn = begin(&session, request(1, "Go.", &[])).await;
        let control = std::sync::Arc::clone(&turn.control);
        let steered = async {
            let mut early = control.steer("And hurry.".to_owned());
            assert!(futures::poll!(&mut early).is_pending());
            steers.send(()).unwrap();
            assert_eq!(early.await.unwrap(), Steered::Taken);
            assert_eq!(control.steer("More.".to_owned()).await.unwrap(), Steered::TooLate);
        };
        let (events, ()) = futures::join!(events_of(turn), steered);
        assert_eq!(control.steer("Too late.".to_owned()).await.unwrap(), Steered::TooLate);
        end_in(&events)
    };
    assert_eq!(futures::join!(play, serve).0.text.as_deref(), Some("As you say."));
}

/// Who is not read holds up nobody, and does not pile up.
#[tokio::test]
async fn a_turn_that_is_not_read_is_stopped_when_too_much_waits() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().frame_limit(100_000).stop_patience(Duration::from_secs(30));
    let session = bench.open(&codex, &tools).await;
    let (turn, mut peer) = futures::join!(begin(&session, request(1, "Go.", &[])), fake.running());
    let much = "x".repeat(90_000);
    for n in 0..200 {
        // The client may be faster than its host.
        peer.tell("item/new", json!({"item": n, "text": much})).await;
    }
    peer.answer("turn/interrupt", json!({})).await;
    peer.complete("interrupted", None).await;
    let end = end_of(turn).await;
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Other)), "{end:?}");
    assert_eq!(end.reason.as_deref(), Some("too much waits for the host to read it"));
}

/// A session is closed whether its turn is read or not.
#[tokio::test]
async fn a_close_does_not_wait_for_a_reader() {
    let (fake, bench, tools) = (Fake::start().await, Bench::new(), Tools::new());
    let codex = fake.codex().stop_patience(Duration::from_secs(1));
    let session = bench.open(&codex, &tools).await;
    let (turn, mut peer) = futures::join!(begin(&session, request(1, "Go.", &[])), fake.running());
    for n in 0..1000 {
        peer.tell("item/new", json!({ "item": n })).await;
    }
    let serve = async {
        peer.answer("turn/interrupt", json!({})).await;
        peer.complete("interrupted", None).await;
    };
    futures::join!(serve, async { within(session.close(Close::Orderly)).await.unwrap() });
    assert_eq!(end_of(turn).await.outcome, Outcome::Cancelled);
}
