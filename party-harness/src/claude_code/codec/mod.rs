//! What the CLI writes, as events: pure, and the same however the bytes were cut or repeated.

mod bill;
mod control;
mod frame;
mod read;
mod seen;
mod verdict;
mod wire;

pub use control::{Control, ControlRequest};
pub use verdict::{Exit, Status, Verdict};

use crate::TurnEvent;
use bill::Bill;
use frame::{Frame, Framer};
use party_core::Usd;
use seen::{Kind, Seen};
use serde_json::json;
use wire::{Head, Outcome};

/// How long a line may be by default.
const LINE_LIMIT: usize = 64 << 20;

/// Something that a [`Decoder`] read.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "whoever reads one handles both")]
pub enum Decoded {
    /// The name of the runtime's session; said once, when its first turn begins.
    Session(String),
    /// An event of the turn; never its start or end.
    Event(TurnEvent),
    /// A question or answer of the control protocol.
    Control(Control),
}

/// The MCP server that a turn cannot do without.
#[derive(Debug, Clone, Default)]
pub(super) struct Required {
    pub(super) server: String,
    /// The full names, such as `mcp__party__share`.
    pub(super) tools: Vec<String>,
}

/// Decodes what one process of the CLI writes. It never fails: what it cannot read, it hands on as
/// [`TurnEvent::Raw`].
#[derive(Debug, Clone)]
pub struct Decoder {
    framer: Framer,
    required: Option<Required>,
    /// Of lines and control requests, over all turns: a result may come again when its turn is over.
    lines: Seen,
    /// Of calls and their answers, in this turn.
    calls: Seen,
    session: Option<String>,
    announced: bool,
    in_turn: bool,
    has_output: bool,
    poisoned: Option<String>,
    answer: Answer,
    last: Option<Outcome>,
    bill: Bill,
    out: Vec<Decoded>,
}

/// The text blocks of the model's latest message.
#[derive(Debug, Clone, Default)]
struct Answer {
    message: Option<String>,
    texts: Vec<String>,
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
            lines: Seen::default(),
            calls: Seen::default(),
            session: None,
            announced: false,
            in_turn: false,
            has_output: false,
            poisoned: None,
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

    /// Takes bytes as they come, cut anywhere.
    pub fn feed(&mut self, chunk: &[u8]) -> Vec<Decoded> {
        let mut frames = Vec::new();
        self.framer.feed(chunk, |frame| frames.push(frame));
        frames.into_iter().for_each(|frame| self.frame(frame));
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
        let exit = Exit::default();
        let carried = self.bill.next();
        let fresh = Self {
            framer: self.framer.clone(),
            required: self.required.clone(),
            lines: std::mem::take(&mut self.lines),
            session: self.session.clone(),
            announced: self.announced,
            has_output: true,
            bill: carried,
            ..Self::new()
        };
        std::mem::replace(self, fresh).verdict(&exit)
    }

    /// Why the turn cannot go on, where its tools are not there.
    pub(super) fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// Whether the answer is there and nothing runs any more.
    pub const fn is_done(&self) -> bool {
        self.last.is_some() && !self.in_turn
    }

    fn frame(&mut self, frame: Frame) {
        let line = match frame {
            Frame::Line(line) => wire::without_lone_surrogates(line),
            Frame::TooLong(bytes) => {
                let event = json!({"type": "party/lineTooLong", "bytes": bytes});
                return self.event(TurnEvent::Raw { event: event.into() });
            }
        };
        if line.trim_ascii().is_empty() {
            return;
        }
        self.has_output = true;
        if self.line(&line).is_none() {
            self.unread(&line);
        }
    }

    /// Keeps a line as it came.
    fn unread(&mut self, line: &[u8]) {
        let event = serde_json::from_slice(line)
            .unwrap_or_else(|_| json!({"type": "party/noJson", "text": String::from_utf8_lossy(line)}));
        self.event(TurnEvent::Raw { event: event.into() });
    }

    /// Reads a line; `None` where it is not what it says that it is.
    fn line(&mut self, line: &[u8]) -> Option<()> {
        let head: Head<'_> = serde_json::from_slice(line).ok()?;
        let id = head.uuid.as_deref().filter(|id| !id.is_empty());
        if id.is_some_and(|id| self.lines.contains(Kind::Line, id)) {
            return Some(());
        }
        self.typed(&head, line)?;
        if let Some(id) = id {
            self.lines.insert(Kind::Line, id);
        }
        Some(())
    }

    fn typed(&mut self, head: &Head<'_>, line: &[u8]) -> Option<()> {
        let by_sub_agent = head.parent_tool_use_id.is_some();
        match (&*head.kind, head.subtype.as_deref()) {
            ("assistant", _) if by_sub_agent => self.by_sub_agent(line),
            ("assistant", _) => self.by_model(line, head),
            ("user", _) if !by_sub_agent => self.back_to_model(line),
            ("result", _) => self.result(line, head),
            ("system", Some("init")) => self.init(line, head),
            ("system", Some("api_retry")) => self.retry(line),
            ("rate_limit_event", _) => self.rate_limit(line),
            ("control_request", _) => self.asked(line),
            ("control_response", _) => self.answered(line),
            ("control_cancel_request", _) => self.withdrawn(line),
            _ => self.keep(line),
        }
    }
}
