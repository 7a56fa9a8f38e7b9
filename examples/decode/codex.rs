//! What a Codex server sent.

use crate::{
    Reading,
    show::{Outcome, Show},
};
use party_launch::{
    core::Usage,
    harness::codex::codec::{Decoded, Decoder, Question, Status, Verdict},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::Arc,
};

/// How many turns are kept in mind at once, as by the decoder.
const TURNS: usize = 4096;

pub(crate) struct Codex {
    decoder: Decoder,
    /// The thread of each turn that is not over.
    threads: BTreeMap<Arc<str>, Arc<str>>,
}

impl Codex {
    pub(crate) fn new() -> Self {
        Self { decoder: Decoder::new(), threads: BTreeMap::new() }
    }

    fn show(&mut self, decoded: Decoded, show: &mut Show<impl Write>) -> io::Result<()> {
        match decoded {
            Decoded::Began { thread, turn } => {
                show.started(Some(&turn), &thread)?;
                if self.threads.len() >= TURNS {
                    self.threads.pop_first();
                }
                self.threads.insert(turn, thread);
                Ok(())
            }
            Decoded::Event { turn, event } => show.event(Some(&turn), &event),
            Decoded::Asked(asked) => {
                let (id, what) = (asked.id.value(), what(asked.what));
                let turn = asked.turn;
                show.line(
                    &json!({"turn": turn, "type": "control", "control": "asked", "id": id, "what": what}),
                )
            }
            Decoded::Settled { id } => {
                show.line(&json!({"type": "control", "control": "withdrawn", "id": id.value()}))
            }
            Decoded::Refused { id, code, message } => {
                let error = json!({"code": code, "message": message});
                show.line(
                    &json!({"type": "control", "control": "answered", "id": id.value(), "error": error}),
                )
            }
            Decoded::Ended { turn, verdict } => {
                let thread = self.threads.remove(&turn);
                outcome(&turn, thread.as_deref(), &verdict, show)
            }
            Decoded::Other(json) => show.raw(json.get()),
        }
    }
}

impl Reading for Codex {
    fn feed(&mut self, chunk: &[u8], show: &mut Show<impl Write>) -> io::Result<()> {
        self.decoder.feed(chunk).into_iter().try_for_each(|decoded| self.show(decoded, show))
    }

    fn finish(mut self, show: &mut Show<impl Write>) -> io::Result<()> {
        let rest = std::mem::take(&mut self.decoder).finish();
        rest.into_iter().try_for_each(|decoded| self.show(decoded, show))
    }
}

fn what(question: Question) -> Value {
    match question {
        Question::Call { id, namespace, tool, arguments } => {
            json!({"call": id, "namespace": namespace, "tool": tool, "input": arguments.value()})
        }
        Question::Command { item, input } => json!({"command": item, "input": input.value()}),
        Question::Files { item, input } => json!({"files": item, "input": input.value()}),
        Question::Elicitation { server, tool, input } => {
            json!({"mcp": server, "tool": tool, "input": input.value()})
        }
        Question::Input => json!({"user": Value::Null}),
        Question::Other { method } => json!({"unknown": method}),
        _ => json!({}),
    }
}

fn outcome(
    turn: &str,
    thread: Option<&str>,
    verdict: &Verdict,
    show: &mut Show<impl Write>,
) -> io::Result<()> {
    show.outcome(&Outcome {
        turn: Some(turn),
        status: match verdict.status {
            Status::Answered => "completed",
            Status::Silent => "empty",
            Status::Interrupted => "cancelled",
            Status::Cut => "cut",
            _ => "failed",
        },
        text: verdict.text.as_deref(),
        session: thread,
        // The server tells none.
        cost_usd: None,
        usage: Some(verdict.usage).filter(|usage| *usage != Usage::default()),
        error: verdict.reason.as_deref(),
    })
}
