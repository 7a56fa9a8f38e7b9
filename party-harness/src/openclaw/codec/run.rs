//! One run, as its events and answers tell of it.

use super::{
    answer,
    frame::{Answer, Event},
    verdict::{Status, Verdict},
};
use crate::{
    TurnEvent,
    jsonl::view::{Fields, Json},
};
use party_core::Failure;
use std::{collections::BTreeSet, sync::Arc};

/// How many calls of a run are kept in mind, to tell of each once.
pub(super) const CALLS: usize = 4096;

/// What the events told of the end; the first end counts, as a run that is aborted has two.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) over: bool,
    /// People were told the last of it, which of a command is all that is told.
    pub(super) finished: bool,
    pub(super) aborted: bool,
    pub(super) timed_out: bool,
    pub(super) error: Option<String>,
    pub(super) failure: Option<Failure>,
    /// What became of the answer: `visible`, `silent`, `empty`.
    pub(super) disposition: Option<String>,
    /// The answer as far as it was told, and whether that is all of it.
    pub(super) text: Option<Arc<str>>,
}

impl Told {
    /// What was said until it was stopped.
    pub(super) fn partial(&self, status: Status) -> Option<Arc<str>> {
        self.text.clone().filter(|_| matches!(status, Status::Cancelled | Status::TimedOut))
    }
}

/// A text that the agent is writing.
#[derive(Debug, Clone, Default)]
pub(super) struct Writing {
    pub(super) item: String,
    pub(super) text: String,
}

/// What an answer means for its run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// It is going to run; the session's name as the gateway writes it.
    Accepted(String),
    /// It runs already, and this request is not answered again.
    InFlight,
    /// It is over.
    Over(Box<Verdict>),
    /// Nothing: what it says is known or belongs to another request.
    Nothing,
}

/// One run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(super) prefix: String,
    pub(super) writing: Writing,
    pub(super) told: Told,
    /// Calls that were told of, and those whose answer was.
    pub(super) called: BTreeSet<String>,
    pub(super) replied: BTreeSet<String>,
    /// Raw events have no name: they go by their number.
    pub(super) latest: u64,
    judged: bool,
}

impl Run {
    /// A run of an agent whose tools have names that begin with `prefix`, which is left out.
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..Self::default() }
    }

    /// What an event of the run tells.
    pub(crate) fn event(&mut self, event: &Event<'_>) -> Vec<TurnEvent> {
        let mut out = Vec::new();
        if !self.judged {
            self.read(event, &mut out);
        }
        out
    }

    /// What an answer to the run's request tells, with the fields of its payload.
    pub(crate) fn answer(&mut self, answer: &Answer<'_>, payload: &Fields<'_>) -> Step {
        let status = payload.get("status").and_then(Json::cow);
        match status.as_deref() {
            _ if self.judged => Step::Nothing,
            Some("accepted" | "started") if answer.ok => {
                Step::Accepted(payload.get("sessionKey").and_then(Json::string).unwrap_or_default())
            }
            Some("in_flight") => Step::InFlight,
            Some("pending") => Step::Nothing,
            _ => self.judge(answer::verdict(answer, payload, &self.told)),
        }
    }

    /// Whether the events say that it is over; the answer with the whole text follows.
    pub(crate) const fn is_over(&self) -> bool {
        self.told.over
    }

    /// Whether a tool was called that has not answered.
    pub(crate) fn is_calling(&self) -> bool {
        self.called.len() > self.replied.len()
    }

    /// The end by what the events told, for where no answer comes.
    pub(crate) fn conclude(&mut self) -> Option<Verdict> {
        let told = &self.told;
        let status = match told {
            _ if self.judged => return None,
            Told { over: false, finished: false, .. } => Status::Cut,
            Told { aborted: true, .. } => Status::Cancelled,
            Told { timed_out: true, .. } => Status::TimedOut,
            _ if matches!(told.disposition.as_deref(), Some("silent" | "empty")) => Status::Silent,
            Told { error: Some(_), .. } => Status::Failed,
            Told { text: Some(_), .. } => Status::Answered,
            _ => Status::Silent,
        };
        let reason = match status {
            Status::Cut => "what was told of the run breaks off".to_owned(),
            Status::Silent => "the agent said nothing".to_owned(),
            Status::Cancelled => "the run was stopped".to_owned(),
            _ => told.error.clone().unwrap_or_default(),
        };
        let mut verdict = Verdict::bare(status, reason);
        verdict.text = told.text.clone().filter(|_| status != Status::Failed);
        if verdict.failure.is_some() {
            verdict.failure = told.failure.or(verdict.failure);
        }
        self.judged = true;
        Some(verdict)
    }

    fn judge(&mut self, verdict: Verdict) -> Step {
        self.judged = true;
        (self.writing, self.called, self.replied) = Default::default();
        Step::Over(Box::new(verdict))
    }

    /// A tool's name as the host knows it.
    pub(super) fn tool_name(&self, name: &str) -> String {
        name.strip_prefix(&self.prefix).unwrap_or(name).to_owned()
    }
}

/// The text of a message or of a tool's result.
pub(super) fn content(message: Json<'_>) -> Option<String> {
    let content = message.field("content")?;
    match content.items() {
        Some(blocks) => {
            let text = |block: Json<'_>| block.field("text")?.string();
            let texts: Vec<String> = blocks.into_iter().filter_map(text).collect();
            Some(texts.join("\n")).filter(|_| !texts.is_empty())
        }
        None => content.string(),
    }
}
