//! The recordings of the real gateway, and what each of their runs comes to.

use party_core::{Failure, Usd};
use party_harness::{
    TurnEvent,
    openclaw::codec::{Decoded, Decoder, Verdict},
};
use serde::{Deserialize, Serialize};
use std::{fs, path::PathBuf};

/// A line of `expected.jsonl`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Version and name.
    pub(crate) recording: String,
    /// In the order of their ends.
    pub(crate) runs: Vec<Ended>,
}

/// What a run comes to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Failure>,
    /// The answer; a long one ends with `…` here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    pub(crate) output: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) micros: Option<u64>,
    /// Calls of tools.
    pub(crate) calls: usize,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openclaw")
}

pub(crate) fn table() -> Vec<Row> {
    let text = fs::read_to_string(folder().join("expected.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many recordings there are.
pub(crate) fn recordings() -> usize {
    fs::read_dir(folder().join("2026.9.6")).unwrap().count()
}

impl Row {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(folder().join(format!("{}.jsonl", self.recording))).unwrap()
    }

    /// What `events` say, as a row.
    pub(crate) fn found(&self, events: &[Decoded]) -> Self {
        let ended = |event: &Decoded| match event {
            Decoded::Ended { run, verdict } => Some(Ended::of(run, verdict, events)),
            _ => None,
        };
        Self { recording: self.recording.clone(), runs: events.iter().filter_map(ended).collect() }
    }
}

impl Ended {
    fn of(run: &str, verdict: &Verdict, events: &[Decoded]) -> Self {
        let is_call = |event: &&Decoded| match event {
            Decoded::Event { run: of, event: TurnEvent::ToolUse { .. } } => of == run,
            _ => false,
        };
        Self {
            status: format!("{:?}", verdict.status),
            failure: verdict.failure,
            text: verdict.text.as_deref().map(shortened),
            output: verdict.usage.output_tokens,
            micros: verdict.cost.amount().map(Usd::as_micros),
            calls: events.iter().filter(is_call).count(),
        }
    }
}

fn shortened(text: &str) -> String {
    text.char_indices().nth(60).map_or_else(|| text.to_owned(), |(end, _)| format!("{}…", &text[..end]))
}

pub(crate) fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Decoded> {
    let mut decoder = Decoder::new();
    let mut events: Vec<_> = chunks.into_iter().flat_map(|chunk| decoder.feed(chunk)).collect();
    events.extend(decoder.finish());
    events
}

pub(crate) fn without_raw(mut events: Vec<Decoded>) -> Vec<Decoded> {
    events.retain(|event| !is_raw(event));
    events
}

pub(crate) fn is_raw(event: &Decoded) -> bool {
    matches!(event, Decoded::Other(_) | Decoded::Event { event: TurnEvent::Raw { .. }, .. })
}
