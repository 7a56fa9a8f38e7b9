//! A ratio, what it should be, and what came of it.

use crate::Measured;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// What a ratio should be.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "benches name the goals that there are")]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// This, counted and not timed: anything else fails the run.
    Counted(f64),
    /// No more than this, counted and not timed: anything else fails the run.
    CountedAtMost(f64),
}

impl Goal {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) | Self::CountedAtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
            Self::Counted(exactly) => ratio.total_cmp(&exactly).is_eq(),
        }
    }

    /// How far `ratio` is from the goal: 1 at the goal, less where it is better, never below 0.
    /// Nothing where no distance makes sense: what has to be one count is right or wrong.
    pub(super) fn distance(self, ratio: f64) -> Option<f64> {
        let distance = match self {
            Self::AtMost(most) | Self::CountedAtMost(most) => ratio.max(0.0) / most,
            Self::AtLeast(least) => least / ratio.max(0.0),
            Self::Counted(_) => return None,
        };
        // `max` takes a number that is none for 0.
        (distance >= 0.0 && !ratio.is_nan()).then_some(distance)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, goal) = match self {
            Self::AtMost(most) | Self::CountedAtMost(most) => ("≤", most),
            Self::AtLeast(least) => ("≥", least),
            Self::Counted(exactly) => ("=", exactly),
        };
        f.pad(&format!("{sign} {goal}"))
    }
}

/// Whether the goal is met, as far as one can say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    Met,
    Missed,
    /// The ratio says nothing, because of this.
    Inconclusive(String),
}

impl Verdict {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::Inconclusive(_) => "inconclusive",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inconclusive(why) => f.pad(&format!("{}: {why}", self.word())),
            Self::Met | Self::Missed => f.pad(self.word()),
        }
    }
}

/// A ratio with what it should be and what it compares.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Row {
    pub(super) name: String,
    /// The binary that reports it.
    pub(super) bench: String,
    #[serde(deserialize_with = "number_or_none")]
    pub(super) ratio: f64,
    /// The quartiles of what was timed.
    pub(super) quartiles: Option<(f64, f64)>,
    pub(super) goal: Goal,
    pub(super) verdict: Verdict,
    pub(super) what: String,
}

impl Row {
    /// A row of what was timed; it never fails a run, and says so where the disk was unsteady.
    pub fn timed(name: &str, goal: Goal, measured: &Measured, what: impl Into<String>) -> Self {
        let mut row = Self::counted(name, goal, measured.ratio, what);
        let (low, high) = measured.quartiles;
        row.quartiles = (low.is_finite() && high.is_finite()).then_some((low, high));
        if !measured.is_steady() {
            row.verdict = Verdict::Inconclusive(format!("a sync moved {:.1}x", measured.disk_moved));
        }
        row
    }

    /// A row of what was counted.
    pub fn counted(name: &str, goal: Goal, ratio: f64, what: impl Into<String>) -> Self {
        let verdict = if goal.is_met(ratio) { Verdict::Met } else { Verdict::Missed };
        let (name, what) = (name.to_owned(), what.into());
        Self { name, bench: String::new(), ratio, quartiles: None, goal, verdict, what }
    }

    /// Whether this is a counted gate that does not hold.
    pub(super) fn fails_the_run(&self) -> bool {
        matches!(self.goal, Goal::Counted(_) | Goal::CountedAtMost(_)) && self.verdict == Verdict::Missed
    }
}

/// JSON has no word for a ratio that is no number, and `null` may not cost the rows beside it.
fn number_or_none<'de, D: Deserializer<'de>>(json: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(json)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_1_at_the_goal_and_less_where_the_ratio_is_better() {
        assert_eq!(Goal::AtMost(2.0).distance(1.0), Some(0.5));
        assert_eq!(Goal::AtMost(2.0).distance(2.0), Some(1.0));
        assert_eq!(Goal::AtMost(2.0).distance(-1.0), Some(0.0));
        assert_eq!(Goal::AtLeast(2.0).distance(1.0), Some(2.0));
        assert_eq!(Goal::AtLeast(2.0).distance(4.0), Some(0.5));
        assert_eq!(Goal::AtLeast(2.0).distance(-1.0), Some(f64::INFINITY));
        assert_eq!(Goal::Counted(2.0).distance(2.0), None);
        assert_eq!(Goal::CountedAtMost(2.0).distance(1.0), Some(0.5));
        assert_eq!(Goal::AtMost(2.0).distance(f64::NAN), None);
        assert_eq!(Goal::AtMost(0.0).distance(0.0), None);
    }

    #[test]
    fn only_a_counted_gate_fails_the_run() {
        let row = |goal| Row::counted("ratio", goal, 2.0, "");
        assert!(row(Goal::Counted(1.0)).fails_the_run());
        assert!(!row(Goal::Counted(2.0)).fails_the_run());
        assert!(row(Goal::CountedAtMost(1.9)).fails_the_run());
        assert!(!row(Goal::CountedAtMost(2.0)).fails_the_run());
        assert!(!row(Goal::AtMost(1.0)).fails_the_run());
    }

    #[test]
    fn a_ratio_that_is_no_number_is_kept_as_such() {
        let row = Row::counted("ratio", Goal::AtMost(1.0), f64::NAN, "");
        let json = serde_json::to_string(&row).unwrap();
        let read: Row = serde_json::from_str(&json).unwrap();
        assert!(read.ratio.is_nan());
        assert_eq!(read.verdict, Verdict::Missed);
    }
}
