//! Turns that are stopped: nothing of them is left.

use crate::{
    codex::{begin, end_of, holds, request, run},
    stage::{Stage, said},
};
use party_core::{Outcome, Sent};
use party_harness::{Close, Harness as _};
use serde_json::json;
use test_support::{ModelTurn, Scenario};

/// One child in the group of its shell, one that left it.
const CHILDREN: &str = "setsid sleep 987 & sleep 987";

fn runs(command: &str) -> ModelTurn {
    ModelTurn::tool_use("exec_command", json!({"cmd": command, "yield_time_ms": 30000}))
}

fn with_shell(offset: u64, text: &str) -> party_harness::TurnRequest {
    let mut request = request(offset, text, &[]);
    request.own_tools = vec!["shell".to_owned()];
    request
}

#[tokio::test]
async fn a171_an_interrupt_in_the_middle_of_a_command_leaves_no_process_and_the_thread_goes_on() {
    let scenario = Scenario::new().turn(ModelTurn::text("Where were we?").when("cue-2")).turn(runs(CHILDREN));
    let stage = Stage::new(scenario).await;
    let codex = stage.codex();
    let session = stage.open(&codex).await;
    let turn = begin(&session, with_shell(1, "cue-1")).await;
    holds("both children run", || stage.of_seat().len() >= 3).await;
    turn.control.interrupt().await.unwrap();
    let end = end_of(turn).await;
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    assert_eq!(stage.of_seat(), [] as [i32; 0]);
    let end = run(&session, with_shell(2, "cue-2")).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Where were we?"), Sent::Delta));
    let told = said(&stage.fake.model_requests()[1]);
    assert!(told[0] == "cue-1" && told.last().unwrap() == "cue-2", "it remembers: {told:?}");
    codex.shutdown().await.unwrap();
}

#[tokio::test]
async fn a171_a_turn_that_is_dropped_and_a_session_that_is_closed_leave_no_process() {
    for close in [None, Some(Close::Orderly), Some(Close::Now)] {
        let stage = Stage::new(Scenario::new().turn(runs(CHILDREN))).await;
        let codex = stage.codex();
        let session = stage.open(&codex).await;
        let turn = begin(&session, with_shell(1, "Go.")).await;
        holds("both children run", || stage.of_seat().len() >= 3).await;
        match close {
            None => drop(turn),
            Some(how) => session.close(how).await.unwrap(),
        }
        holds("nothing runs", || stage.of_seat().is_empty()).await;
        codex.shutdown().await.unwrap();
    }
}

/// A command that a turn leaves running ends with it.
#[tokio::test]
async fn a171_what_a_turn_started_in_the_background_ends_with_it() {
    let scenario = Scenario::new()
        .turn(ModelTurn::tool_use("exec_command", json!({"cmd": CHILDREN, "yield_time_ms": 500})))
        .turn(ModelTurn::text("It runs."));
    let stage = Stage::new(scenario).await;
    let codex = stage.codex();
    let end = run(&stage.open(&codex).await, with_shell(1, "Go.")).await;
    assert_eq!(end.text.as_deref(), Some("It runs."));
    assert_eq!(stage.of_seat(), [] as [i32; 0]);
    codex.shutdown().await.unwrap();
}

#[tokio::test]
async fn a171_a_shutdown_and_a_harness_that_is_dropped_leave_no_server() {
    for orderly in [true, false] {
        let stage = Stage::new(Scenario::new().turn(runs(CHILDREN))).await;
        let codex = stage.codex();
        let session = stage.open(&codex).await;
        let turn = begin(&session, with_shell(1, "Go.")).await;
        holds("both children run", || stage.of_seat().len() >= 3).await;
        assert_eq!(stage.of_server().len(), 1);
        if orderly {
            codex.shutdown().await.unwrap();
            assert_eq!(stage.of_server(), [] as [i32; 0]);
        }
        drop((turn, session, codex));
        holds("nothing runs", || stage.of_seat().is_empty() && stage.of_server().is_empty()).await;
    }
}
