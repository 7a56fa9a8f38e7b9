//! The store on a real PostgreSQL server: the contract, and what may befall a server and its connections.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod broken;
mod conformance;
mod crowd;
mod finding;
mod lists;
mod opening;
mod stage;
