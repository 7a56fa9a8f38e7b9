//! Any bytes, cut anywhere, as what a gateway of OpenClaw sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| party_fuzz::openclaw_decode(input));
