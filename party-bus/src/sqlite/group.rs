//! Work that is written together: batches and leases, in one transaction.

use super::{
    append::Write,
    failure::Failure,
    known::Known,
    lease,
    transaction::guarded,
    writer::{Care, Job},
};
use crate::{Durability, Error, Lease, LeaseOp, Receipt, Result};
use rusqlite::Connection;
use std::path::Path;
use tokio::sync::oneshot;

/// At most so many pieces of work in one transaction.
const MOST: usize = 256;
/// Past so many bytes a transaction takes no more work: larger syncs throttle the disk.
const MOST_BYTES: usize = 1 << 20;

/// So many pages change with a piece of work of one record, and so much of longer ones fills another.
const PAGES_OF_EACH: usize = 5;
const PAGE_CONTENT: usize = 4 << 10;

/// Work that is written together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) appends: Vec<Append>,
    pub(super) leases: Vec<(LeaseOp, oneshot::Sender<Result<Option<Lease>>>)>,
    /// What comes behind them, by itself.
    pub(super) care: Option<(Care, bool)>,
    bytes: usize,
}

/// A batch and where its receipt goes.
pub(super) type Append = (Box<Write>, Reply);
pub(super) type Reply = oneshot::Sender<Result<Receipt>>;

pub(super) type Answers = (Vec<Result<Receipt>>, Vec<Result<Option<Lease>>>);

impl Group {
    /// Takes a job in; gives back whom to tell when the bus is closed, if that is what it asks for.
    pub(super) fn take(&mut self, job: Job) -> Option<oneshot::Sender<Result<()>>> {
        match job {
            Job::Append(write, reply) => {
                self.bytes += write.encoded.bytes;
                self.appends.push((write, reply));
            }
            Job::Lease(op, reply) => self.leases.push((op, reply)),
            Job::Care(care, changes) => self.care = Some((care, changes)),
            Job::Close(reply) => return Some(reply),
        }
        None
    }

    /// Does all of it, and stops where a piece is refused. A savepoint for each piece would have
    /// SQLite copy every page that the piece changes, so they are for groups that need them.
    pub(super) fn run_together(&self, conn: &Connection, known: &mut Known) -> Result<Answers, Failure> {
        let appends = self.appends.iter().map(|(write, _)| write.run(conn, known).map(Ok));
        let receipts = appends.collect::<Result<Vec<_>, _>>()?;
        known.write_back(conn)?;
        let leases = self.leases.iter().map(|(op, _)| lease(conn, known, op).map(Ok));
        Ok((receipts, leases.collect::<Result<Vec<_>, _>>()?))
    }

    /// Does all of it but what is refused.
    pub(super) fn run_apart(
        &self,
        conn: &Connection,
        known: &mut Known,
        path: &Path,
    ) -> Result<Answers, Failure> {
        let mut receipts = Vec::with_capacity(self.appends.len());
        for (write, _) in &self.appends {
            let receipt = guarded(conn, path, || {
                let receipt = write.run(conn, known)?;
                known.write_back(conn)?;
                Ok(receipt)
            })?;
            if receipt.is_err() {
                known.forget();
            }
            receipts.push(receipt);
        }
        let leases = self.leases.iter().map(|(op, _)| guarded(conn, path, || lease(conn, known, op)));
        Ok((receipts, leases.collect::<Result<Vec<_>, _>>()?))
    }

    /// Whether somebody waits for a sync.
    pub(super) fn wants_sync(&self) -> bool {
        self.appends.iter().any(|(write, _)| write.batch.durability == Durability::Synced)
    }

    /// Each piece of work by itself; leases first, for they need least, and keep paid work alive.
    pub(super) fn split(self) -> impl Iterator<Item = Self> {
        let leases = self.leases.into_iter().map(|lease| Self { leases: vec![lease], ..Self::default() });
        let appends =
            self.appends.into_iter().map(|append| Self { appends: vec![append], ..Self::default() });
        leases.chain(appends)
    }

    pub(super) fn refuse(self, error: &Error) {
        for (_, reply) in self.appends {
            let _ = reply.send(Err(error.again()));
        }
        for (_, reply) in self.leases {
            let _ = reply.send(Err(error.again()));
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.appends.len() + self.leases.len()
    }

    /// About how many pages of log it makes; as many as there can be where nobody knows.
    pub(super) fn pages(&self) -> i64 {
        if self.care.is_some() {
            return i64::MAX;
        }
        let (few, content) = (self.len() * PAGES_OF_EACH, self.bytes / PAGE_CONTENT);
        i64::try_from(few + content).unwrap_or(i64::MAX)
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= MOST || self.bytes >= MOST_BYTES || self.care.is_some()
    }
}

/// Carries out a lease, whose session's row changes beside what is known of it.
fn lease(conn: &Connection, known: &mut Known, op: &LeaseOp) -> Result<Option<Lease>, Failure> {
    known.forget_session(op.session());
    lease::run(conn, op)
}

/// Gives each its answer; one who has gone away needs none.
pub(super) fn answer<T>(
    replies: impl IntoIterator<Item = oneshot::Sender<Result<T>>>,
    answers: Vec<Result<T>>,
) {
    for (reply, answer) in replies.into_iter().zip(answers) {
        let _ = reply.send(answer);
    }
}
