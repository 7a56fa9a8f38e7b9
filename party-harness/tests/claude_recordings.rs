//! Recordings of the real Claude Code binary, decoded whole, cut, repeated and damaged.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

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

const TABLE: [Row; 0] = [];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude")
}

#[test]
fn print() {
    for version in ["2.1.329", "2.1.197"] {
        let mut names: Vec<_> = fs::read_dir(folder().join(version)).unwrap().flatten().map(|e| e.path()).collect();
        names.sort();
        for path in names {
            let mut d = Decoder::new();
            if path.to_str().unwrap().contains("mcp_") { d = d.requires("bus", &["mcp__bus__Send"]); }
            let mut e = d.feed(&fs::read(&path).unwrap());
            let (more, v) = d.finish(&Exit { code: Some(0), ..Exit::default() });
            e.extend(more);
            let calls = e.iter().filter(|e| matches!(e, Decoded::Event(TurnEvent::ToolUse{..}))).count();
            let raw = e.iter().filter(|e| matches!(e, Decoded::Event(TurnEvent::Raw{..}))).count();
            println!("{version}/{} {:?} text={:?} reason={:?} {:?} steps={} in={} out={} session={} calls={calls} ev={} raw={raw}", path.file_stem().unwrap().to_str().unwrap(), v.status, v.text.map(|t| t.chars().take(60).collect::<String>()), v.reason.map(|t| t.chars().take(90).collect::<String>()), v.cost, v.usage.steps, v.usage.input_tokens, v.usage.output_tokens, v.session.is_some(), e.len());
        }
    }
}
