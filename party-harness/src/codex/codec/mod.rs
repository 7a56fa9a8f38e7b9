//! What an app-server says, as events: pure, and the same however the bytes were cut or repeated.
//!
//! ```text
//! bytes ── lines ── frame ──> by turn ──> Run: items ──> events
//!                     │                   │    usage
//!                     │                    └ turn/completed ──> verdict, once
//!                     ├ a question of the server ──> Asked
//!                     └ of no turn, and unknown ──> Other
//! ```
//!
//! serde_json finds what is read of a frame in its text, and no value is built. Deltas are passed over: `item/completed` has the whole text, also of those that were lost with a connection.

mod asked;
mod failure;
mod frame;
mod item;
mod lines;
mod run;
mod verdict;

pub use asked::{Asked, Question};
pub(super) use frame::{Frame, TurnView, is_delta};
pub(super) use item::{PATCH, SHELL};
pub(super) use run::Run;
pub(super) use verdict::one_line;
pub use verdict::{Status, Verdict};

use crate::{
    RawJson, TurnEvent,
    jsonl::{frame::Framer, seen::Seen},
};
use std::{collections::BTreeMap, sync::Arc};

/// How long a line may be by default: more than a server sends in one frame.
const LINE_LIMIT: usize = 64 << 20;

/// How many turns are kept in mind at once.
const RUNS: usize = 4096;

/// Something that a [`Decoder`] read.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "whoever reads one handles each of them")]
pub enum Decoded {
    /// A turn began.
    Began {
        /// Its thread.
        thread: Arc<str>,
        /// The turn.
        turn: Arc<str>,
    },
    /// An event of a turn; never its start or end.
    Event {
        /// The turn.
        turn: Arc<str>,
        /// The event.
        event: TurnEvent,
    },
    /// The server asks, and waits for an answer. Asked again under the same id after a reconnect, it is
    /// told once.
    Asked(Box<Asked>),
    /// The server no longer waits for an answer.
    Settled {
        /// The question's id.
        id: RawJson,
    },
    /// The end of a turn, once.
    Ended {
        /// The turn.
        turn: Arc<str>,
        /// What it came to.
        verdict: Box<Verdict>,
    },
    /// A request of the client was refused.
    Refused {
        /// The request's id.
        id: RawJson,
        /// The server's code.
        code: i64,
        /// Why, in the server's words.
        message: String,
    },
    /// Something that belongs to no turn and that the decoder does not know, as it came.
    Other(RawJson),
}

/// Decodes what an app-server sends, a frame on a line: as it came, or within
/// `{"dir": "s2c", "msg": …}` as a recording holds it, with what was sent beside it. It never fails:
/// what it cannot read, it hands on. What it keeps is bounded, but for one line and the latest texts of
/// a turn.
#[derive(Debug, Clone)]
pub struct Decoder {
    framer: Framer,
    runs: BTreeMap<Arc<str>, Box<Run>>,
    /// Questions and refusals, each told once.
    seen: Seen,
    namespace: Arc<str>,
    /// Empty but while a frame is read.
    events: Vec<TurnEvent>,
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
            seen: Seen::default(),
            namespace: Arc::default(),
            events: Vec::new(),
            out: Vec::new(),
        }
    }

    /// The same decoder with another limit for lines; 64 MiB otherwise. A longer line is dropped.
    #[must_use]
    pub fn line_limit(mut self, bytes: usize) -> Self {
        self.framer = Framer::new(bytes);
        self
    }

    /// The same decoder for agents whose tools are in this namespace, which is left out of their names.
    #[must_use]
    pub fn tool_namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Takes bytes as they come, cut anywhere.
    pub fn feed(&mut self, mut chunk: &[u8]) -> Vec<Decoded> {
        while let Some(frame) = self.framer.next(&mut chunk) {
            self.line(frame);
        }
        std::mem::take(&mut self.out)
    }

    /// What was left at the end, and the end of each turn that has none: [`Status::Cut`].
    pub fn finish(mut self) -> Vec<Decoded> {
        if let Some(frame) = self.framer.finish() {
            self.line(frame);
        }
        for (turn, mut run) in std::mem::take(&mut self.runs) {
            if let Some(verdict) = run.conclude() {
                self.out.push(Decoded::Ended { turn, verdict: Box::new(verdict) });
            }
        }
        self.out
    }
}
