//! Large and endless output: what is kept is bounded, and nothing hangs.

use crate::table::{decode, is_raw};
use party_harness::openclaw::codec::{Decoded, Decoder};
use serde_json::json;

#[test]
fn a177_a_line_over_the_limit_is_dropped_and_what_follows_is_read() {
    let mut input = vec![b'x'; 10_000];
    input.extend_from_slice(b"\n{\"type\":\"event\",\"event\":\"new\"}\n");
    let mut decoder = Decoder::new().line_limit(4096);
    let events: Vec<_> = input.chunks(1000).flat_map(|chunk| decoder.feed(chunk)).collect();
    let [Decoded::Other(long), Decoded::Other(new)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(long.value(), json!({"lineTooLong": 10_000}));
    assert_eq!(new.value()["event"], "new");
}

#[test]
fn a177_ten_million_empty_lines_are_nothing() {
    let mut decoder = Decoder::new();
    let lines = vec![b'\n'; 1 << 20];
    for _ in 0..10 {
        assert_eq!(decoder.feed(&lines), []);
    }
    assert_eq!(decoder.finish(), []);
}

#[test]
fn a177_deep_nesting_is_no_danger() {
    for open in ["[", "{\"a\":", "{\"type\":\"event\",\"event\":\"agent\",\"payload\":{\"data\":["] {
        let input = open.repeat((1 << 20) / open.len());
        let events = decode([input.as_bytes(), b"}\n"]);
        assert!(events.len() == 1 && is_raw(&events[0]));
    }
}

/// A gateway that names ever new runs, calls and requests fills no memory: the oldest are forgotten.
#[test]
fn a177_endless_runs_and_calls_are_forgotten() {
    let mut decoder = Decoder::new();
    for run in 0..20_000 {
        let line = json!({"type": "event", "event": "agent", "payload": {"runId": format!("r{run}"),
            "stream": "tool", "data": {"phase": "start", "name": "t", "toolCallId": format!("c{run}"), "args": {}}}});
        assert_eq!(decoder.feed(format!("{line}\n").as_bytes()).len(), 1);
    }
    for call in 0..20_000 {
        let line = json!({"type": "event", "event": "agent", "payload": {"runId": "one", "stream": "tool",
            "data": {"phase": "start", "name": "t", "toolCallId": format!("c{call}"), "args": {}}}});
        decoder.feed(format!("{line}\n").as_bytes());
    }
    assert!(decoder.finish().len() <= 4096);
}
