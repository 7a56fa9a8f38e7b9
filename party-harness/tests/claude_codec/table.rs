//! The recordings of the real binary, and what each of them comes to.

use party_core::{Failure, Usd};
use party_harness::{
    TurnEvent,
    claude_code::codec::{Decoded, Decoder, Exit, Verdict},
};
use serde::Deserialize;
use std::{fs, path::PathBuf};

/// A line of `expected.jsonl`.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Row {
    /// Version and name.
    pub(crate) recording: String,
    /// The exit code, or minus the signal.
    pub(crate) exit: i32,
    /// With every server required that its `init` names.
    pub(crate) status: String,
    pub(crate) failure: Option<Failure>,
    /// The answer; a long one ends with `…` here.
    pub(crate) text: Option<String>,
    pub(crate) micros: Option<u64>,
    /// Steps, as messages of all models are counted.
    pub(crate) steps: u64,
    /// Calls of tools by the agent itself.
    pub(crate) calls: usize,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude")
}

pub(crate) fn table() -> Vec<Row> {
    let text = fs::read_to_string(folder().join("expected.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn row(recording: &str) -> Row {
    table().into_iter().find(|row| row.recording == recording).unwrap()
}

impl Row {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(folder().join(format!("{}.jsonl", self.recording))).unwrap()
    }

    pub(crate) fn exit(&self) -> Exit {
        let signal = (self.exit < 0).then_some(-self.exit);
        Exit { code: signal.is_none().then_some(self.exit), signal, ..Exit::default() }
    }

    pub(crate) fn decode<'a>(&self, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Decoded>, Verdict) {
        decode(chunks, &self.exit())
    }

    /// What `verdict` and `events` say, as a row.
    pub(crate) fn found(&self, events: &[Decoded], verdict: &Verdict) -> Self {
        let calls = events.iter().filter(|event| matches!(event, Decoded::Event(TurnEvent::ToolUse { .. })));
        Self {
            recording: self.recording.clone(),
            exit: self.exit,
            status: format!("{:?}", verdict.status),
            failure: verdict.failure,
            text: verdict.text.as_deref().map(shortened),
            micros: verdict.cost.amount().map(Usd::as_micros),
            steps: verdict.usage.steps,
            calls: calls.count(),
        }
    }
}

fn shortened(text: &str) -> String {
    text.char_indices().nth(60).map_or_else(|| text.to_owned(), |(end, _)| format!("{}…", &text[..end]))
}

pub(crate) fn decoder() -> Decoder {
    Decoder::new().requires_every_server()
}

pub(crate) fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, exit: &Exit) -> (Vec<Decoded>, Verdict) {
    let mut decoder = decoder();
    let mut events: Vec<_> = chunks.into_iter().flat_map(|chunk| decoder.feed(chunk)).collect();
    let (rest, verdict) = decoder.finish(exit);
    events.extend(rest);
    (events, verdict)
}

/// Decodes lines that are written out in a test.
pub(crate) fn lines(lines: &[&str], exit: &Exit) -> (Vec<Decoded>, Verdict) {
    decode([lines.join("\n").as_bytes()], exit)
}

pub(crate) fn without_raw(mut events: Vec<Decoded>) -> Vec<Decoded> {
    events.retain(|event| !is_raw(event));
    events
}

pub(crate) fn is_raw(event: &Decoded) -> bool {
    matches!(event, Decoded::Event(TurnEvent::Raw { .. }))
}
