//! Why ops are refused.

use super::{MOST_LEVELS, Span};
use crate::{ThreadId, ThreadState};

/// Ops that do not fit the threads that are there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// A thread is opened once.
    #[error("thread {0} is open already")]
    AlreadyOpen(ThreadId),
    /// An op names a thread that was opened before.
    #[error("thread {0} was never opened")]
    NotOpen(ThreadId),
    /// A thread that ended takes no entries, and ends no second time.
    #[error("thread {thread} is {state}")]
    Ended {
        /// The thread.
        thread: ThreadId,
        /// How it ended.
        state: ThreadState,
    },
    /// Only a tangent is resolved or abandoned.
    #[error("thread {0} is no tangent")]
    NoTangent(ThreadId),
    /// A tangent is opened, and ended, by its own ops.
    #[error("thread {0} is a tangent: it is opened as one, and resolved or abandoned")]
    IsTangent(ThreadId),
    /// A branch, an anchor or a range begins and ends at entries that are there.
    #[error("thread {thread} has {head} positions, and not {position}")]
    NoEntry {
        /// The thread.
        thread: ThreadId,
        /// The position.
        position: u64,
        /// The thread's last position.
        head: u64,
    },
    /// A range begins before it ends.
    #[error("the range {first} to {last} of thread {thread} is empty")]
    EmptyRange {
        /// The thread.
        thread: ThreadId,
        /// Its first position.
        first: u64,
        /// Its last position.
        last: u64,
    },
    /// Compacted ranges contain each other or lie apart.
    #[error("the range {range} of thread {thread} cuts through {within}, which is compacted")]
    Cut {
        /// The thread.
        thread: ThreadId,
        /// The new range.
        range: Span,
        /// The range that an end of it lies within.
        within: Span,
    },
    /// A tangent without a result is abandoned.
    #[error("tangent {0} is resolved without a result")]
    NoResult(ThreadId),
    /// Entries are said or delivered; the other ways have ops of their own.
    #[error("an entry of thread {0} says that it is a summary or a result, which other ops make")]
    NotAdded(ThreadId),
    /// So many branches of branches make every window slow.
    #[error("thread {0} would be the branch of more than {MOST_LEVELS} others, one of another")]
    TooDeep(ThreadId),
    /// An op of a newer version.
    #[error("a change of topology is of a newer version: {0}")]
    Unknown(String),
}
