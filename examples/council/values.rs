//! What options are made of.

use party_core::Usd;
use party_examples::BadInput;
use std::{ops::RangeInclusive, path::PathBuf};

/// How the transcript leaves the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Show {
    pub(crate) told: Told,
    /// A file for the transcript as Markdown.
    pub(crate) canvas: Option<PathBuf>,
}

/// What goes to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Opinions and synthesis as they come.
    Opinions,
    /// Markdown, at the end.
    Canvas,
    /// Records as they come, as JSON.
    Records,
}

/// Which runtime a persona lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Runtime {
    Scripted,
    Claude,
    Codex,
    OpenClaw,
    Model,
}

impl Runtime {
    pub(crate) const ALL: [Self; 5] =
        [Self::Scripted, Self::Claude, Self::Codex, Self::OpenClaw, Self::Model];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Scripted => "scripted",
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::OpenClaw => "openclaw",
            Self::Model => "model",
        }
    }

    /// By its name, which `source` gave.
    pub(crate) fn parse(source: &str, name: &str) -> Result<Self, BadInput> {
        Self::ALL.into_iter().find(|runtime| runtime.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            BadInput::new(format!("{source}: unknown harness `{name}`; there are: {known}"))
        })
    }
}

/// The wire format of a model's provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ModelApiKind {
    #[default]
    OpenAi,
    OpenAiResponses,
    Anthropic,
    Gemini,
    Ollama,
    /// Whatever speaks chat completions.
    Compatible,
}

impl ModelApiKind {
    const ALL: [Self; 6] =
        [Self::OpenAi, Self::OpenAiResponses, Self::Anthropic, Self::Gemini, Self::Ollama, Self::Compatible];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Compatible => "compatible",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, BadInput> {
        Self::ALL.into_iter().find(|api| api.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            BadInput::new(format!("--model-api: unknown API `{name}`; there are: {known}"))
        })
    }
}

/// How many turns a process of `claude` serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ClaudeMode {
    #[default]
    PerTurn,
    Persistent,
}

impl ClaudeMode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PerTurn => "per-turn",
            Self::Persistent => "persistent",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, BadInput> {
        [Self::PerTurn, Self::Persistent].into_iter().find(|mode| mode.name() == name).ok_or_else(|| {
            BadInput::new(format!("--claude-mode: unknown mode `{name}`; there are: per-turn, persistent"))
        })
    }
}

/// Reads an amount that has to be more than nothing.
pub(crate) fn budget(source: &str, text: &str) -> Result<Usd, BadInput> {
    let amount: Usd = text.parse().map_err(|error| BadInput::new(format!("{source}: {error}")))?;
    if amount == Usd::ZERO {
        return Err(BadInput::new(format!("{source}: a budget of 0 buys nothing")));
    }
    Ok(amount)
}

pub(crate) fn number(name: &str, text: &str, range: RangeInclusive<u32>) -> Result<u32, BadInput> {
    let error = || {
        BadInput::new(format!("--{name}: `{text}` is not a number from {} to {}", range.start(), range.end()))
    };
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(error)
}

pub(crate) fn names(list: &str) -> Vec<String> {
    list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}
