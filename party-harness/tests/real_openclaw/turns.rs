//! Turns of the real gateway.

use crate::{
    openclaw_gateway::{alone, shared},
    seat::{Seat, offered, read, run, until, within},
};
use party_harness::{
    Close, Harness as _, TurnEvent,
    core::{Failure, Outcome, Sent},
    openclaw::OpenClaw,
};
use serde_json::json;
use std::fs;
use test_support::{Block, ModelTurn, Scenario};

#[tokio::test]
async fn a168_the_hosts_tools_are_in_the_models_first_request_and_answer_it() {
    let _alone = alone().await;
    let (gateway, seat) = (shared().await, Seat::new());
    let harness = gateway.harness(seat.keys());
    let share = format!("{}share", harness.tool_prefix().unwrap());
    gateway.model.extend(Scenario::new().turn(seat.calls("cue", &share, json!({"text": "Ship it."}))));
    gateway.model.extend(Scenario::new().turn(seat.turn("cue", ModelTurn::text("Done."))));
    let session = seat.open(&harness, None).await;
    let end = run(&session, seat.request(1, "cue", &["share", "pass"], &[])).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Done.")), "{end:?}");
    let asked = gateway.asked(&seat.marker);
    assert_eq!(offered(&asked[0]), [share.replace("share", "pass"), share.clone()]);
    let calls = seat.calls.lock().unwrap().clone();
    assert_eq!((calls.len(), calls[0].name.as_str()), (1, "share"));
    assert_eq!(calls[0].arguments, json!({"text": "Ship it."}));
    assert!(asked[1].to_string().contains("it is on the bus"));
}

/// Messages to other sessions, agents of its own, shells: none is offered, and none does anything.
#[tokio::test]
async fn a167_side_channels_are_shut_unless_the_turn_names_them() {
    let (gateway, seat) = (shared().await, Seat::new());
    let harness = gateway.harness(seat.keys());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("written");
    let command = json!({"command": format!("touch {}", file.display())});
    let send = json!({"sessionKey": "agent:main:main", "message": "psst"});
    gateway.model.extend(
        Scenario::new()
            .turn(seat.calls("cue-2", "exec", command.clone()))
            .turn(seat.turn("cue-2", ModelTurn::text("Made.")))
            .turn(seat.calls("cue-1", "exec", command))
            .turn(seat.calls("cue-1", "sessions_send", send))
            .turn(seat.calls("cue-1", "sessions_spawn", json!({"task": "psst"})))
            .turn(seat.turn("cue-1", ModelTurn::text("Nothing works."))),
    );
    let session = seat.open(&harness, None).await;
    let end = run(&session, seat.request(1, "cue-1", &[], &[])).await;
    assert_eq!(end.text.as_deref(), Some("Nothing works."), "{end:?}");
    assert!(gateway.asked(&seat.marker).iter().all(|body| offered(body).is_empty()));
    assert!(!file.exists());
    let asked = gateway.model.model_requests().len();
    let end = run(&session, seat.request(2, "cue-2", &[], &["exec"])).await;
    assert_eq!(end.text.as_deref(), Some("Made."), "{end:?}");
    assert!(file.exists(), "what the turn names it has");
    assert_eq!(offered(gateway.asked(&seat.marker).last().unwrap()), ["exec"]);
    assert!(gateway.model.model_requests().len() > asked);
}

#[tokio::test]
async fn a171_an_interrupt_in_the_middle_of_a_command_leaves_no_process() {
    let (gateway, seat) = (shared().await, Seat::new());
    let harness = gateway.harness(seat.keys());
    let seconds = format!("98{}.5", std::process::id());
    gateway.model.extend(
        Scenario::new()
            .turn(seat.turn("cue-2", ModelTurn::text("Still here.")))
            .turn(seat.calls("cue-1", "exec", json!({"command": format!("sleep {seconds}")})))
            .turn(seat.turn("cue-1", ModelTurn::text("Never."))),
    );
    let session = seat.open(&harness, None).await;
    let mut turn = within(session.turn(seat.request(1, "cue-1", &[], &["exec"]))).await.unwrap();
    until(&mut turn, |event| matches!(event, TurnEvent::ToolUse { .. })).await;
    within(until_sleeping(&seconds, true)).await;
    turn.control.interrupt().await.unwrap();
    assert_eq!(read(turn).await.1.outcome, Outcome::Cancelled);
    within(until_sleeping(&seconds, false)).await;
    let end = run(&session, seat.request(2, "cue-2", &[], &[])).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Still here."), Sent::Delta), "the transcript resumes");
    assert!(gateway.asked(&seat.marker).last().unwrap().to_string().contains("cue-1"), "with what was said");
}

/// Waits until a process sleeps for so long, or none does.
pub(crate) async fn until_sleeping(seconds: &str, sleeps: bool) {
    let is_it = |line: &[u8]| line.split(|byte| *byte == 0).any(|argument| argument == seconds.as_bytes());
    loop {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        if lines.any(|line| is_it(&line)) == sleeps {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_session_is_resumed_by_its_key_from_another_process() {
    let (gateway, seat) = (shared().await, Seat::new());
    gateway.model.extend(
        Scenario::new()
            .turn(seat.turn("cue-2", ModelTurn::text("Two.")))
            .turn(seat.turn("cue-1", ModelTurn::text("One."))),
    );
    let first = gateway.harness(seat.keys());
    let session = seat.open(&first, None).await;
    let end = run(&session, seat.request(1, "cue-1", &[], &[])).await;
    session.close(Close::Orderly).await.unwrap();
    within(first.shutdown()).await.unwrap();
    let second = gateway.harness(seat.keys());
    let session = seat.open(&second, end.token.clone()).await;
    assert!(session.state().resumed);
    let end = run(&session, seat.request(2, "cue-2", &[], &[])).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Two."), Sent::Delta));
    let last = gateway.asked(&seat.marker).pop().unwrap().to_string();
    assert!(last.contains("cue-1") && last.contains("One."), "it remembers: {last}");
}

/// All else is text by itself; these two a gateway would obey.
#[tokio::test]
async fn a166_commands_of_the_gateway_reach_the_model_as_text() {
    let (gateway, seat) = (shared().await, Seat::new());
    gateway.model.extend(Scenario::new().turn(seat.turn("", ModelTurn::text("Seen.").times(3))));
    let harness = gateway.harness(seat.keys());
    let session = seat.open(&harness, None).await;
    for (turn, text) in [(1, "remember me"), (2, "/new"), (3, "/reset now")] {
        let end = run(&session, seat.request(turn, text, &[], &[])).await;
        assert_eq!(end.text.as_deref(), Some("Seen."), "{text}: {end:?}");
    }
    let last = gateway.asked(&seat.marker).pop().unwrap().to_string();
    for text in ["remember me", "/new", "/reset now"] {
        assert!(last.contains(text), "{text}: {last}");
    }
}

/// Most sources of an answer cut it somewhere.
#[tokio::test]
async fn a_long_answer_arrives_whole() {
    let (gateway, seat) = (shared().await, Seat::new());
    let long = "0123456789abcdef".repeat(20_000);
    let block = Block::text(long.clone());
    let turn = ModelTurn::empty().block(block).with(|turn| turn.chunk = Some(64_000));
    gateway.model.extend(Scenario::new().turn(seat.turn("cue", turn)));
    let session = seat.open(&gateway.harness(seat.keys()), None).await;
    let end = run(&session, seat.request(1, "cue", &[], &[])).await;
    assert!(end.text.as_deref() == Some(long.as_str()), "{:?}", end.text.map(|text| text.len()));
}

#[tokio::test]
async fn an_agent_that_chooses_to_say_nothing_has_not_failed() {
    let (gateway, seat) = (shared().await, Seat::new());
    gateway.model.extend(Scenario::new().turn(seat.turn("cue", ModelTurn::text("NO_REPLY").repeat())));
    let session = seat.open(&gateway.harness(seat.keys()), None).await;
    let end = run(&session, seat.request(1, "cue", &[], &[])).await;
    assert_eq!((end.outcome, end.failure, end.text), (Outcome::Empty, None, None));
}

#[tokio::test]
async fn a_provider_that_refuses_is_a_failure_of_its_kind() {
    let (gateway, seat) = (shared().await, Seat::new());
    let refusal = ModelTurn::error(400, "invalid_request_error", "no such thing").repeat();
    gateway.model.extend(Scenario::new().turn(seat.turn("cue", refusal)));
    let session = seat.open(&gateway.harness(seat.keys()), None).await;
    let end = run(&session, seat.request(1, "cue", &[], &[])).await;
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Rejected)), "{end:?}");
}

#[tokio::test]
async fn a174_a_wrong_token_is_refused_by_the_real_gateway() {
    let gateway = shared().await;
    let harness = OpenClaw::attach(&gateway.url, "not-the-token").unwrap();
    let error = within(harness.probe()).await.unwrap_err();
    assert_eq!(error.kind(), party_harness::ErrorKind::Launch);
    assert!(error.to_string().contains("refuses the token"), "{error}");
}
