//! Money in whole micro-dollars, so that sums are exact.

use serde::{Deserialize, Serialize};
use std::{fmt, iter::Sum, str::FromStr};

/// An amount of US dollars in millionths; on the wire that number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usd(u64);

/// A text that is not an amount of dollars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an amount in USD: expected a number such as 1.50")]
#[non_exhaustive]
pub struct ParseUsdError {
    /// What was to be read as an amount.
    pub text: String,
}

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// An amount of `micros` millionths of a dollar.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Millionths of a dollar.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The sum; it stays at the largest amount instead of overflowing.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left; nothing where `other` is more.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// An equal part of it, rounded down; nothing for 0 parts.
    pub const fn part(self, parts: u64) -> Self {
        match self.0.checked_div(parts) {
            Some(micros) => Self(micros),
            None => Self::ZERO,
        }
    }

    /// Reads a runtime's own report in dollars, rounded to the nearest millionth.
    /// `None` for what is no amount: negative, infinite, not a number.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let micros = (dollars * 1e6).round();
        // Above 2^53 a float no longer counts single micro-dollars; nine billion dollars are enough.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked on this line")]
        (0.0..9.0e15).contains(&micros).then_some(Self(micros as u64))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

/// Dollars with two to six decimals: `1.50`, `0.004100`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if micros % 10_000 == 0 {
            write!(f, "{whole}.{:02}", micros / 10_000)
        } else if micros % 100 == 0 {
            write!(f, "{whole}.{:04}", micros / 100)
        } else {
            write!(f, "{whole}.{micros:06}")
        }
    }
}

/// Reads `1`, `1.5`, `0.004100`, `.5`; at most six decimals, no sign, no exponent.
impl FromStr for Usd {
    type Err = ParseUsdError;

    fn from_str(text: &str) -> Result<Self, ParseUsdError> {
        let error = || ParseUsdError { text: text.chars().take(80).collect() };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() > 32
            || !digits(whole)
            || !digits(fraction)
            || whole.len() + fraction.len() == 0
            || fraction.len() > 6
        {
            return Err(error());
        }
        let micros = format!("{whole}{fraction:0<6}").parse::<u64>().map_err(|_| error())?;
        Ok(Self(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_round_trip_through_text() {
        for (text, micros) in [("1.50", 1_500_000), ("0.004100", 4_100), ("2", 2_000_000), (".5", 500_000)] {
            assert_eq!(text.parse::<Usd>().map(Usd::as_micros), Ok(micros));
        }
        assert_eq!(Usd::from_micros(1_500_000).to_string(), "1.50");
        assert_eq!(Usd::from_micros(4_100).to_string(), "0.0041");
        assert_eq!(Usd::from_micros(1).to_string(), "0.000001");
    }

    #[test]
    fn junk_is_refused() {
        for text in ["", ".", "abc", "-1", "+1", "1e3", "NaN", "0.0000001", "99999999999999999999"] {
            assert!(text.parse::<Usd>().is_err(), "{text}");
        }
        assert_eq!(Usd::from_dollars(f64::NAN), None);
        assert_eq!(Usd::from_dollars(-0.1), None);
        assert_eq!(Usd::from_dollars(0.00149), Some(Usd::from_micros(1_490)));
    }
}
