//! Events and the outcome as lines of JSON. A text is written as it is read: nothing is built.

use party_launch::{
    core::Usage,
    harness::{
        TurnEvent,
        claude_code::{Control, ControlRequest, Decoded, Status, Verdict},
    },
};
use serde::Serialize;
use serde_json::{json, to_writer};
use std::io::{self, BufWriter, Write};

pub(crate) struct Show<W: Write>(BufWriter<W>);

#[derive(Serialize)]
#[serde(tag = "type", rename = "outcome")]
struct Outcome<'a> {
    status: &'static str,
    text: Option<&'a str>,
    session: Option<&'a str>,
    cost_usd: Option<f64>,
    usage: Option<Usage>,
    error: Option<&'a str>,
}

impl<W: Write> Show<W> {
    pub(crate) fn new(output: W) -> Self {
        Self(BufWriter::with_capacity(64 << 10, output))
    }

    pub(crate) fn event(&mut self, event: Decoded) -> io::Result<()> {
        match event {
            Decoded::Session(session) => {
                to_writer(&mut self.0, &json!({"type": "started", "session": session}))?;
            }
            Decoded::Event(TurnEvent::Raw { event }) => {
                write!(self.0, r#"{{"type":"raw","event":{}}}"#, event.get())?;
            }
            Decoded::Event(event) => to_writer(&mut self.0, &event)?,
            Decoded::Control(control) => self.control(control)?,
        }
        self.0.write_all(b"\n")
    }

    fn control(&mut self, control: Control) -> io::Result<()> {
        let line = match control {
            Control::Asked { id, what } => {
                let what = match what {
                    ControlRequest::CanUseTool { tool, input, call } => {
                        json!({"can_use_tool": tool, "input": input.value(), "call": call})
                    }
                    ControlRequest::Mcp { server, message } => {
                        json!({"mcp": server, "message": message.value()})
                    }
                    ControlRequest::Hook { callback, input } => {
                        json!({"hook": callback, "input": input.value()})
                    }
                    ControlRequest::Unknown { subtype } => json!({"unknown": subtype}),
                    _ => json!({}),
                };
                json!({"type": "control", "control": "asked", "id": id, "what": what})
            }
            Control::Withdrawn { id } => json!({"type": "control", "control": "withdrawn", "id": id}),
            Control::Answered { id, answer: Ok(answer) } => {
                json!({"type": "control", "control": "answered", "id": id, "answer": answer.value()})
            }
            Control::Answered { id, answer: Err(error) } => {
                json!({"type": "control", "control": "answered", "id": id, "error": error})
            }
            _ => json!({"type": "control"}),
        };
        Ok(to_writer(&mut self.0, &line)?)
    }

    pub(crate) fn outcome(&mut self, verdict: &Verdict) -> io::Result<()> {
        let cost = verdict.cost.amount();
        let outcome = Outcome {
            status: status(verdict.status),
            text: verdict.text.as_deref(),
            session: verdict.session.as_deref(),
            cost_usd: cost.map(|cost| cost.as_micros() as f64 / 1e6),
            // Both come with a result.
            usage: cost.map(|_| verdict.usage),
            error: verdict.reason.as_deref(),
        };
        to_writer(&mut self.0, &outcome)?;
        self.0.write_all(b"\n")
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Completed => "completed",
        Status::Empty => "dead",
        Status::Cancelled => "cancelled",
        Status::Poisoned => "poisoned",
        Status::Refused => "refused",
        _ => "failed",
    }
}
