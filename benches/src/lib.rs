//! Measures of Party as ratios, taken in one process and run: to a limit, to a raw peer, or to a
//! count that has no noise.
//!
//! A bench binary measures, hands its [`Row`]s to [`report`], and exits with what that gives. The
//! rows of all binaries of one `cargo bench` are merged into `target/ratios.json`, and drawn in
//! `target/ratios.svg`, whose kept copy is `docs/ratios.svg`.

mod bare;
mod claude;
mod client;
mod codex;
mod cpu;
mod crowd;
mod desk;
mod forum;
mod latency;
mod pairs;
mod party;
mod peer;
mod report;
mod rows;
mod seat;
mod store;
mod view;

pub use bare::Bare;
pub use claude::{PythonSdk, large_lines, recordings, rss_peak};
pub use client::Client;
pub use codex::{BareCodex, CodexServer};
pub use cpu::cpu_micros;
pub use crowd::{Crowd, Strides, rss};
pub use desk::Desk;
pub use forum::Forum;
pub use latency::Alone;
pub use pairs::{Measured, Pairs, median, quantile};
pub use party::{PERSONAS, council, step_batches, turns};
pub use peer::Peer;
pub use report::{Goal, Row, is_bench_run, report, scratch};
pub use rows::Prepared;
pub use seat::{NoTools, QUESTION, ask, seat};
pub use store::{Driven, peer_of};
pub use view::RawView;
