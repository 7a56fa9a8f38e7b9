//! The right to drive a session: one process at a time.

use party_core::SessionId;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Who holds a lease. A holder on this host that is no longer alive is taken over at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "hosts may name themselves")]
pub struct Owner {
    /// The machine.
    pub host: String,
    /// The machine's boot, so that a process id of an earlier boot means nothing.
    pub boot: String,
    /// The process.
    pub pid: u32,
    /// When the process started, in the system's own ticks, so that a reused id is told apart.
    pub started: u64,
    /// Which of the process's drivers.
    pub instance: u64,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.pid)
    }
}

/// What is asked of a lease. A term runs from the store's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle every operation")]
pub enum LeaseOp {
    /// Take the session, if it is free, expired, or held by a dead process of this host.
    Acquire {
        /// The session; it need not have records yet.
        session: SessionId,
        /// Who asks.
        owner: Owner,
        /// For how long.
        term: Duration,
    },
    /// Keep it for another term.
    Renew {
        /// The session.
        session: SessionId,
        /// The token of the lease held.
        fencing_token: u64,
        /// For how long.
        term: Duration,
    },
    /// Give it up.
    Release {
        /// The session.
        session: SessionId,
        /// The token of the lease held.
        fencing_token: u64,
    },
}

/// A held lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "storage backends build it")]
pub struct Lease {
    /// The session.
    pub session: SessionId,
    /// Grows with each holder; writes under an older one are refused.
    pub fencing_token: u64,
    /// For how long it holds from now.
    pub term: Duration,
}
