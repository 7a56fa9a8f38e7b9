//! The adapter against the real Claude Code binaries of both versions, a fake model, and a minimal MCP
//! server.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

#[path = "../claude/mod.rs"]
mod claude;

mod cost;
mod ends;
mod killed;
mod own_tools;
mod poisoned;
mod server;
mod sessions;
mod stage;
mod texts;
mod turns;
