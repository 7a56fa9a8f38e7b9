//! The codec of Claude Code, on recordings of the real binary: whole, cut, repeated and damaged.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod bounds;
mod cuts;
mod protocol;
mod recordings;
mod strange;
mod table;
