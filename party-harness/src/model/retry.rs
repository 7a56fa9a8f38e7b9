//! How often, and after how long, a call that came to nothing is made again.

use super::fault::Again;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// When a model call that failed is made again, by itself and within one turn.
///
/// Only where that is safe: the provider was overloaded, limited the key or failed, or the connection
/// broke, and nothing of the answer was shown yet. What the provider says of when to come again goes
/// before the times of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// How often one call is made again.
    pub times: usize,
    /// The wait before the first time; each later one is twice as long, and all vary a little.
    pub first: Duration,
    /// How long all calls of a turn may wait in sum. A provider that asks for more ends the turn, with
    /// the time in a [`RateLimit`](crate::TurnEvent::RateLimit).
    pub within: Duration,
}

impl Default for Retry {
    /// Three times, after 0.5 s; a minute in a turn.
    fn default() -> Self {
        Self { times: 3, first: Duration::from_millis(500), within: Duration::from_secs(60) }
    }
}

impl Retry {
    /// Never.
    pub const NEVER: Self = Self { times: 0, first: Duration::ZERO, within: Duration::ZERO };

    /// So often, and first after so long; a minute in a turn.
    pub const fn new(times: usize, first: Duration) -> Self {
        Self { times, first, within: Duration::from_secs(60) }
    }

    /// The same with another limit on a turn's waits.
    #[must_use]
    pub const fn within(mut self, sum: Duration) -> Self {
        self.within = sum;
        self
    }

    pub(super) fn waits(self) -> Waits {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay(Duration::from_secs(20).max(self.first))
            .with_max_times(self.times)
            .with_jitter();
        Waits(backoff.build())
    }
}

/// The waits of one call.
#[derive(Debug)]
pub(super) struct Waits(ExponentialBackoff);

impl Waits {
    /// How long to wait before the next time, where there is one and `left` is enough for it.
    pub(super) fn next(&mut self, again: Again, left: Duration) -> Option<Duration> {
        let hint = match again {
            Again::Never | Again::Less(_) => return None,
            Again::Soon => None,
            Again::After(hint) => Some(hint),
        };
        let own = self.0.next()?;
        // A little later than the provider says, and not all callers at the same time.
        let wait = hint.map_or(own, |hint| hint + own.min(hint / 10));
        (wait <= left).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_secs(3_600);

    #[test]
    fn waits_grow_and_end() {
        let mut waits = Retry::new(3, Duration::from_millis(100)).waits();
        let all: Vec<Duration> = std::iter::from_fn(|| waits.next(Again::Soon, FAR)).collect();
        assert_eq!(all.len(), 3);
        for (wait, least) in all.iter().zip([100, 200, 400]) {
            let least = Duration::from_millis(least);
            assert!(*wait >= least && *wait <= least * 2, "{all:?}");
        }
        assert_eq!(Retry::NEVER.waits().next(Again::Soon, FAR), None);
        assert_eq!(Retry::default().waits().next(Again::Never, FAR), None);
    }

    #[test]
    fn the_provider_s_time_goes_first_and_too_long_a_one_ends_it() {
        let hint = Duration::from_secs(7);
        let wait = Retry::default().waits().next(Again::After(hint), FAR).unwrap();
        assert!(wait >= hint && wait <= hint * 11 / 10, "{wait:?}");
        assert_eq!(Retry::default().waits().next(Again::After(hint), hint / 2), None);
    }
}
