//! Two hosts on one PostgreSQL server: a party moves from one to the other.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "../common/mod.rs"]
mod common;

mod host;
mod moves;
mod named;
