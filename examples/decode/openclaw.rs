//! What a gateway of OpenClaw sent.

use crate::{
    Reading,
    show::{Outcome, Show, usd},
};
use party_launch::{
    core::Usage,
    harness::openclaw::codec::{Decoded, Decoder, Status, Verdict},
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// How many runs are kept in mind at once, as by the decoder.
const RUNS: usize = 4096;

pub(crate) struct OpenClaw {
    decoder: Decoder,
    /// The session of each run that is not over.
    sessions: BTreeMap<String, String>,
}

impl OpenClaw {
    pub(crate) fn new() -> Self {
        Self { decoder: Decoder::new(), sessions: BTreeMap::new() }
    }

    fn show(&mut self, decoded: Decoded, show: &mut Show<impl Write>) -> io::Result<()> {
        match decoded {
            Decoded::Accepted { run, session } => {
                show.started(Some(&run), &session)?;
                if self.sessions.len() >= RUNS {
                    self.sessions.pop_first();
                }
                self.sessions.insert(run, session);
                Ok(())
            }
            Decoded::Event { run, event } => show.event(Some(&run), &event),
            Decoded::Ended { run, verdict } => {
                let session = self.sessions.remove(&run);
                outcome(&run, session.as_deref(), &verdict, show)
            }
            Decoded::Other(json) => show.raw(json.get()),
        }
    }
}

impl Reading for OpenClaw {
    fn feed(&mut self, chunk: &[u8], show: &mut Show<impl Write>) -> io::Result<()> {
        self.decoder.feed(chunk).into_iter().try_for_each(|decoded| self.show(decoded, show))
    }

    fn finish(mut self, show: &mut Show<impl Write>) -> io::Result<()> {
        let rest = std::mem::take(&mut self.decoder).finish();
        rest.into_iter().try_for_each(|decoded| self.show(decoded, show))
    }
}

fn outcome(
    run: &str,
    session: Option<&str>,
    verdict: &Verdict,
    show: &mut Show<impl Write>,
) -> io::Result<()> {
    show.outcome(&Outcome {
        turn: Some(run),
        status: match verdict.status {
            Status::Answered => "completed",
            Status::Silent => "empty",
            Status::TimedOut => "timed out",
            Status::Cancelled => "cancelled",
            Status::Refused => "refused",
            Status::Cut => "cut",
            _ => "failed",
        },
        text: verdict.text.as_deref(),
        session,
        cost_usd: usd(verdict.cost),
        usage: Some(verdict.usage).filter(|usage| *usage != Usage::default()),
        error: verdict.reason.as_deref(),
    })
}
