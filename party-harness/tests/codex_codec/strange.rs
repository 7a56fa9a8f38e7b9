//! Lines that come twice, that nobody knows, or that are damaged.

use crate::table::{decode, decoder, is_raw, lines, table, without_raw};
use party_harness::{TurnEvent, codex::codec::Decoded};
use serde_json::json;

fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

#[test]
fn a177_doubled_lines_are_read_once() {
    for row in table() {
        let bytes = row.bytes();
        let doubled: Vec<u8> = split(&bytes).flat_map(|line| [line, line].concat()).collect();
        let twice = [bytes.as_slice(), &bytes].concat();
        for repeated in [doubled, twice] {
            let repeated = without_raw(decode([repeated.as_slice()]));
            assert_eq!(repeated, without_raw(row.events()), "{}", row.recording);
        }
    }
}

#[test]
fn a176_unknown_fields_types_and_blocks_change_nothing() {
    for row in table() {
        let bytes = row.bytes();
        let strange: String = split(&bytes).enumerate().map(|(n, line)| strange(n, line)).collect();
        let (events, strange_events) = (row.events(), decode([strange.as_bytes()]));
        let raw = |events: &[Decoded]| events.iter().filter(|event| is_raw(event)).count();
        assert!(raw(&strange_events) >= raw(&events) + 3 * split(&bytes).count(), "{}", row.recording);
        assert_eq!(without_raw(strange_events), without_raw(events), "{}", row.recording);
    }
}

/// The line with fields that nobody knows at each level, a strange item of its turn behind it, and
/// unknown lines before it. All else stays as it is written.
fn strange(n: usize, line: &[u8]) -> String {
    let line = std::str::from_utf8(line).unwrap();
    let future = json!({"method": "turn/completed", "id": [1], "error": "overloaded"});
    let mut line = line.replacen('{', &format!(r#"{{"from_the_future":{future},"#), 1);
    for level in ["msg", "params", "item", "turn", "tokenUsage"] {
        let (open, with) =
            (format!(r#""{level}":{{"#), format!(r#""{level}":{{"mood":{{"turn":{{"id":[{n}]}}}},"#));
        line = line.replacen(&open, &with, 1);
    }
    let block = r#"{"type":"hologram","text":"?"},{"type":"text","text":{"now":"an object"}}"#;
    let line = line.replacen(r#""content":[{"#, &format!(r#""content":[{block},{{"#), 1);
    let unknown = json!({"method": "telepathy/began", "params": {"threadId": "t", "n": n}});
    format!("{unknown}\n\0\n[]\n{line}")
}

#[test]
fn a176_an_unknown_notification_or_item_of_a_turn_is_an_event_of_it() {
    let line = |method: &str, item: &str| {
        format!(r#"{{"method":"{method}","params":{{"threadId":"t","turnId":"1","item":{item}}}}}"#)
    };
    let hologram = line("item/completed", r#"{"type":"hologram","id":"h"}"#);
    let telepathy = line("item/telepathy", "{}");
    let events = lines(&[&hologram, &hologram, &telepathy]);
    let [Decoded::Began { .. }, first, second, Decoded::Ended { .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    for (event, line) in [(first, hologram), (second, telepathy)] {
        let Decoded::Event { event: TurnEvent::Raw { event }, .. } = event else { panic!("{event:?}") };
        assert_eq!(event.get(), line);
    }
}

#[test]
fn a176_what_is_recorded_is_handed_on_without_its_recording() {
    let events = lines(&[r#"{"t":1,"dir":"s2c","msg": {"method":"new","params":{}} }"#]);
    let [Decoded::Other(raw)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(raw.get(), r#"{"method":"new","params":{}}"#);
    assert_eq!(lines(&[r#"{"dir":"c2s","msg":{"method":"turn/start","id":1}}"#, r#"{"dir":"note"}"#]), []);
}

#[test]
fn a177_damaged_bytes_are_kept_as_raw_and_what_follows_is_read() {
    let mut input = b"\xff\xfe{\n{\"method\":\"turn\n\0\0\nlistening on\n{\"method\":7}\n".to_vec();
    input.extend_from_slice(&vec![b'x'; 10_000]);
    input.extend_from_slice(
        br#"
{"method":"item/completed","params":{"item":{"type":"agentMessage","id":"m","text":"half \ud83d"},"threadId":"t","turnId":"1"}}
"#,
    );
    let mut decoder = decoder().line_limit(4096);
    let events = decoder.feed(&input);
    assert_eq!((events.iter().filter(|event| is_raw(event)).count(), events.len()), (6, 8), "{events:?}");
    let text = TurnEvent::Text { text: "half \u{fffd}".into() };
    assert_eq!(events.last(), Some(&Decoded::Event { turn: "1".into(), event: text }));
    let Decoded::Other(long) = &events[5] else { panic!("{:?}", events[5]) };
    assert_eq!(long.value(), json!({"lineTooLong": 10_000}));
}

#[test]
fn a177_any_byte_of_a_recording_may_be_damaged() {
    for row in table().iter().step_by(5) {
        let bytes = row.bytes();
        for (step, damage) in [(97, 0xff), (101, 0), (103, b'"'), (107, b'\n'), (109, b'\\'), (113, b'}')] {
            let mut damaged = bytes.clone();
            damaged.iter_mut().skip(step).step_by(step).for_each(|byte| *byte = damage);
            let whole = decode([damaged.as_slice()]);
            assert_eq!(decode(damaged.chunks(7)), whole, "{}", row.recording);
        }
    }
}

#[test]
fn a176_fields_of_another_kind_are_no_danger() {
    let of = |params: &str| format!(r#"{{"method":"item/completed","params":{params}}}"#);
    for params in [
        "7",
        "null",
        r#""x""#,
        "[]",
        r#"{"threadId":1,"turnId":{},"item":null}"#,
        r#"{"threadId":"t","turnId":"1","item":"agentMessage"}"#,
        r#"{"threadId":"t","turnId":"1","item":{"type":["agentMessage"],"text":7}}"#,
    ] {
        let events = without_raw(lines(&[&of(params)]));
        let quiet = |event: &Decoded| matches!(event, Decoded::Began { .. } | Decoded::Ended { .. });
        assert!(events.iter().all(quiet), "{params}: {events:?}");
    }
    let usage = r#"{"method":"thread/tokenUsage/updated","params":{"threadId":"t","turnId":"1","tokenUsage":{"total":[1],"last":{"inputTokens":-4,"outputTokens":1e99}}}}"#;
    assert_eq!(lines(&[usage]).len(), 2);
}
