//! The Codex adapter with the real binary, against a fake model.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod attached;
#[path = "../codex/mod.rs"]
mod codex;
#[path = "../real_conformance/mcp.rs"]
mod mcp;
mod server;
mod stage;
mod stops;
mod tools;
mod turns;
