//! The ways in which parties run the CLI.

use party_launch::harness::claude_code::ClaudeCode;
use std::fmt;
use test_support::ClaudeVersion;

/// A version, and whether one process serves all turns of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) version: ClaudeVersion,
    pub(crate) is_persistent: bool,
}

impl Way {
    pub(crate) const fn per_turn(version: ClaudeVersion) -> Self {
        Self { version, is_persistent: false }
    }

    pub(crate) const fn persistent() -> Self {
        Self { version: ClaudeVersion::Current, is_persistent: true }
    }

    pub(crate) fn is_older(self) -> bool {
        self.version == ClaudeVersion::Older
    }

    /// The harness that goes this way.
    pub(crate) fn harness(self) -> ClaudeCode {
        let claude = ClaudeCode::new(self.version.binary());
        if self.is_persistent { claude.persistent() } else { claude }
    }
}

/// As a host in another process is told.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.is_persistent { "persistent" } else { "per-turn" };
        write!(f, "{}:{mode}", self.version.number())
    }
}

impl Way {
    pub(crate) fn parse(text: &str) -> Self {
        let (number, mode) = text.split_once(':').unwrap();
        let versions = [ClaudeVersion::Current, ClaudeVersion::Older];
        let version = versions.into_iter().find(|version| version.number() == number).unwrap();
        Self { version, is_persistent: mode == "persistent" }
    }
}

/// Makes a test of each named function in one way.
macro_rules! tests_by_way {
    ($module:ident: $way:expr, $($test:ident),+ $(,)?) => {
        mod $module {
            use crate::way::Way;

            $(#[tokio::test]
            async fn $test() {
                Box::pin(super::$test($way)).await;
            })+
        }
    };
}

/// Each way of the current version.
macro_rules! in_both_ways {
    ($($test:ident),+ $(,)?) => {
        crate::way::tests_by_way!(per_turn: Way::per_turn(test_support::ClaudeVersion::Current), $($test),+);
        crate::way::tests_by_way!(persistent: Way::persistent(), $($test),+);
    };
}

/// A process per turn in both versions, and one for many turns.
macro_rules! in_each_way {
    ($($test:ident),+ $(,)?) => {
        crate::way::tests_by_way!(v2_1_329: Way::per_turn(test_support::ClaudeVersion::Current), $($test),+);
        crate::way::tests_by_way!(v2_1_197: Way::per_turn(test_support::ClaudeVersion::Older), $($test),+);
        crate::way::tests_by_way!(persistent: Way::persistent(), $($test),+);
    };
}

pub(crate) use {in_both_ways, in_each_way, tests_by_way};
