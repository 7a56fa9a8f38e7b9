//! The right to drive a session: one process at a time.

use crate::process;
use party_core::SessionId;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

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

impl Owner {
    /// This process, with an instance of its own at each call. On Linux from `/proc`; elsewhere
    /// boot and start are left empty, so that a reused process id counts as alive until the lease
    /// expires.
    pub fn this_process() -> Self {
        static INSTANCES: AtomicU64 = AtomicU64::new(1);
        let pid = std::process::id();
        Self {
            host: process::host(),
            boot: process::boot(),
            pid,
            started: process::started(pid).unwrap_or_default(),
            instance: INSTANCES.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether the owner is known to be dead, which only a process of its host and boot can tell.
    fn is_dead(&self) -> bool {
        self.host == process::host()
            && self.boot == process::boot()
            && !process::is_alive(self.pid, self.started)
    }
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

impl LeaseOp {
    /// The session that it is about.
    pub const fn session(&self) -> SessionId {
        match self {
            Self::Acquire { session, .. } | Self::Renew { session, .. } | Self::Release { session, .. } => {
                *session
            }
        }
    }
}

/// What a store keeps of a session's lease; the rules are the same in every store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "storage backends build it from their rows")]
pub struct Tenure {
    /// Who holds it.
    pub owner: Option<Owner>,
    /// The token of the last holder; 0 where there was none. It never goes back.
    pub token: u64,
    /// When it expires, in microseconds of the store's clock.
    pub until: i64,
}

impl Tenure {
    /// Carries out `op` at `now`; `None` leaves all as it was.
    pub fn apply(&mut self, op: &LeaseOp, now: i64) -> Option<Lease> {
        let (session, term) = match op {
            LeaseOp::Acquire { session, owner, term } => {
                if self.driver(now).is_some_and(|driver| driver != owner) {
                    return None;
                }
                self.owner = Some(owner.clone());
                self.token += 1;
                (*session, *term)
            }
            LeaseOp::Renew { session, fencing_token, term } => {
                self.holds(*fencing_token).then_some((*session, *term))?
            }
            LeaseOp::Release { session, fencing_token } => {
                self.holds(*fencing_token).then_some(())?;
                self.owner = None;
                (*session, Duration::ZERO)
            }
        };
        self.until = now.saturating_add(i64::try_from(term.as_micros()).unwrap_or(i64::MAX));
        Some(Lease { session, fencing_token: self.token, term })
    }

    /// Whether `token` may still write: one that expired may, until another takes the session.
    pub fn holds(&self, token: u64) -> bool {
        self.owner.is_some() && self.token == token
    }

    /// Who drives the session at `now`.
    pub fn driver(&self, now: i64) -> Option<&Owner> {
        self.owner.as_ref().filter(|owner| now < self.until && !owner.is_dead())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire(owner: &Owner) -> LeaseOp {
        let term = Duration::from_micros(10);
        LeaseOp::Acquire { session: SessionId::derive(&[]), owner: owner.clone(), term }
    }

    #[test]
    fn a_lease_passes_on_when_it_expires_and_its_token_grows() {
        let (ann, bob) = (Owner::this_process(), Owner::this_process());
        let mut tenure = Tenure::default();
        assert_eq!(tenure.apply(&acquire(&ann), 0).map(|lease| lease.fencing_token), Some(1));
        assert_eq!(tenure.apply(&acquire(&bob), 9), None);
        assert_eq!(tenure.apply(&acquire(&bob), 10).map(|lease| lease.fencing_token), Some(2));
        assert!(!tenure.holds(1) && tenure.holds(2));
    }

    #[test]
    fn a_dead_process_is_taken_over_at_once() {
        let bob = Owner::this_process();
        let reused_pid = Owner { started: bob.started + 1, ..Owner::this_process() };
        let gone = Owner { pid: 999_999_999, ..Owner::this_process() };
        let elsewhere = Owner { host: "elsewhere".into(), ..gone.clone() };
        for (holder, taken) in [(reused_pid, true), (gone, true), (elsewhere, false)] {
            let mut tenure = Tenure::default();
            tenure.apply(&acquire(&holder), 0);
            assert_eq!(tenure.apply(&acquire(&bob), 1).is_some(), taken, "{holder:?}");
        }
    }
}
