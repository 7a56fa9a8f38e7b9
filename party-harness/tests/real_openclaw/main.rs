//! OpenClaw's real gateway, with a fake model behind it.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod access;
mod losses;
#[path = "../openclaw_gateway/mod.rs"]
mod openclaw_gateway;
mod seat;
mod starts;
mod turns;
mod wire;
