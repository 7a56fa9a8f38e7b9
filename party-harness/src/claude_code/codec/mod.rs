//! What the CLI writes, as events: pure, and the same however the bytes were cut or repeated.
//!
//! ```text
//! bytes ── frame ──> lines ── view ──> head ──> message, outcome ── read ──> events
//!                                      (what is read of a line)  └─ bill, verdict ──> end
//! ```
//!
//! serde_json checks a line and finds its fields in its text; no value is built, and a line that is
//! only handed on is copied once.

mod answer;
mod bill;
mod control;
mod failure;
mod head;
mod message;
mod outcome;
mod poison;
mod read;
mod said;
mod tasks;
mod turn;
mod verdict;

pub use control::{Control, ControlRequest};
pub(super) use poison::Required;
pub use verdict::{Exit, Status, Verdict};

use crate::{
    TurnEvent,
    jsonl::{frame, seen, unescape, view},
};
use answer::Answer;
use bill::Bill;
use frame::{Frame, Framer};
use outcome::Outcome;
use party_core::Usd;
use seen::Seen;
use tasks::Tasks;

/// How long a line may be by default.
const LINE_LIMIT: usize = 64 << 20;

/// Something that a [`Decoder`] read.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "whoever reads one handles each of them")]
pub enum Decoded {
    /// The name of the runtime's session: said when its first turn begins, and again where the
    /// process goes on in another session.
    Session(String),
    /// An event of the turn; never its start or end.
    Event(TurnEvent),
    /// A question or answer of the control protocol.
    Control(Control),
}

/// Decodes what one process of the CLI writes. It never fails: what it cannot read, it hands on as
/// [`TurnEvent::Raw`]. A line that comes twice is read once. What it keeps is bounded, but for one
/// line and the model's latest message.
#[derive(Debug, Clone)]
pub struct Decoder {
    framer: Framer,
    required: Option<Required>,
    requires_all: bool,
    /// Of lines and control requests, over all turns: a result may come again when its turn is over.
    lines: Seen,
    /// Of calls and their answers, in this turn.
    calls: Seen,
    tasks: Tasks,
    session: Option<String>,
    /// The session that was said.
    announced: Option<String>,
    in_turn: bool,
    has_output: bool,
    poisoned: Option<String>,
    /// The kind of error that the CLI told of last.
    error: Option<String>,
    answer: Answer,
    last: Option<Outcome>,
    bill: Bill,
    out: Vec<Decoded>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for a process that just started.
    pub fn new() -> Self {
        Self::with(None, Usd::ZERO)
    }

    pub(super) fn with(required: Option<Required>, carried: Usd) -> Self {
        Self {
            framer: Framer::new(LINE_LIMIT),
            required,
            requires_all: false,
            lines: Seen::default(),
            calls: Seen::default(),
            tasks: Tasks::default(),
            session: None,
            announced: None,
            in_turn: false,
            has_output: false,
            poisoned: None,
            error: None,
            answer: Answer::default(),
            last: None,
            bill: Bill::new(carried),
            out: Vec::new(),
        }
    }

    /// The same decoder with another limit for lines; 64 MiB otherwise. A longer line is dropped.
    #[must_use]
    pub fn line_limit(mut self, bytes: usize) -> Self {
        self.framer = Framer::new(bytes);
        self
    }

    /// The same decoder for a turn that needs the MCP server `server` with `tools`, by their full
    /// names such as `mcp__party__share`; without them its run is [`Status::Poisoned`].
    #[must_use]
    pub fn requires(mut self, server: impl Into<String>, tools: &[&str]) -> Self {
        let tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
        self.required = Some(Required { server: server.into(), tools });
        self
    }

    /// The same decoder for a turn that needs every MCP server it is given, with at least one tool
    /// of each; otherwise its run is [`Status::Poisoned`]. A server that is disabled was not given.
    #[must_use]
    pub const fn requires_every_server(mut self) -> Self {
        self.requires_all = true;
        self
    }

    /// Takes bytes as they come, cut anywhere.
    pub fn feed(&mut self, mut chunk: &[u8]) -> Vec<Decoded> {
        while let Some(frame) = self.framer.next(&mut chunk) {
            self.frame(frame);
        }
        std::mem::take(&mut self.out)
    }

    /// What was left at the end of output, and what the run came to.
    pub fn finish(mut self, exit: &Exit) -> (Vec<Decoded>, Verdict) {
        if let Some(frame) = self.framer.finish() {
            self.frame(frame);
        }
        let events = std::mem::take(&mut self.out);
        (events, self.verdict(exit))
    }

    /// The end of a turn in a process that lives on: what the turn came to, once
    /// [`is_done`](Self::is_done) says so. The next turn starts afresh in the same session.
    pub fn end_turn(&mut self) -> Verdict {
        let fresh = Self {
            framer: std::mem::take(&mut self.framer),
            required: self.required.clone(),
            requires_all: self.requires_all,
            lines: std::mem::take(&mut self.lines),
            tasks: std::mem::take(&mut self.tasks),
            session: self.session.clone(),
            announced: self.announced.clone(),
            has_output: true,
            bill: self.bill.next(),
            ..Self::new()
        };
        std::mem::replace(self, fresh).verdict(&Exit::default())
    }

    /// Why the turn cannot go on, where its tools are not there.
    pub(super) fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// The turn cannot go on: its tools are not there, as is known from elsewhere.
    pub(super) fn poison_with(&mut self, why: String) {
        self.poisoned.get_or_insert(why);
    }

    /// Whether the answer is there and nothing runs any more: no task in the background, whose end
    /// begins another turn, and no message that waits for its turn.
    pub fn is_done(&self) -> bool {
        !self.in_turn && self.tasks.is_empty() && self.last.as_ref().is_some_and(|last| last.queued == 0)
    }

    fn frame(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Line(line) => self.line(line),
            Frame::TooLong(bytes) => self.too_long(bytes),
        }
    }

    fn event(&mut self, event: TurnEvent) {
        self.out.push(Decoded::Event(event));
    }
}
