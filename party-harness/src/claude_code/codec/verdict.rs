//! What a run came to.

use super::{Decoder, outcome::Outcome as Last, unescape::Prose};
use party_core::{Cost, Failure, Outcome, Usage, Usd};
use std::sync::Arc;

/// How a process ended, and what the host did to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever runs a process fills it in")]
pub struct Exit {
    /// The exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The end of what it wrote on stderr.
    pub stderr: String,
    /// Whether the host asked it to stop.
    pub interrupted: bool,
}

/// How a run ended, finer than an [`Outcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// With an answer; or a command such as `/compact` was carried out, which need not say a word.
    Completed,
    /// Without a word.
    Empty,
    /// By an error, of the CLI or of a model's provider.
    Failed,
    /// Because it was asked to.
    Cancelled,
    /// Its tools were not there.
    Poisoned,
    /// The session to resume was not found.
    Refused,
    /// The process did not start its work.
    NotStarted,
    /// The session had the message already, and nothing was done.
    Repeated,
}

impl Status {
    /// What a host is told.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Completed => Outcome::Completed,
            Self::Empty => Outcome::Empty,
            Self::Cancelled => Outcome::Cancelled,
            Self::Failed | Self::Poisoned | Self::Refused | Self::NotStarted | Self::Repeated => {
                Outcome::Failed
            }
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a plain result")]
pub struct Verdict {
    /// How it ended.
    pub status: Status,
    /// What the agent said last.
    pub text: Option<Arc<str>>,
    /// Why, where it did not complete.
    pub reason: Option<String>,
    /// What kind of failure it was, where it failed.
    pub failure: Option<Failure>,
    /// The runtime's session; none where it is of no more use.
    pub session: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// Cost of this run.
    pub cost: Cost,
    /// Cost of the session so far, by the runtime's count.
    pub total: Usd,
}

impl Decoder {
    pub(super) fn verdict(self, exit: &Exit) -> Verdict {
        let (status, reason) = self.status(exit);
        Verdict {
            status,
            text: self.text(status),
            reason: reason.map(|reason| one_line(&reason)),
            failure: self.failure(status),
            session: self.session_for(status),
            usage: self.bill.usage(),
            cost: self.cost(status),
            total: self.bill.total(),
        }
    }

    fn status(&self, exit: &Exit) -> (Status, Option<String>) {
        if let Some(reason) = &self.poisoned {
            return (Status::Poisoned, Some(reason.clone()));
        }
        match &self.last {
            // Whoever stops a process between two results has not stopped the first one's answer.
            Some(last) if !self.in_turn || exit.code == Some(0) => self.judged(last, exit),
            _ if exit.interrupted => (Status::Cancelled, Some("interrupted".to_owned())),
            _ => self.died(exit),
        }
    }

    fn judged(&self, last: &Last, exit: &Exit) -> (Status, Option<String>) {
        let rounds = last.rounds;
        if last.is_error && self.announced.is_none() && rounds == Some(0) {
            return (Status::Refused, Some(why(last)));
        }
        let aborted = last.terminal_reason.as_deref().is_some_and(|reason| reason.starts_with("aborted_"));
        if last.is_error && (aborted || exit.interrupted) {
            return (Status::Cancelled, Some("interrupted".to_owned()));
        }
        if last.is_error || last.subtype.as_deref().is_some_and(|subtype| subtype != "success") {
            return (Status::Failed, Some(why(last)));
        }
        match &last.result {
            Some(text) if !text.as_str().trim().is_empty() => (Status::Completed, None),
            _ if rounds == Some(0) => (Status::Completed, None),
            _ => (Status::Empty, Some("the model said nothing".to_owned())),
        }
    }

    /// Output ended before a result came.
    fn died(&self, exit: &Exit) -> (Status, Option<String>) {
        let how = match (exit.signal, exit.code) {
            (Some(signal), _) => format!("was ended by signal {signal}"),
            (None, Some(code)) => format!("exited with code {code} and without a result"),
            (None, None) => "ended without a result".to_owned(),
        };
        let stderr = tail(&exit.stderr);
        let colon = if stderr.is_empty() { "" } else { ": " };
        let status = match exit.code {
            Some(0) if self.announced.is_none() => Status::Repeated,
            Some(_) if !self.has_output => Status::NotStarted,
            _ => Status::Failed,
        };
        (status, Some(format!("claude {how}{colon}{stderr}")))
    }

    /// The whole last message: the result holds only its last block.
    fn text(&self, status: Status) -> Option<Arc<str>> {
        let result = self.last.as_ref().and_then(|last| last.result.clone());
        match (status, result) {
            (Status::Completed, Some(result))
                if self.answer.last().map(|text| &**text) != Some(result.as_str()) =>
            {
                Some(result.share()).filter(|text| !text.trim().is_empty())
            }
            _ => self.answer.text(),
        }
    }

    fn session_for(&self, status: Status) -> Option<String> {
        match status {
            Status::Poisoned | Status::Refused | Status::Empty => None,
            _ => self.session.clone(),
        }
    }

    /// Without a result nobody knows, except where no model can have been called yet.
    fn cost(&self, status: Status) -> Cost {
        let unpaid = match status {
            Status::NotStarted | Status::Refused | Status::Repeated => true,
            Status::Poisoned => !self.answer.is_begun(),
            _ => false,
        };
        match self.last {
            Some(_) => self.bill.cost(),
            None if unpaid => Cost::Reported(Usd::ZERO),
            None => Cost::Unknown,
        }
    }
}

fn why(last: &Last) -> String {
    let said = last.errors.join("; ");
    let result = || last.result.as_ref().map(Prose::as_str).unwrap_or_default();
    let said = if said.is_empty() { head(result()) } else { head(&said) };
    match (said.trim(), last.terminal_reason.as_deref(), last.subtype.as_deref()) {
        ("", Some(reason), _) | ("", None, Some(reason)) => reason.to_owned(),
        ("", None, None) => "claude reported an error".to_owned(),
        (said, Some(reason), _) if reason != "completed" => format!("{reason}: {said}"),
        (said, ..) => said.to_owned(),
    }
}

/// The first few hundred characters.
fn head(text: &str) -> &str {
    text.char_indices().nth(600).map_or(text, |(end, _)| &text[..end])
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The last few hundred characters.
fn tail(text: &str) -> &str {
    let text = text.trim();
    let start = text.len().saturating_sub(600);
    let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    &text[start..]
}
