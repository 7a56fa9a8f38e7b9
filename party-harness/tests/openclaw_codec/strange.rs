//! Frames that come twice, that nobody knows, or that are damaged.

use crate::table::{decode, is_raw, table, without_raw};
use party_harness::{
    TurnEvent,
    openclaw::codec::{Decoded, Decoder},
};
use serde_json::{Value, json};

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

/// But for what says only that the gateway lives.
#[test]
fn a158_doubled_frames_are_read_once() {
    for row in table() {
        let bytes = row.bytes();
        let counts = |event: &Decoded| match event {
            Decoded::Event { event, .. } => {
                !matches!(event, TurnEvent::Waiting { .. } | TurnEvent::RateLimit { .. })
            }
            _ => !matches!(event, Decoded::Accepted { .. }),
        };
        let events = |bytes: &[u8]| {
            let mut events = without_raw(decode([bytes]));
            events.retain(counts);
            events
        };
        let doubled: Vec<u8> = lines(&bytes).flat_map(|line| [line, line].concat()).collect();
        assert_eq!(events(&doubled), events(&bytes), "{}", row.recording);
    }
}

#[test]
fn a176_unknown_fields_types_and_blocks_change_nothing() {
    for row in table() {
        let bytes = row.bytes();
        let strange: String = lines(&bytes).map(strange).collect();
        let (events, strange_events) = (decode([bytes.as_slice()]), decode([strange.as_bytes()]));
        let raw = |events: &[Decoded]| events.iter().filter(|event| is_raw(event)).count();
        assert!(raw(&strange_events) >= raw(&events) + 2 * lines(&bytes).count(), "{}", row.recording);
        assert_eq!(without_raw(strange_events), without_raw(events), "{}", row.recording);
    }
}

/// The line with fields and blocks that nobody knows, and unknown frames before it, one of them of the
/// same run. All else stays as it is written.
fn strange(line: &[u8]) -> String {
    let line = std::str::from_utf8(line).unwrap();
    let value: Value = serde_json::from_str(line).unwrap();
    // A name that is no run's would begin one.
    let is_run = matches!(value["frame"]["event"].as_str(), Some("agent" | "chat"));
    let run = if is_run { &value["frame"]["payload"]["runId"] } else { &Value::Null };
    let future = json!({"type": "res", "ok": false, "error": {"code": "UNAVAILABLE"}});
    let line = line.replacen(r#""frame":{"#, &format!(r#""frame":{{"fromTheFuture":{future},"#), 1);
    let line = line.replacen(r#""payload":{"#, r#""payload":{"mood":{"status":"ok"},"#, 1);
    let block = r#"{"type":"hologram","depth":3}"#;
    let line =
        line.replacen(r#""content":[{"type":"text""#, &format!(r#""content":[{block},{{"type":"text""#), 1);
    let stream = json!({"type": "event", "event": "agent",
        "payload": {"runId": run, "stream": "telepathy", "data": {"phase": "end", "text": "?"}}});
    format!("{{\"type\":\"telepathy\"}}\n\0\n{stream}\n{line}")
}

#[test]
fn a176_an_unknown_stream_is_an_event_of_its_run_whatever_its_data() {
    for data in
        ["null", "true", "7", "-7", "0.5", r#""half""#, r#"[1,{"phase":"end"}]"#, r#"{"phase":"end"}"#]
    {
        let payload = format!(r#"{{"runId":"r","stream":"telepathy","data":{data}}}"#);
        let line = format!(r#"{{"type":"event","event":"agent","payload":{payload}}}"#);
        let events = Decoder::new().feed(format!("{line}\n").as_bytes());
        let [Decoded::Event { run, event: TurnEvent::Raw { event } }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!((run.as_str(), event.get()), ("r", payload.as_str()));
    }
}

#[test]
fn a177_damaged_bytes_are_kept_as_raw_and_what_follows_is_read() {
    let mut input = b"\xff\xfe{\n{\"type\":\"re\n\0\0\n{\"type\":7}\n".to_vec();
    input.extend_from_slice(
        br#"{"type":"event","event":"agent","payload":{"runId":"r","stream":"assistant","data":{"text":"half \ud83d","itemId":"1"}}}
"#,
    );
    let mut decoder = Decoder::new();
    let events = decoder.feed(&input);
    assert_eq!((events.iter().filter(|event| is_raw(event)).count(), events.len()), (4, 5), "{events:?}");
    let text = TurnEvent::Text { text: "half \u{fffd}".into() };
    assert_eq!(events.last(), Some(&Decoded::Event { run: "r".to_owned(), event: text }));
}

#[test]
fn a177_any_byte_of_a_recording_may_be_damaged() {
    for row in table() {
        let bytes = row.bytes();
        for (step, damage) in [(97, 0xff), (101, 0), (103, b'"'), (107, b'\n'), (109, b'\\'), (113, b'}')] {
            let mut damaged = bytes.clone();
            damaged.iter_mut().skip(step).step_by(step * 7).for_each(|byte| *byte = damage);
            assert_eq!(decode(damaged.chunks(7)), decode([damaged.as_slice()]), "{}", row.recording);
        }
    }
}
