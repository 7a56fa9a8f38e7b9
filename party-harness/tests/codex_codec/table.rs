//! The recordings of the real binary, and what each of them comes to.

use party_core::Failure;
use party_harness::{
    TurnEvent,
    codex::codec::{Decoded, Decoder, Verdict},
};
use serde::{Deserialize, Serialize};
use std::{fs, path::PathBuf};

/// A line of `expected.jsonl`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Version and name.
    pub(crate) recording: String,
    /// What each turn came to, in the order of their ends.
    pub(crate) turns: Vec<Came>,
    pub(crate) texts: usize,
    pub(crate) thoughts: usize,
    pub(crate) calls: usize,
    pub(crate) replies: usize,
    pub(crate) waits: usize,
    pub(crate) questions: usize,
    pub(crate) refusals: usize,
    /// What is not known.
    pub(crate) raw: usize,
}

/// What a turn came to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Came {
    pub(crate) status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Failure>,
    /// The answer; a long one ends with `…` here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) read: u64,
    pub(crate) cached: u64,
    pub(crate) written: u64,
    pub(crate) steps: u64,
}

impl Came {
    fn of(verdict: &Verdict) -> Self {
        Self {
            status: format!("{:?}", verdict.status),
            failure: verdict.failure,
            text: verdict.text.as_deref().map(shortened),
            reason: verdict.reason.as_deref().map(shortened),
            read: verdict.usage.input_tokens,
            cached: verdict.usage.cache_read_tokens,
            written: verdict.usage.output_tokens,
            steps: verdict.usage.steps,
        }
    }
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/codex")
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

    pub(crate) fn events(&self) -> Vec<Decoded> {
        decode([self.bytes().as_slice()])
    }

    /// What `events` say, as a row.
    pub(crate) fn found(&self, events: &[Decoded]) -> Self {
        let count = |wanted: fn(&TurnEvent) -> bool| {
            events.iter().filter(|one| matches!(one, Decoded::Event { event, .. } if wanted(event))).count()
        };
        let ends = events.iter().filter_map(|event| match event {
            Decoded::Ended { verdict, .. } => Some(Came::of(verdict)),
            _ => None,
        });
        Self {
            recording: self.recording.clone(),
            turns: ends.collect(),
            texts: count(|event| matches!(event, TurnEvent::Text { .. })),
            thoughts: count(|event| matches!(event, TurnEvent::Thinking { .. })),
            calls: count(|event| matches!(event, TurnEvent::ToolUse { .. })),
            replies: count(|event| matches!(event, TurnEvent::ToolResult { .. })),
            waits: count(|event| matches!(event, TurnEvent::Waiting { .. })),
            questions: events.iter().filter(|event| matches!(event, Decoded::Asked(_))).count(),
            refusals: events.iter().filter(|event| matches!(event, Decoded::Refused { .. })).count(),
            raw: events.iter().filter(|event| is_raw(event)).count(),
        }
    }
}

fn shortened(text: &str) -> String {
    text.char_indices().nth(60).map_or_else(|| text.to_owned(), |(end, _)| format!("{}…", &text[..end]))
}

pub(crate) fn decoder() -> Decoder {
    Decoder::new().tool_namespace("party")
}

pub(crate) fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Decoded> {
    let mut decoder = decoder();
    let mut events: Vec<_> = chunks.into_iter().flat_map(|chunk| decoder.feed(chunk)).collect();
    events.extend(decoder.finish());
    events
}

/// Decodes lines that are written out in a test.
pub(crate) fn lines(lines: &[&str]) -> Vec<Decoded> {
    decode([lines.join("\n").as_bytes()])
}

pub(crate) fn without_raw(mut events: Vec<Decoded>) -> Vec<Decoded> {
    events.retain(|event| !is_raw(event));
    events
}

pub(crate) fn is_raw(event: &Decoded) -> bool {
    matches!(event, Decoded::Other(_) | Decoded::Event { event: TurnEvent::Raw { .. }, .. })
}
