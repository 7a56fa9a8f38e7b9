//! Lines that come twice, that nobody knows, or that are damaged.

use crate::table::{decode, decoder, is_raw, table, without_raw};
use party_harness::{
    TurnEvent,
    claude_code::codec::{Decoded, Exit},
};
use serde_json::{Value, json};

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

#[test]
fn a158_doubled_lines_are_read_once() {
    for row in table() {
        let bytes = row.bytes();
        let (events, verdict) = row.decode([bytes.as_slice()]);
        let doubled: Vec<u8> = lines(&bytes).flat_map(|line| [line, line].concat()).collect();
        let twice = [bytes.as_slice(), &bytes].concat();
        for repeated in [doubled, twice] {
            let (repeated_events, repeated_verdict) = row.decode([repeated.as_slice()]);
            assert_eq!(without_raw(repeated_events), without_raw(events.clone()), "{}", row.recording);
            assert_eq!(repeated_verdict, verdict, "{}", row.recording);
        }
    }
}

#[test]
fn a158_a_result_that_comes_again_after_its_turn_ends_no_other() {
    let result =
        br#"{"type":"result","is_error":false,"num_turns":1,"result":"a","uuid":"u1","total_cost_usd":1}
"#;
    let mut decoder = decoder();
    decoder.feed(result);
    assert!(decoder.is_done());
    assert_eq!(decoder.end_turn().text.as_deref(), Some("a"));
    assert_eq!((decoder.feed(result), decoder.is_done()), (vec![], false));
}

#[test]
fn a176_unknown_fields_types_and_blocks_change_nothing() {
    for row in table() {
        let bytes = row.bytes();
        let (events, verdict) = row.decode([bytes.as_slice()]);
        let strange: String = lines(&bytes).map(strange).collect();
        let (strange_events, strange_verdict) = row.decode([strange.as_bytes()]);
        let raw = |events: &[Decoded]| events.iter().filter(|event| is_raw(event)).count();
        assert!(raw(&strange_events) >= raw(&events) + 3 * lines(&bytes).count(), "{}", row.recording);
        assert_eq!(without_raw(strange_events), without_raw(events), "{}", row.recording);
        assert_eq!(strange_verdict, verdict, "{}", row.recording);
    }
}

/// The line with fields that nobody knows, an unknown block in its content, and unknown lines before
/// it, one of which bears its id. All else stays as it is written.
fn strange(line: &[u8]) -> String {
    let line = std::str::from_utf8(line).unwrap();
    let Ok(value) = serde_json::from_str::<Value>(line) else { return format!("{{}}\n[]\n0\n{line}") };
    let future = json!({"type": "result", "is_error": true, "error": "overloaded"});
    let line = line.replacen('{', &format!(r#"{{"from_the_future":{future},"#), 1);
    let line = line.replacen(r#""message":{"#, r#""message":{"mood":{"content":[]},"#, 1);
    let block = r#"{"type":"hologram","text":"?"},{"type":"text","text":{"now":"an object"}}"#;
    let line = line.replacen(r#""content":[{"#, &format!(r#""content":[{block},{{"#), 1);
    let unknown = json!({"type": "telepathy", "uuid": value["uuid"], "subtype": ["init"]});
    format!("{unknown}\n\0\n[]\n{line}")
}

#[test]
fn a177_damaged_bytes_are_kept_as_raw_and_what_follows_is_read() {
    let mut input = b"\xff\xfe{\n{\"type\":\"resu\n\0\0\n[SandboxDebug] hello\n{\"type\":7}\n".to_vec();
    input.extend_from_slice(&vec![b'x'; 10_000]);
    input.extend_from_slice(
        br#"
{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"half \ud83d"}]},"uuid":"u1"}
"#,
    );
    let mut decoder = decoder().line_limit(4096);
    let events = decoder.feed(&input);
    assert_eq!((events.iter().filter(|event| is_raw(event)).count(), events.len()), (6, 7), "{events:?}");
    let text = TurnEvent::Text { text: "half \u{fffd}".into() };
    assert_eq!(events.last(), Some(&Decoded::Event(text)));
    let long = r#"{"type":"party/lineTooLong","bytes":10000}"#;
    let is_long = |event: &Decoded| match event {
        Decoded::Event(TurnEvent::Raw { event }) => {
            event.value() == serde_json::from_str::<Value>(long).unwrap()
        }
        _ => false,
    };
    assert!(is_long(&events[5]), "{:?}", events[5]);
}

#[test]
fn a177_any_byte_of_a_recording_may_be_damaged() {
    for row in table().iter().step_by(9) {
        let bytes = row.bytes();
        for (step, damage) in [(97, 0xff), (101, 0), (103, b'"'), (107, b'\n'), (109, b'\\'), (113, b'}')] {
            let mut damaged = bytes.clone();
            damaged.iter_mut().skip(step).step_by(step).for_each(|byte| *byte = damage);
            let whole = decode([damaged.as_slice()], &row.exit());
            assert_eq!(decode(damaged.chunks(7), &row.exit()), whole, "{}", row.recording);
        }
    }
}

#[test]
fn raw_lines_are_handed_on_as_they_came_and_can_be_read_by_all() {
    let line = r#"{"type":"system", "subtype":"new","n":1.50,"a":"é\u00e9 \ud83d\ude00","b":"\udead"}"#;
    let (events, _) = decode([line.as_bytes()], &Exit::default());
    let [Decoded::Event(TurnEvent::Raw { event })] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(event.get(), line.replace(r"\udead", r"\ufffd"));
    assert_eq!(event.value()["b"], "\u{fffd}");
}

#[test]
fn a177_the_last_of_two_fields_of_one_name_counts() {
    let said = |text: &str| format!(r#""message":{{"content":[{{"type":"text","text":"{text}"}}]}}"#);
    let events = |fields: &str| {
        let line = format!(r#"{{"type":"result","type":"assistant",{fields}}}"#);
        decode([line.as_bytes()], &Exit::default()).0
    };
    let text = TurnEvent::Text { text: "b".into() };
    assert_eq!(events(&[said("a"), said("b")].join(",")), [Decoded::Event(text)]);
    assert!(is_raw(&events(&format!("{},\"message\":\"c\"", said("a")))[0]));
}
