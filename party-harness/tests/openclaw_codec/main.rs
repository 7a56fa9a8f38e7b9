//! The codec of OpenClaw, on recordings of the real gateway: whole, cut, repeated and damaged.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod bounds;
mod cuts;
mod protocol;
mod recordings;
mod strange;
mod table;
