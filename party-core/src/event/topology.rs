//! Decisions about threads. What they do stands in the record's ops; the body only names the thread.

use crate::{Offset, SessionId, ThreadId};
use serde::{Deserialize, Serialize};

macro_rules! about_a_thread {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
        pub struct $name {
            /// The thread.
            pub thread: ThreadId,
        })*
    };
}

about_a_thread! {
    /// A thread goes on from the middle of another.
    Branched
    /// Entries of a thread are shown as a summary.
    Compacted
    /// A sub-thread begins at an entry.
    TangentOpened
    /// A tangent's results stand in its parent.
    TangentResolved
    /// A tangent ended without a result.
    TangentAbandoned
}

/// What comes before is a copy of another session's log: turns that ran there are abandoned here, and
/// no runtime session is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Forked {
    /// The session that was copied.
    pub from: SessionId,
    /// The last record that was copied.
    pub at: Offset,
}
