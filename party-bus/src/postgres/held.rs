//! Work for sessions that somebody else holds. It waits here, so that nobody else's waits for it.

use super::{
    lease::Turn,
    link::Address,
    write::Write,
    writer::{Group, Pending},
};
use crate::{Error, ErrorKind, Lease, Receipt, Result};
use party_core::SessionId;
use std::{collections::BTreeSet, mem::take, time::Duration};
use tokio::time::Instant;

/// Until it is tried again.
const AGAIN: Duration = Duration::from_millis(10);
/// Past so many pieces no new work is taken in until some are done.
const MOST: usize = 1_024;

/// What came of a piece of work.
#[derive(Debug)]
pub(super) enum Outcome<A> {
    Done(A),
    /// Somebody else has its session locked.
    Held,
}

/// Work that somebody has an answer to wait for.
pub(super) trait Work {
    fn session(&self) -> SessionId;
}

impl Work for Write {
    fn session(&self) -> SessionId {
        self.batch.session
    }
}

impl Work for Turn {
    fn session(&self) -> SessionId {
        self.op.session()
    }
}

pub(super) struct Held {
    pub(super) appends: Vec<Pending<Write, Receipt>>,
    pub(super) leases: Vec<Pending<Turn, Option<Lease>>>,
    pub(super) again: Instant,
}

impl Held {
    pub(super) fn new() -> Self {
        Self { appends: Vec::new(), leases: Vec::new(), again: Instant::now() }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.appends.is_empty() && self.leases.is_empty()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.appends.len() + self.leases.len() >= MOST
    }

    /// Puts what waits in front of a group, where its time has come; else what the group has for the same
    /// sessions waits behind it.
    pub(super) fn join(&mut self, group: &mut Group) {
        let is_time = self.again <= Instant::now();
        join(&mut self.appends, &mut group.appends, is_time);
        join(&mut self.leases, &mut group.leases, is_time);
        if is_time {
            self.again = Instant::now() + AGAIN;
        }
    }
}

fn join<W: Work, A>(held: &mut Vec<Pending<W, A>>, fresh: &mut Vec<Pending<W, A>>, is_time: bool) {
    if held.is_empty() {
        return;
    }
    if is_time {
        held.append(fresh);
        std::mem::swap(held, fresh);
        return;
    }
    let sessions: BTreeSet<SessionId> = held.iter().map(|pending| pending.work.session()).collect();
    let (behind, free): (Vec<_>, Vec<_>) =
        take(fresh).into_iter().partition(|pending| sessions.contains(&pending.work.session()));
    held.extend(behind);
    *fresh = free;
}

/// Hands out answers; a caller that has gone away misses its own. What is held waits on, as long as its
/// patience lasts.
pub(super) fn answer<W: Work, A>(
    address: &Address,
    pending: Vec<Pending<W, A>>,
    outcomes: Vec<Outcome<Result<A>>>,
    held: &mut Vec<Pending<W, A>>,
) {
    for (pending, outcome) in pending.into_iter().zip(outcomes) {
        match outcome {
            Outcome::Done(answer) => drop(pending.reply.send(answer)),
            Outcome::Held if pending.since.elapsed() < address.patience => held.push(pending),
            Outcome::Held => {
                let why = format!(
                    "cannot write to the store in schema {:?}: somebody else holds session {}",
                    address.schema,
                    pending.work.session()
                );
                drop(pending.reply.send(Err(Error::new(ErrorKind::Busy, why))));
            }
        }
    }
}
