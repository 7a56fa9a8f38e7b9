//! What the recordings do not hold: lines as the protocol describes them.

use crate::table::{decoder, lines};
use party_core::{Failure, Usd};
use party_harness::{
    TurnEvent,
    claude_code::codec::{Decoded, Decoder, Exit, Status},
};
use serde_json::{Value, json};

fn init(session: &str, more: Value) -> String {
    let mut line = json!({"type": "system", "subtype": "init", "session_id": session,
        "claude_code_version": "2.1.329", "mcp_servers": [], "tools": []});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line.to_string()
}

fn said(message: &str, uuid: &str, text: &str, more: Value) -> String {
    let mut line = json!({"type": "assistant", "uuid": uuid,
        "message": {"id": message, "content": [{"type": "text", "text": text}]}});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line.to_string()
}

fn result(more: Value) -> String {
    let mut line = json!({"type": "result", "subtype": "success", "is_error": false, "num_turns": 1});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line.to_string()
}

fn sessions(events: &[Decoded]) -> Vec<&str> {
    let mut sessions = Vec::new();
    for event in events {
        if let Decoded::Session(session) = event {
            sessions.push(session.as_str());
        }
    }
    sessions
}

#[test]
fn a165_every_server_that_init_names_is_required() {
    let server = |status: &str| json!([{"name": "my bus.1", "status": status}]);
    let with = |status: &str, tools: Value| init("s", json!({"mcp_servers": server(status), "tools": tools}));
    let tool = json!(["Bash", "mcp__my_bus_1__Send"]);
    for (line, reason) in [
        (with("failed", tool.clone()), Some("the mcp server `my bus.1` is failed")),
        (with("needs-auth", tool.clone()), Some("the mcp server `my bus.1` is needs-auth")),
        (with("pending", tool.clone()), Some("the mcp server `my bus.1` is pending")),
        (
            with("connected", json!(["Bash", "mcp__my_bus_10__Send"])),
            Some("the mcp server `my bus.1` offers no tool"),
        ),
        (with("connected", tool.clone()), None),
        (with("disabled", json!([])), None),
        (
            init("s", json!({"mcp_server_errors": [{"name": "bus", "message": "no type"}]})),
            Some("claude refused an mcp server: no type"),
        ),
        (init("s", json!({"mcp_server_errors": []})), None),
    ] {
        let (_, verdict) = lines(&[&line, &result(json!({"result": "x"}))], &Exit::default());
        assert_eq!(verdict.reason.as_deref(), reason, "{line}");
        let poisoned = verdict.status == Status::Poisoned && verdict.failure == Some(Failure::Poisoned);
        assert_eq!(poisoned, reason.is_some(), "{line}");
    }
}

#[test]
fn a165_the_required_server_needs_each_of_its_tools() {
    let decoder = || Decoder::new().requires("party", &["mcp__party__share", "mcp__party__pass"]);
    let line = |status: &str, tools: Value| {
        init("s", json!({"mcp_servers": [{"name": "party", "status": status}], "tools": tools}))
    };
    let both = json!(["mcp__party__share", "mcp__party__pass"]);
    for (line, reason) in [
        (line("connected", both.clone()), None),
        (line("disabled", both), Some("the mcp server `party` is disabled")),
        (
            line("connected", json!(["mcp__party__share"])),
            Some("the mcp server `party` does not offer the tool `mcp__party__pass`"),
        ),
        (init("s", json!({})), Some("the mcp server `party` is absent")),
    ] {
        let mut decoder = decoder();
        decoder.feed(format!("{line}\n").as_bytes());
        let (_, verdict) = decoder.finish(&Exit::default());
        assert_eq!(verdict.status == Status::Poisoned, reason.is_some(), "{line}");
        assert!(reason.is_none() || verdict.reason.as_deref() == reason, "{:?}", verdict.reason);
    }
}

#[test]
fn a163_messages_that_wait_for_a_turn_are_waited_for() {
    let mut decoder = decoder();
    decoder.feed(format!("{}\n", result(json!({"result": "1", "queued_turn_count": 2}))).as_bytes());
    assert!(!decoder.is_done());
    decoder.feed(format!("{}\n", result(json!({"result": "2", "queued_turn_count": 0}))).as_bytes());
    assert!(decoder.is_done());
}

#[test]
fn a163_tasks_in_the_background_are_waited_for_however_they_end() {
    let task = |subtype: &str, more: Value| {
        let mut line = json!({"type": "system", "subtype": subtype, "task_id": "t1"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{line}\n")
    };
    let started = task("task_started", json!({"is_backgrounded": true}));
    for (begin, end) in [
        (started.clone(), task("task_notification", json!({"status": "failed"}))),
        (started.clone(), task("task_updated", json!({"patch": {"status": "killed"}}))),
        (started, task("background_tasks_changed", json!({"tasks": []}))),
        (
            task("background_tasks_changed", json!({"tasks": [{"task_id": "t1"}]})),
            task("task_notification", json!({"status": "completed"})),
        ),
    ] {
        let mut decoder = decoder();
        decoder.feed(format!("{begin}{}\n", result(json!({"result": "x"}))).as_bytes());
        decoder.feed(task("task_updated", json!({"patch": {"status": "running"}})).as_bytes());
        assert!(!decoder.is_done(), "{begin}");
        decoder.feed(end.as_bytes());
        assert!(decoder.is_done(), "{end}");
    }
    let mut decoder = decoder();
    decoder.feed(task("task_started", json!({"is_backgrounded": false})).as_bytes());
    decoder.feed(format!("{}\n", result(json!({"result": "x"}))).as_bytes());
    assert!(decoder.is_done(), "a task in the foreground ends before its turn");
}

#[test]
fn a_process_that_goes_on_in_another_session_says_so() {
    let reset =
        json!({"type": "conversation_reset", "new_conversation_id": "b", "trigger": "clear"}).to_string();
    let (events, verdict) = lines(
        &[&init("a", json!({})), &reset, &init("b", json!({})), &result(json!({"num_turns": 0}))],
        &Exit::default(),
    );
    assert_eq!(sessions(&events), ["a", "b"]);
    assert_eq!((verdict.status, verdict.session.as_deref()), (Status::Completed, Some("b")));
    let (events, _) = lines(&[&reset, &init("b", json!({}))], &Exit::default());
    assert_eq!(sessions(&events), ["b"]);
}

#[test]
fn what_another_model_supersedes_is_no_answer() {
    let first = said("m1", "u1", "I cannot", json!({}));
    let second = said("m1", "u2", "but I can", json!({"supersedes": ["u1"]}));
    let (events, verdict) =
        lines(&[&first, &second, &result(json!({"result": "but I can"}))], &Exit::default());
    assert_eq!(verdict.text.as_deref(), Some("but I can"));
    let told = json!({"type": "party/superseded", "uuids": ["u1"]});
    let is_told =
        |event: &Decoded| matches!(event, Decoded::Event(TurnEvent::Raw { event }) if event.value() == told);
    assert!(events.iter().any(is_told), "{events:?}");
}

#[test]
fn an_answer_that_is_only_structured_is_an_answer() {
    let (_, verdict) = lines(&[&result(json!({"structured_output": {"name": "Ada"}}))], &Exit::default());
    assert_eq!((verdict.status, verdict.text.as_deref()), (Status::Completed, Some(r#"{"name":"Ada"}"#)));
}

#[test]
fn replayed_lines_and_partial_messages_are_no_words_of_the_agent() {
    let replayed = json!({"type": "user", "isReplay": true, "uuid": "r",
        "message": {"content": [{"type": "tool_result", "tool_use_id": "t", "content": "old"}]}});
    let delta = json!({"type": "stream_event", "uuid": "d",
        "event": {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hel"}}});
    let (events, verdict) = lines(
        &[&replayed.to_string(), &delta.to_string(), &said("m", "u", "Hello", json!({}))],
        &Exit { code: Some(0), ..Exit::default() },
    );
    let texts: Vec<_> = events.iter().filter(|event| !crate::table::is_raw(event)).collect();
    assert_eq!(texts, [&Decoded::Event(TurnEvent::Text { text: "Hello".into() })]);
    assert_eq!(verdict.text.as_deref(), Some("Hello"));
}

#[test]
fn a170_each_turn_of_a_process_costs_its_own() {
    let mut decoder = decoder();
    decoder.feed(format!("{}\n", init("s", json!({}))).as_bytes());
    let mut costs = Vec::new();
    for (total, uuid) in [(0.0010, "1"), (0.0025, "2"), (0.0026, "3")] {
        let line = result(json!({"result": "x", "total_cost_usd": total, "uuid": uuid}));
        decoder.feed(format!("{line}\n").as_bytes());
        costs.push(decoder.end_turn().cost.amount().map(Usd::as_micros));
    }
    assert_eq!(costs, [Some(1000), Some(1500), Some(100)]);
}
