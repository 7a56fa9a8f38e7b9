//! Large and endless output: what is kept is bounded, and nothing hangs.

use crate::table::{decode, decoder, is_raw};
use party_harness::{
    TurnEvent,
    claude_code::codec::{Decoded, Exit, Status},
};

#[test]
fn a177_a_line_over_the_limit_is_dropped_and_what_follows_is_read() {
    let mut input = vec![b'x'; 65 << 20];
    input.extend_from_slice(b"\n{\"type\":\"result\",\"result\":\"read\",\"num_turns\":1}\n");
    let (events, verdict) = decode(input.chunks(64 << 10), &Exit::default());
    let [Decoded::Event(TurnEvent::Raw { event }), Decoded::Event(TurnEvent::Spent { .. })] =
        events.as_slice()
    else {
        panic!("{} events", events.len())
    };
    assert_eq!(
        (&event.value()["type"], &event.value()["bytes"]),
        (&"party/lineTooLong".into(), &(65 << 20).into())
    );
    assert_eq!((verdict.status, verdict.text.as_deref()), (Status::Completed, Some("read")));
}

#[test]
fn a177_ten_million_empty_lines_are_nothing() {
    let mut decoder = decoder();
    let lines = vec![b'\n'; 1 << 20];
    for _ in 0..10 {
        assert_eq!(decoder.feed(&lines), []);
    }
    let (events, verdict) = decoder.finish(&Exit::default());
    assert_eq!((events, verdict.status), (vec![], Status::Failed));
}

#[test]
fn a177_deep_nesting_is_no_danger() {
    for open in ["[", "{\"a\":", "{\"type\":\"assistant\",\"message\":{\"content\":["] {
        let input = open.repeat((1 << 20) / open.len());
        let (events, _) = decode([input.as_bytes(), b"}\n"], &Exit::default());
        assert!(events.len() == 1 && is_raw(&events[0]));
    }
    let nested = format!("{{\"type\":\"new\",\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let (events, _) = decode([nested.as_bytes()], &Exit::default());
    assert!(events.len() == 1 && is_raw(&events[0]));
}

#[test]
fn a_text_of_one_line_is_one_text_in_event_answer_and_verdict() {
    let said =
        br#"{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"a\nb"}]},"uuid":"1"}
{"type":"result","is_error":false,"num_turns":1,"result":"a\nb","uuid":"2"}"#;
    let (events, verdict) = decode([said.as_slice()], &Exit::default());
    let Decoded::Event(TurnEvent::Text { text }) = &events[0] else { panic!("{events:?}") };
    assert!(std::sync::Arc::ptr_eq(text, verdict.text.as_ref().unwrap()));
}
