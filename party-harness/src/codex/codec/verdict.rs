//! What a turn came to.

use party_core::{Failure, Outcome, Usage};
use std::sync::Arc;

/// How a turn ended, finer than an [`Outcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// With an answer.
    Answered,
    /// Without a word.
    Silent,
    /// By an error, of the server or of a model's provider.
    Failed,
    /// Because somebody asked it to, or because its server was killed.
    Interrupted,
    /// Nothing says how: what was told of it breaks off.
    Cut,
}

impl Status {
    /// What a host is told.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Answered => Outcome::Completed,
            Self::Silent => Outcome::Empty,
            Self::Failed => Outcome::Failed,
            Self::Interrupted => Outcome::Cancelled,
            Self::Cut => Outcome::Lost,
        }
    }
}

/// What a turn came to.
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
    /// Tokens. The server tells no cost.
    pub usage: Usage,
}

/// A text as one line, not endless; never empty.
pub(in crate::codex) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(600) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None if line.is_empty() => "codex does not say why".to_owned(),
        None => line,
    }
}
