//! Large and endless output: what is kept is bounded, and nothing hangs.

use crate::table::{decode, decoder, is_raw, lines};
use party_harness::{
    TurnEvent,
    codex::codec::{Decoded, Status},
};
use serde_json::json;

fn notification(method: &str, turn: &str, params: &serde_json::Value) -> String {
    let mut params = params.clone();
    (params["threadId"], params["turnId"]) = (json!("t"), json!(turn));
    json!({"method": method, "params": params}).to_string()
}

#[test]
fn a177_a_line_over_the_limit_is_dropped_and_what_follows_is_read() {
    let mut input = vec![b'x'; 65 << 20];
    let turn = json!({"id": "1", "status": "completed", "items": [{"type": "agentMessage", "text": "read"}]});
    input.extend_from_slice(b"\n");
    input.extend_from_slice(notification("turn/completed", "1", &json!({ "turn": turn })).as_bytes());
    let events = decode(input.chunks(64 << 10));
    let [Decoded::Other(long), Decoded::Began { .. }, Decoded::Ended { verdict, .. }] = events.as_slice()
    else {
        panic!("{} events", events.len())
    };
    assert_eq!(long.value(), json!({"lineTooLong": 65 << 20}));
    assert_eq!((verdict.status, verdict.text.as_deref()), (Status::Answered, Some("read")));
}

#[test]
fn a177_ten_million_empty_lines_are_nothing() {
    let mut decoder = decoder();
    let lines = vec![b'\n'; 1 << 20];
    for _ in 0..10 {
        assert_eq!(decoder.feed(&lines), []);
    }
    assert_eq!(decoder.finish(), []);
}

#[test]
fn a177_deep_nesting_is_no_danger() {
    for open in ["[", "{\"a\":", "{\"params\":{\"item\":{\"content\":["] {
        let input = open.repeat((1 << 20) / open.len());
        let events = decode([input.as_bytes(), b"}\n"]);
        assert!(events.len() == 1 && is_raw(&events[0]));
    }
    let nested = format!("{{\"method\":\"new\",\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let events = decode([nested.as_bytes()]);
    assert!(events.len() == 1 && is_raw(&events[0]));
}

/// Their names are in order, so the oldest is forgotten.
#[test]
fn a177_turns_that_never_end_are_kept_in_mind_up_to_a_limit() {
    let mut decoder = decoder();
    for turn in 0..10_000 {
        let line = notification("turn/started", &format!("{turn:05}"), &json!({}));
        assert_eq!(decoder.feed(format!("{line}\n").as_bytes()).len(), 1);
    }
    let ends = decoder.finish();
    let Some(Decoded::Ended { turn, .. }) = ends.first() else { panic!("{} ends", ends.len()) };
    assert_eq!((ends.len(), &**turn), (4096, "05904"));
}

#[test]
fn a_text_of_one_line_is_one_text_in_event_and_verdict() {
    let item = json!({"item": {"type": "agentMessage", "id": "m", "text": "a\nb"}});
    let turn = json!({"turn": {"id": "1", "status": "completed", "items": []}});
    let events =
        lines(&[&notification("item/completed", "1", &item), &notification("turn/completed", "1", &turn)]);
    let [_, Decoded::Event { event: TurnEvent::Text { text }, .. }, Decoded::Ended { verdict, .. }] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert!(std::sync::Arc::ptr_eq(text, verdict.text.as_ref().unwrap()));
}
