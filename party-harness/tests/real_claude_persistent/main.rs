//! One real Claude Code process for many turns, in both versions, with a fake model.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

#[path = "../claude/mod.rs"]
mod claude;
#[path = "../real_claude/stage.rs"]
mod stage;

mod asks;
mod deaths;
mod host;
mod steers;
mod stops;
mod texts;
mod tools;
mod turns;
