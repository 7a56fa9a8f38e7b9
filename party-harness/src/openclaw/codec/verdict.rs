//! What a run came to.

use party_core::{Cost, Failure, Outcome, Usage};
use std::sync::Arc;

/// How a run ended, finer than an [`Outcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// With an answer.
    Answered,
    /// Without a word: the agent chose to say nothing, or had nothing to say.
    Silent,
    /// By an error, of the gateway or of a model's provider.
    Failed,
    /// By the gateway's own clock.
    TimedOut,
    /// Because somebody asked it to.
    Cancelled,
    /// The request was refused; nothing ran.
    Refused,
    /// Nothing says how: what was told of it breaks off.
    Cut,
}

impl Status {
    /// What a host is told.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Answered => Outcome::Completed,
            Self::Silent => Outcome::Empty,
            Self::Failed | Self::Refused => Outcome::Failed,
            Self::TimedOut => Outcome::TimedOut,
            Self::Cancelled => Outcome::Cancelled,
            Self::Cut => Outcome::Lost,
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
    /// Why, in one line, where there is no answer.
    pub reason: Option<String>,
    /// What kind of failure it was, where it failed.
    pub failure: Option<Failure>,
    /// Tokens.
    pub usage: Usage,
    /// What it cost, by the prices in the gateway's configuration.
    pub cost: Cost,
}

impl Verdict {
    /// An end of which no more is known than this.
    pub(crate) fn bare(status: Status, reason: impl AsRef<str>) -> Self {
        let reason = Some(one_line(reason.as_ref())).filter(|_| status != Status::Answered);
        let failed = matches!(status.outcome(), Outcome::Failed);
        let failure = failed.then(|| super::failure::of(reason.as_deref().unwrap_or_default()));
        Self { status, text: None, reason, failure, usage: Usage::default(), cost: Cost::Unknown }
    }
}

/// A text as one line, not endless; never empty.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(600) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None if line.is_empty() => "the gateway does not say why".to_owned(),
        None => line,
    }
}
