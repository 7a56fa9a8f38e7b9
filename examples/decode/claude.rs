//! What `claude` wrote.

use crate::{
    Reading,
    show::{Outcome, Show, usd},
};
use party_launch::harness::claude_code::codec::{
    Control, ControlRequest, Decoded, Decoder, Exit, Status, Verdict,
};
use serde_json::{Value, json};
use std::io::{self, Write};

pub(crate) struct Claude(Decoder);

impl Claude {
    pub(crate) fn new() -> Self {
        Self(Decoder::new().requires_every_server())
    }
}

impl Reading for Claude {
    fn feed(&mut self, chunk: &[u8], show: &mut Show<impl Write>) -> io::Result<()> {
        self.0.feed(chunk).into_iter().try_for_each(|decoded| event(decoded, show))
    }

    fn finish(self, show: &mut Show<impl Write>) -> io::Result<()> {
        // How the process ended is not in its output.
        let (events, verdict) = self.0.finish(&Exit::default());
        events.into_iter().try_for_each(|decoded| event(decoded, show))?;
        outcome(&verdict, show)
    }
}

fn event(decoded: Decoded, show: &mut Show<impl Write>) -> io::Result<()> {
    match decoded {
        Decoded::Session(session) => show.started(None, &session),
        Decoded::Event(event) => show.event(None, &event),
        Decoded::Control(control) => show.line(&line(control)),
    }
}

fn line(control: Control) -> Value {
    match control {
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
    }
}

fn outcome(verdict: &Verdict, show: &mut Show<impl Write>) -> io::Result<()> {
    show.outcome(&Outcome {
        turn: None,
        status: match verdict.status {
            Status::Completed => "completed",
            Status::Empty => "dead",
            Status::Cancelled => "cancelled",
            Status::Poisoned => "poisoned",
            Status::Refused => "refused",
            _ => "failed",
        },
        text: verdict.text.as_deref(),
        session: verdict.session.as_deref(),
        cost_usd: usd(verdict.cost),
        // Both come with a result.
        usage: verdict.cost.amount().map(|_| verdict.usage),
        error: verdict.reason.as_deref(),
    })
}
