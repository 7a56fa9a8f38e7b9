//! What a turn used and what it cost.

use crate::Usd;
use serde::{Deserialize, Serialize};

/// Tokens of one turn, as the runtime reported them; 0 where it said nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens read that were not in a cache.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Tokens put into a cache.
    pub cache_write_tokens: u64,
    /// Model calls (steps).
    pub steps: u64,
}

impl Usage {
    /// Adds another turn's or step's tokens to these.
    pub const fn add(&mut self, other: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
        self.steps = self.steps.saturating_add(other.steps);
    }
}

/// What a turn or an attempt cost, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "known", content = "usd", rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "the budget must handle every way of knowing a cost")]
pub enum Cost {
    /// The runtime's own figure.
    Reported(Usd),
    /// Worked out from tokens and a price table.
    Estimated(Usd),
    /// Nobody knows; the budget charges the whole reservation.
    Unknown,
}

impl Cost {
    /// The figure, where there is one.
    pub const fn amount(self) -> Option<Usd> {
        match self {
            Self::Reported(usd) | Self::Estimated(usd) => Some(usd),
            Self::Unknown => None,
        }
    }
}
