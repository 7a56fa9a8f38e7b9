//! The fuzz target's checks, on its corpus and on all recordings.

#[expect(unreachable_pub, reason = "it is public in the fuzz crate")]
#[path = "../../../fuzz/src/claude.rs"]
mod target;

use crate::table::table;
use std::{fs, path::Path};

#[test]
fn a177_the_fuzz_corpus_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/claude_decode");
    let inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(inputs.len() > 40, "{}", inputs.len());
    for input in inputs {
        target::claude_decode(&fs::read(input).unwrap());
    }
}

#[test]
fn a177_recordings_pass_the_checks_of_the_fuzz_target() {
    for row in table() {
        target::claude_decode(&[b"\x01\x05\xff\n", row.bytes().as_slice()].concat());
    }
}
