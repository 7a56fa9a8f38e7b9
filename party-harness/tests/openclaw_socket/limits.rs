//! What does not go on for ever, and what is not done twice.

use crate::{
    gateway::FakeGateway,
    host::{harness, one_turn, open, read, request, within},
    losses::history,
};
use party_harness::{Harness as _, Recovery, core::Outcome};
use serde_json::json;
use std::{
    sync::{Arc, Barrier},
    time::Duration,
};

#[tokio::test]
async fn harnesses_that_are_used_first_by_several_threads_at_once_stay_open() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        peer.idle().await;
    })
    .await;
    for _ in 0..16 {
        let (harness, all) = (harness(&gateway), Barrier::new(8));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    all.wait();
                    harness.tool_prefix().unwrap();
                });
            }
        });
        within(harness.probe()).await.expect("it is not shut down");
    }
}

/// It is asked how the run goes, says that it goes on, and tells nothing of it.
#[tokio::test]
async fn a_run_that_tells_nothing_after_a_loss_is_timed_out_and_asked_for_with_pauses() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        if peer.number == 0 {
            peer.accept().await;
            return peer.close(1012, "service restart").await;
        }
        while let Some(request) = peer.request().await {
            let run = request["params"]["idempotencyKey"].clone();
            match request["method"].as_str().unwrap() {
                "agent" => peer.answer(&request, json!({"runId": run, "status": "in_flight"})).await,
                "agent.wait" => peer.answer(&request, json!({"status": "pending"})).await,
                _ => {
                    peer.answer(&request, json!({"ok": true, "aborted": true})).await;
                    peer.concludes(json!({"status": "timeout", "stopReason": "rpc"})).await;
                }
            }
        }
    })
    .await;
    let (_, end) = one_turn(&gateway).await;
    assert_eq!(end.outcome, Outcome::TimedOut, "{end:?}");
    let waits = gateway.known.requests("agent.wait").len();
    assert!((1..=11).contains(&waits), "{waits} within two seconds, a fifth of a second apart");
}

/// Connections come and go, and nobody says what becomes of the run: its order is not repeated when the
/// gateway may take it for a new one.
#[tokio::test]
async fn an_order_is_not_repeated_for_longer_than_its_key_is_surely_known() {
    for answer in [Some("Ship it."), None] {
        let gateway = FakeGateway::start(move |mut peer| async move {
            peer.greet().await;
            if peer.number == 0 {
                let order = peer.accept().await.unwrap();
                peer.known.write_down(history(&order["idempotencyKey"], answer));
                return;
            }
            while let Some(request) = peer.request().await {
                if request["method"] == "agent" {
                    return;
                }
                peer.answer(&request, json!({"ok": true, "aborted": false})).await;
            }
        })
        .await;
        let harness = harness(&gateway).reconnect_patience(Duration::from_secs(1));
        let session = open(&harness, &Arc::default()).await;
        let (_, end) = read(within(session.turn(request(1))).await.unwrap()).await;
        let outcome = if answer.is_some() { Outcome::Completed } else { Outcome::Lost };
        assert_eq!((end.outcome, end.text.as_deref()), (outcome, answer), "{end:?}");
        assert!(gateway.known.requests("agent").len() <= 3, "a fifth, then two fifths of a second apart");
        let aborts = gateway.known.requests("chat.abort").len();
        assert_eq!(aborts, usize::from(answer.is_none()), "what has no end is told to end");
    }
}

/// A run that goes on when its host comes back: it ends by itself, or recovery stops it.
#[tokio::test]
async fn a_run_that_recovery_stopped_is_not_told_as_the_turns_end() {
    for ends in [true, false] {
        let gateway = FakeGateway::start(move |mut peer| async move {
            peer.greet().await;
            let (mut rows, mut is_active) = (json!([]), false);
            while let Some(request) = peer.raw_request().await {
                let run = peer.known.requests("agent").first().map(|order| order["idempotencyKey"].clone());
                let payload = match request["method"].as_str().unwrap() {
                    "chat.history" => {
                        json!({"messages": rows, "sessionInfo": {"hasActiveRun": is_active}})
                    }
                    "sessions.patch" => json!({"entry": request["params"]}),
                    "agent" => {
                        (rows, is_active) = (history(&run.clone().unwrap(), None), true);
                        json!({"runId": run, "status": "ok", "result": {"payloads": [{"text": "x"}]}})
                    }
                    "agent.wait" if ends => {
                        (rows, is_active) = (history(&run.unwrap(), Some("Late.")), false);
                        json!({"status": "ok"})
                    }
                    "chat.abort" => {
                        is_active = false;
                        let stopped = json!({"role": "assistant", "stopReason": "aborted", "content": []});
                        rows.as_array_mut().unwrap().push(stopped);
                        json!({"ok": true, "aborted": true})
                    }
                    _ => json!({"status": "timeout"}),
                };
                peer.answer(&request, payload).await;
            }
        })
        .await;
        let harness = harness(&gateway);
        let session = open(&harness, &Arc::default()).await;
        read(within(session.turn(request(1))).await.unwrap()).await;
        let recovery = within(session.recover(request(1).key)).await.unwrap();
        let aborts = gateway.known.requests("chat.abort").len();
        match recovery {
            Recovery::Ended(end) if ends => assert_eq!((end.text.as_deref(), aborts), (Some("Late."), 0)),
            Recovery::Unknown if !ends => assert_eq!(aborts, 1),
            other => panic!("{ends}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_recovered_answer_that_the_gateway_cut_is_said_to_be_cut_and_no_figure_overflows() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        peer.accept().await;
        peer.says("x").await;
        peer.idle().await;
    })
    .await;
    let harness = harness(&gateway);
    let session = open(&harness, &Arc::default()).await;
    read(within(session.turn(request(1))).await.unwrap()).await;
    let run = gateway.known.requests("agent")[0]["idempotencyKey"].clone();
    let mut rows = history(&run, Some("Short."));
    let long = "x".repeat(500_000);
    let said = json!({"role": "assistant", "stopReason": "stop", "content": [{"type": "text", "text": long}],
        "usage": {"input": u64::MAX, "output": 2}});
    rows.as_array_mut().unwrap().push(said);
    gateway.known.write_down(rows);
    match within(session.recover(request(1).key)).await.unwrap() {
        Recovery::Ended(end) => {
            assert_eq!((end.usage.input_tokens, end.usage.output_tokens, end.usage.steps), (u64::MAX, 4, 2));
            assert!(end.reason.unwrap().contains("only its beginning"));
        }
        other => panic!("{other:?}"),
    }
}
