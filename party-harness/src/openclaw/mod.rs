//! OpenClaw: a gateway that runs agents, over its WebSocket.

pub mod codec;
