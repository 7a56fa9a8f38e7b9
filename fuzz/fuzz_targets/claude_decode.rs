//! Any bytes, cut anywhere, as output of Claude Code.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| party_fuzz::claude_decode(input));
