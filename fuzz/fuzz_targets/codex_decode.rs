//! Any bytes, cut anywhere, as what an app-server of Codex sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| party_fuzz::codex_decode(input));
