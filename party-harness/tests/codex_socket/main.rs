//! The Codex adapter against a server that does what a test says, also what no server should do.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod bad;
mod beginning;
#[path = "../codex/mod.rs"]
mod codex;
mod lost;
mod peer;
mod stuck;
mod turns;
