//! Codex: one `codex app-server` that runs agents, each in a thread of its own, over its WebSocket.

pub mod codec;
