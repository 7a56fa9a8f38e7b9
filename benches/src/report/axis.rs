//! The logarithmic axis that all rows share.

use super::row::Row;

/// Where it begins and ends on the picture.
pub(super) const LEFT: f64 = 346.0;
pub(super) const RIGHT: f64 = 606.0;
/// It reaches no farther than this many doublings to either side.
const FARTHEST: f64 = 4.0;

/// Doublings of the distance to the goal; the goal is at 0.
#[derive(Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
}

/// A place on the axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    At(f64),
    /// Farther to the left than the axis reaches.
    Before(f64),
    /// Farther to the right.
    Behind(f64),
}

impl Place {
    pub(super) const fn x(self) -> f64 {
        match self {
            Self::At(x) | Self::Before(x) | Self::Behind(x) => x,
        }
    }
}

impl Axis {
    /// As long as the rows need, and never without either side.
    pub(super) fn over<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let (mut low, mut high) = (-1.0, 1.0);
        for row in rows {
            let (first, third) = row.quartiles.unwrap_or((row.ratio, row.ratio));
            for distance in [first, row.ratio, third].into_iter().filter_map(|ratio| row.goal.distance(ratio))
            {
                low = distance.log2().floor().clamp(-FARTHEST, low);
                high = distance.log2().ceil().clamp(high, FARTHEST);
            }
        }
        Self { low, high }
    }

    pub(super) fn place(&self, distance: f64) -> Place {
        let doublings = distance.log2();
        let x = self.x(doublings.clamp(self.low, self.high));
        if doublings < self.low {
            Place::Before(x)
        } else if doublings > self.high {
            Place::Behind(x)
        } else {
            Place::At(x)
        }
    }

    pub(super) fn goal(&self) -> f64 {
        self.x(0.0)
    }

    /// Each doubling, with how many times better or worse it is than the goal.
    pub(super) fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        (self.low as i32..=self.high as i32).map(|doublings| {
            let times = 1_u32 << doublings.unsigned_abs();
            (self.x(doublings.into()), if times == 1 { "goal".to_owned() } else { format!("{times}×") })
        })
    }

    fn x(&self, doublings: f64) -> f64 {
        LEFT + (doublings - self.low) / (self.high - self.low) * (RIGHT - LEFT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Goal;

    fn over(ratios: &[f64]) -> Axis {
        let rows: Vec<Row> =
            ratios.iter().map(|ratio| Row::counted("ratio", Goal::AtMost(1.0), *ratio, "")).collect();
        Axis::over(rows.iter())
    }

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().map(|(_, label)| label).collect()
    }

    #[test]
    fn it_reaches_to_the_next_doubling_on_either_side() {
        assert_eq!(labels(&over(&[])), ["2×", "goal", "2×"]);
        assert_eq!(labels(&over(&[0.3, 1.1])), ["4×", "2×", "goal", "2×"]);
        assert_eq!(over(&[0.25]).place(0.25), Place::At(LEFT));
    }

    #[test]
    fn what_is_beyond_the_farthest_is_at_the_edge() {
        let axis = over(&[0.0, 1e9, f64::INFINITY, f64::NAN]);
        assert_eq!(labels(&axis).len(), 9);
        assert_eq!(axis.place(0.0), Place::Before(LEFT));
        assert_eq!(axis.place(f64::INFINITY), Place::Behind(RIGHT));
        assert_eq!(axis.place(1.0), Place::At(axis.goal()));
    }
}
