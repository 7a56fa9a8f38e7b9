//! OpenClaw's adapter against a gateway that follows a script: what goes over the wire, and what becomes
//! of a turn when that breaks.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod bad;
mod gateway;
mod greeting;
mod host;
mod limits;
mod losses;
mod stops;
mod turns;
