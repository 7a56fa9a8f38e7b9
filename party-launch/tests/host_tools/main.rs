//! Tools of the host, from the runtime's call to the answer on the log.
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod crash;
mod door;
mod ends;
mod hands;
mod refused;
