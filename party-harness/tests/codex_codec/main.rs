//! The codec of Codex, on recordings of the real binary: whole, cut, repeated and damaged.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod bounds;
mod cuts;
mod recordings;
mod strange;
mod table;
