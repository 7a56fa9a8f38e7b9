//! Events and outcomes as lines of JSON. A text is written as it is read: nothing is built.

use party_launch::{
    core::{Cost, Usage},
    harness::TurnEvent,
};
use serde::Serialize;
use serde_json::{json, to_writer};
use std::io::{self, BufWriter, Write};

pub(crate) struct Show<W: Write> {
    output: BufWriter<W>,
    has_outcome: bool,
}

/// What a turn came to.
#[derive(Serialize)]
#[serde(tag = "type", rename = "outcome")]
pub(crate) struct Outcome<'a> {
    /// The turn, by the name that its server has for it, where a stream tells of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) turn: Option<&'a str>,
    pub(crate) status: &'static str,
    pub(crate) text: Option<&'a str>,
    pub(crate) session: Option<&'a str>,
    pub(crate) cost_usd: Option<f64>,
    pub(crate) usage: Option<Usage>,
    pub(crate) error: Option<&'a str>,
}

/// An event of one turn among several.
#[derive(Serialize)]
struct OfTurn<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<&'a str>,
    #[serde(flatten)]
    event: &'a TurnEvent,
}

impl<W: Write> Show<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { output: BufWriter::with_capacity(64 << 10, output), has_outcome: false }
    }

    /// An event of the turn that is named, where there are several.
    pub(crate) fn event(&mut self, turn: Option<&str>, event: &TurnEvent) -> io::Result<()> {
        match (turn, event) {
            (None, TurnEvent::Raw { event }) => self.raw(event.get()),
            (None, event) => self.line(event),
            (turn, event) => self.line(&OfTurn { turn, event }),
        }
    }

    /// Something that is not known, as it came.
    pub(crate) fn raw(&mut self, json: &str) -> io::Result<()> {
        writeln!(self.output, r#"{{"type":"raw","event":{json}}}"#)
    }

    pub(crate) fn started(&mut self, turn: Option<&str>, session: &str) -> io::Result<()> {
        match turn {
            Some(turn) => self.line(&json!({"turn": turn, "type": "started", "session": session})),
            None => self.line(&json!({"type": "started", "session": session})),
        }
    }

    pub(crate) fn outcome(&mut self, outcome: &Outcome<'_>) -> io::Result<()> {
        self.has_outcome = true;
        self.line(outcome)
    }

    /// Where no turn came to anything, that is the outcome.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if !self.has_outcome {
            let nothing = "the stream tells of no turn";
            self.outcome(&Outcome {
                turn: None,
                status: "failed",
                text: None,
                session: None,
                cost_usd: None,
                usage: None,
                error: Some(nothing),
            })?;
        }
        self.flush()
    }

    pub(crate) fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        to_writer(&mut self.output, line)?;
        self.output.write_all(b"\n")
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// An amount as a number of USD, where it is known.
pub(crate) fn usd(cost: Cost) -> Option<f64> {
    cost.amount().map(|cost| cost.as_micros() as f64 / 1e6)
}
