//! The checks of the fuzz targets, on their corpora and on all recordings.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

#[path = "../../fuzz/src/chunks.rs"]
mod chunks;
#[expect(unreachable_pub, reason = "it is public in the fuzz crate")]
#[path = "../../fuzz/src/claude.rs"]
mod claude;
#[expect(unreachable_pub, reason = "it is public in the fuzz crate")]
#[path = "../../fuzz/src/servers.rs"]
mod servers;

use claude::claude_decode;
use servers::{codex_decode, openclaw_decode};
use std::{
    fs,
    path::{Path, PathBuf},
};

type Check = fn(&[u8]);

/// Each target's check, its corpus, and the recordings of its runtime.
const TARGETS: [(&str, &str, Check); 3] = [
    ("claude_decode", "claude", claude_decode),
    ("codex_decode", "codex", codex_decode),
    ("openclaw_decode", "openclaw", openclaw_decode),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn a177_the_fuzz_corpora_are_replayed() {
    for (target, _, check) in TARGETS {
        let inputs = files(&folder("../fuzz/corpus").join(target));
        assert!(inputs.len() > 30, "{target}: {}", inputs.len());
        inputs.iter().for_each(|input| check(&fs::read(input).unwrap()));
    }
}

#[test]
fn a177_recordings_pass_the_checks_of_the_fuzz_targets() {
    for (_, runtime, check) in TARGETS {
        let recordings = files(&folder("tests/fixtures").join(runtime));
        let recordings = recordings.iter().filter(|path| !path.ends_with("expected.jsonl"));
        recordings.for_each(|path| check(&[b"\x01\x05\xff\n", fs::read(path).unwrap().as_slice()].concat()));
    }
}
