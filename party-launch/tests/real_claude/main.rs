//! Parties on the real `claude` binary, a fake model and a store in a file: what a unit test cannot
//! show. Each test has a folder of its own, with the home, the store and the seats in it.
#![expect(clippy::unwrap_used, reason = "test code")]

mod council;
mod ended;
mod host;
mod killed;
mod share;
mod stage;
mod tool;
mod way;
