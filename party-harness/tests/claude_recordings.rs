//! Recordings of the real Claude Code binary, decoded whole, cut, repeated and damaged.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use party_core::Usd;
use party_harness::{
    TurnEvent,
    claude_code::{Decoded, Decoder, Exit, Status, Verdict},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

struct Row {
    recording: &'static str,
    /// The exit code, or minus the signal.
    exit: i32,
    status: Status,
    text: Option<&'static str>,
    micros: Option<u64>,
    calls: usize,
}

const fn row(
    recording: &'static str,
    exit: i32,
    status: Status,
    text: Option<&'static str>,
    micros: Option<u64>,
    calls: usize,
) -> Row {
    Row { recording, exit, status, text, micros, calls }
}

use Status::{Cancelled, Completed, Empty, Failed, NotStarted, Poisoned, Refused};

const TABLE: [Row; 38] = [
    row("2.1.329/agent_missing", 1, NotStarted, None, Some(0), 0),
    row("2.1.329/bash_background_task", 0, Completed, Some("bg finished"), Some(4470), 1),
    row("2.1.329/empty_forever", 0, Empty, None, Some(2980), 0),
    row("2.1.329/err_400_prompt_too_long", 1, Failed, None, Some(0), 0),
    row("2.1.329/err_401", 1, Failed, None, Some(0), 0),
    row("2.1.329/err_429_forever", 1, Failed, None, Some(0), 0),
    row("2.1.329/err_sse_overloaded", 1, Failed, None, Some(2980), 0),
    row("2.1.329/err_tool_then_500", 1, Failed, Some("Working."), Some(1490), 1),
    row("2.1.329/fallback_model", 0, Completed, Some("fallback answered"), Some(1268), 0),
    row("2.1.329/interrupt_mid_text", 0, Completed, Some("continued"), Some(2340), 0),
    row("2.1.329/json_schema", 0, Completed, Some(r#"{"name":"Ada"}"#), Some(1490), 1),
    row("2.1.329/max_budget", 1, Failed, None, Some(1_000_650), 1),
    row("2.1.329/max_turns", 1, Failed, None, Some(1490), 1),
    row("2.1.329/mcp_config_bad_schema", 0, Poisoned, Some("x"), Some(1490), 0),
    row("2.1.329/mcp_dead_401", 0, Poisoned, Some("tool missing"), Some(2980), 1),
    row("2.1.329/mcp_dead_connrefused", 0, Poisoned, Some("tool missing"), Some(2980), 1),
    row("2.1.329/mcp_dead_toolslist_fail", 0, Poisoned, Some("tool missing"), Some(2980), 1),
    row("2.1.329/mcp_hang", 0, Poisoned, Some("tool missing"), Some(2980), 1),
    row("2.1.329/no_api_key", 1, Failed, None, Some(0), 0),
    row("2.1.329/rate_limit_rejected_oauth", 1, Failed, None, Some(0), 0),
    row("2.1.329/rate_limit_warning_oauth", 0, Completed, Some("x"), Some(745), 0),
    row("2.1.329/resume_nonexisting", 1, Refused, None, Some(0), 0),
    row(
        "2.1.329/sigint_mid_text",
        0,
        Cancelled,
        Some("word word word word word word word word "),
        Some(910),
        0,
    ),
    row("2.1.329/sigkill_mid_bash", -9, Failed, Some("Starting."), None, 1),
    row("2.1.329/sigterm_mid_bash", 143, Failed, Some("Starting."), None, 1),
    row("2.1.329/stdin_slash_plain", 0, Completed, Some("## Context Usage"), Some(0), 0),
    row("2.1.329/stop_max_tokens", 1, Failed, Some("cut of"), Some(5960), 0),
    row("2.1.329/subagent_default", 0, Completed, Some("Main final."), Some(7450), 1),
    row(
        "2.1.329/teaparty_shape_cold",
        0,
        Completed,
        Some("Dispatched; I wait for the reply."),
        Some(2980),
        1,
    ),
    row("2.1.329/tool_then_empty_forever", 0, Empty, Some("Working on it."), Some(4470), 1),
    row("2.1.329/unicode", 0, Completed, Some("Ünïcödé 漢字"), Some(1490), 0),
    row("2.1.197/empty_forever", 0, Empty, None, Some(4225), 0),
    row("2.1.197/mcp_dead", 0, Poisoned, Some("x"), Some(4225), 1),
    row("2.1.197/mcp_hang", 0, Poisoned, Some("x"), Some(2113), 0),
    row("2.1.197/mcp_ok", 0, Completed, Some("x"), Some(4225), 1),
    row("2.1.197/plain", 0, Completed, Some("x"), Some(2113), 0),
    row("2.1.197/resume_nonexisting", 1, Refused, None, Some(0), 0),
    row("2.1.197/subagent_default", 0, Completed, Some("Main final."), Some(8450), 1),
];

impl Row {
    fn bytes(&self) -> Vec<u8> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude");
        fs::read(folder.join(format!("{}.jsonl", self.recording))).unwrap()
    }

    fn decoder(&self) -> Decoder {
        let decoder = Decoder::new();
        if self.recording.contains("/mcp_") { decoder.requires("bus", &["mcp__bus__Send"]) } else { decoder }
    }

    fn exit(&self) -> Exit {
        let signal = (self.exit < 0).then_some(-self.exit);
        Exit { code: signal.is_none().then_some(self.exit), signal, ..Exit::default() }
    }

    fn decode<'a>(&self, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Decoded>, Verdict) {
        let mut decoder = self.decoder();
        let mut events: Vec<_> = chunks.into_iter().flat_map(|chunk| decoder.feed(chunk)).collect();
        let (rest, verdict) = decoder.finish(&self.exit());
        events.extend(rest);
        (events, verdict)
    }
}

fn without_raw(mut events: Vec<Decoded>) -> Vec<Decoded> {
    events.retain(|event| !matches!(event, Decoded::Event(TurnEvent::Raw { .. })));
    events
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

#[test]
fn a163_a164_each_recording_comes_to_what_it_was() {
    for row in &TABLE {
        let (events, verdict) = row.decode([row.bytes().as_slice()]);
        let name = row.recording;
        assert_eq!(verdict.status, row.status, "{name}: {verdict:?}");
        let text = verdict.text.as_deref();
        assert!(text.is_some() == row.text.is_some(), "{name}: {text:?}");
        assert!(text.unwrap_or_default().starts_with(row.text.unwrap_or_default()), "{name}: {text:?}");
        assert_eq!(verdict.cost.amount().map(Usd::as_micros), row.micros, "{name}");
        let calls = events.iter().filter(|event| matches!(event, Decoded::Event(TurnEvent::ToolUse { .. })));
        assert_eq!(calls.count(), row.calls, "{name}");
        assert_eq!(verdict.reason.is_none(), row.status == Completed, "{name}: {:?}", verdict.reason);
        let useless = matches!(row.status, Empty | Poisoned | Refused | NotStarted);
        assert_eq!(verdict.session.is_none(), useless, "{name}: {:?}", verdict.session);
    }
}

#[test]
fn a_recording_has_one_session_and_no_words_of_others() {
    for row in &TABLE {
        let (events, _) = row.decode([row.bytes().as_slice()]);
        let sessions = events.iter().filter(|event| matches!(event, Decoded::Session(_))).count();
        assert_eq!(sessions, usize::from(!matches!(row.status, Refused | NotStarted)), "{}", row.recording);
        let foreign = |text: &str| text.contains("API Error") || text.starts_with("Sub ");
        let texts =
            events.iter().filter(|e| matches!(e, Decoded::Event(TurnEvent::Text { text }) if foreign(text)));
        assert_eq!(texts.count(), 0, "{}: texts of sub-agents or of the CLI itself", row.recording);
    }
}

#[test]
fn waits_and_limits_are_events() {
    let has = |name: &str, wanted: fn(&TurnEvent) -> bool| {
        let row = TABLE.iter().find(|row| row.recording == name).unwrap();
        let (events, _) = row.decode([row.bytes().as_slice()]);
        events.iter().any(|event| matches!(event, Decoded::Event(event) if wanted(event)))
    };
    assert!(has("2.1.329/err_429_forever", |event| matches!(event, TurnEvent::Waiting { .. })));
    let rejected =
        |event: &TurnEvent| matches!(event, TurnEvent::RateLimit { rejected: true, resets_at: Some(_) });
    let warned =
        |event: &TurnEvent| matches!(event, TurnEvent::RateLimit { rejected: false, resets_at: Some(_) });
    assert!(has("2.1.329/rate_limit_rejected_oauth", rejected));
    assert!(has("2.1.329/rate_limit_warning_oauth", warned));
}

#[test]
fn a177_how_the_bytes_are_cut_does_not_matter() {
    for row in &TABLE {
        let bytes = row.bytes();
        let whole = row.decode([bytes.as_slice()]);
        for size in [1, 7, 64 << 10] {
            assert_eq!(row.decode(bytes.chunks(size)), whole, "{} in {size}", row.recording);
        }
    }
}

#[test]
fn a158_doubled_lines_are_read_once() {
    for row in &TABLE {
        let bytes = row.bytes();
        let doubled: Vec<u8> = lines(&bytes).flat_map(|line| [line, line].concat()).collect();
        let (events, verdict) = row.decode([bytes.as_slice()]);
        let (doubled_events, doubled_verdict) = row.decode([doubled.as_slice()]);
        assert_eq!(without_raw(doubled_events), without_raw(events), "{}", row.recording);
        assert_eq!(doubled_verdict, verdict, "{}", row.recording);
    }
}

#[test]
fn a176_unknown_fields_types_and_blocks_change_nothing() {
    for row in &TABLE {
        let bytes = row.bytes();
        let (events, verdict) = row.decode([bytes.as_slice()]);
        let strange: String = lines(&bytes).map(strange).collect();
        let (strange_events, strange_verdict) = row.decode([strange.as_bytes()]);
        assert_eq!(without_raw(strange_events), without_raw(events), "{}", row.recording);
        assert_eq!(strange_verdict, verdict, "{}", row.recording);
    }
}

/// The line with fields that nobody knows, an unknown block in its content, and an unknown line before it.
fn strange(line: &[u8]) -> String {
    let mut value: Value = serde_json::from_slice(line).unwrap();
    value["from_the_future"] = json!({"type": "result", "is_error": true});
    if let Some(content) = value.pointer_mut("/message/content").and_then(Value::as_array_mut) {
        content.insert(0, json!({"type": "hologram", "text": "?"}));
        content.push(json!({"type": "text", "text": {"now": "an object"}}));
    }
    let unknown = json!({"type": "telepathy", "uuid": 7, "subtype": ["init"]});
    format!("{unknown}\n\0\n[]\n{value}\n")
}

#[test]
fn a177_cut_off_anywhere_the_valid_prefix_stays_and_the_end_is_typed() {
    for row in &TABLE {
        let bytes = row.bytes();
        let (whole, _) = row.decode([bytes.as_slice()]);
        let whole = without_raw(whole);
        for end in (0..bytes.len()).step_by(97) {
            let (events, verdict) = row.decode([&bytes[..end]]);
            let events = without_raw(events);
            assert_eq!(events, whole[..events.len()], "{} cut at {end}", row.recording);
            assert!(
                verdict.status == Completed || verdict.reason.is_some(),
                "{} cut at {end}",
                row.recording
            );
        }
    }
}

#[test]
fn damaged_bytes_are_kept_as_raw() {
    let mut decoder = Decoder::new().line_limit(4096);
    let mut input = b"\xff\xfe{\n{\"type\":\"resu\n\0\0\n[SandboxDebug] hello\n{\"type\":7}\n".to_vec();
    input.extend_from_slice(&vec![b'x'; 10_000]);
    input.extend_from_slice(
        br#"
{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"half \ud83d"}]},"uuid":"u1"}
"#,
    );
    let events = decoder.feed(&input);
    let raw = events.iter().filter(|event| matches!(event, Decoded::Event(TurnEvent::Raw { .. }))).count();
    assert_eq!((raw, events.len()), (6, 7), "{events:?}");
    let text = TurnEvent::Text { text: "half \u{fffd}".into() };
    assert_eq!(events.last(), Some(&Decoded::Event(text)));
    assert_eq!(decoder.feed(&vec![b'\n'; 1_000_000]), []);
}
