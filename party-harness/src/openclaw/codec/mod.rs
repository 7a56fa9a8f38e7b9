//! What a gateway says, as events: pure, and the same however the bytes were cut or repeated.
//!
//! ```text
//! bytes ── lines ──> frame ── by run ──> Run: stream ──> events
//!                      │                  └ answer ──> verdict, once
//!                      └ of no run ──> Other
//! ```
//!
//! A connection is told of all runs of its gateway, so a decoder keeps one `Run` for each; a session
//! of the adapter keeps its own. Numbers of a run's events have gaps and repeat themselves after an
//! abort, so nothing here goes by them: texts are cumulative, and calls and ends have names.

mod answer;
mod failure;
mod frame;
mod lines;
mod run;
mod stream;
mod verdict;

pub(super) use frame::{Answer, Frame};
pub(super) use run::{Run, Step};
pub(super) use verdict::one_line;
pub use verdict::{Status, Verdict};

use crate::{RawJson, TurnEvent, jsonl::frame as framing};
use framing::Framer;
use std::collections::BTreeMap;

/// How long a line may be by default: more than a gateway may send in one frame.
const LINE_LIMIT: usize = 64 << 20;

/// How many runs and requests are kept in mind at once; more than a gateway keeps.
const RUNS: usize = 4096;

/// Something that a [`Decoder`] read.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "whoever reads one handles each of them")]
pub enum Decoded {
    /// The gateway took a run.
    Accepted {
        /// The run: the idempotency key of its request.
        run: String,
        /// The session that it runs in, as the gateway writes it; empty where it does not say.
        session: String,
    },
    /// An event of a run; never its start or end.
    Event {
        /// The run.
        run: String,
        /// The event.
        event: TurnEvent,
    },
    /// The end of a run, once.
    Ended {
        /// The run.
        run: String,
        /// What it came to.
        verdict: Box<Verdict>,
    },
    /// Something that belongs to no run and that the decoder does not know, as it came.
    Other(RawJson),
}

/// Decodes what a gateway sends, a frame on a line: as it came, or within
/// `{"dir": "recv", "frame": …}` as a recording holds it, with what was sent beside it. It never
/// fails: what it cannot read, it hands on. What it keeps is bounded, but for one line and the text
/// that a run is writing.
#[derive(Debug, Clone)]
pub struct Decoder {
    framer: Framer,
    runs: BTreeMap<String, Run>,
    /// The run of each request.
    requests: BTreeMap<String, String>,
    prefix: String,
    out: Vec<Decoded>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for a connection that just began.
    pub fn new() -> Self {
        Self {
            framer: Framer::new(LINE_LIMIT),
            runs: BTreeMap::new(),
            requests: BTreeMap::new(),
            prefix: String::new(),
            out: Vec::new(),
        }
    }

    /// The same decoder with another limit for lines; 64 MiB otherwise. A longer line is dropped.
    #[must_use]
    pub fn line_limit(mut self, bytes: usize) -> Self {
        self.framer = Framer::new(bytes);
        self
    }

    /// The same decoder for agents whose tools have names that begin with this, which is left out.
    #[must_use]
    pub fn tool_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Takes bytes as they come, cut anywhere.
    pub fn feed(&mut self, mut chunk: &[u8]) -> Vec<Decoded> {
        while let Some(frame) = self.framer.next(&mut chunk) {
            self.line(frame);
        }
        std::mem::take(&mut self.out)
    }

    /// What was left at the end, and the end of each run that has none: by what was told of it, or
    /// [`Status::Cut`].
    pub fn finish(mut self) -> Vec<Decoded> {
        if let Some(frame) = self.framer.finish() {
            self.line(frame);
        }
        for (name, mut run) in std::mem::take(&mut self.runs) {
            if let Some(verdict) = run.conclude() {
                self.ended(name, verdict);
            }
        }
        self.out
    }
}
