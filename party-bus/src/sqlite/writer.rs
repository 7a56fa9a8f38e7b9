//! The one thread of a bus that writes. What queues up while one transaction goes to the disk makes
//! the next: one sync for all of them, and no timer.

use super::{
    append::Write,
    bell::{Bell, Ringer},
    checkpoint::{self, Checkpoints},
    connect::connect,
    doubt::Doubt,
    failure::Failure,
    group::{Answers, Append, Group, Reply, answer},
    known::Known,
    standing::Standing,
    transaction::{Syncs, begin, execute, is_clean},
};
use crate::{Error, ErrorKind, Lease, LeaseOp, Receipt, Result};
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};
use tokio::sync::{mpsc, oneshot};

/// Batches that may wait for the writer; more have to wait for a place.
const QUEUE: usize = 1_024;

/// A piece of work and where its answer goes.
pub(super) enum Job {
    Append(Box<Write>, oneshot::Sender<Result<Receipt>>),
    Lease(LeaseOp, oneshot::Sender<Result<Option<Lease>>>),
    /// Whether it changes what readers were shown.
    Care(Care, bool),
    Close(oneshot::Sender<Result<()>>),
}

/// Work in a transaction of its own; whether the connection can still be trusted.
pub(super) type Care = Box<dyn FnOnce(Result<&Connection, Failure>) -> bool + Send>;

/// What the writer has done.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) synced_commits: AtomicU64,
}

pub(super) struct Writer {
    path: Arc<Path>,
    standing: Standing,
    /// `None` after an error of the disk: what SQLite believes to have written then may not be so.
    conn: Option<Connection>,
    syncs: Syncs,
    known: Known,
    ringer: Ringer,
    counters: Arc<Counters>,
    doubt: Doubt,
}

impl Writer {
    pub(super) fn start(
        standing: Standing,
        path: &Arc<Path>,
        conn: Connection,
        bell: Arc<Bell>,
        counters: Arc<Counters>,
    ) -> Result<(mpsc::Sender<Job>, JoinHandle<()>)> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let trouble = |error: rusqlite::Error| Failure::from(error).into_error("write to", path);
        checkpoint::configure(&conn).map_err(trouble)?;
        let doubt = Doubt::default();
        let checkpoints = Checkpoints::start(Arc::clone(path), doubt.clone())?;
        let ringer = Ringer::new(bell);
        let path = Arc::clone(path);
        let (conn, syncs, known) = (Some(conn), Syncs::default(), Known::default());
        let writer = Self { path, standing, conn, syncs, known, ringer, counters, doubt };
        let thread = thread::Builder::new()
            .name("party-bus-write".into())
            .spawn(move || writer.run(queue, checkpoints));
        let thread = thread.map_err(|error| {
            Error::new(ErrorKind::Io, "cannot start the writer's thread").with_source(error)
        })?;
        Ok((sender, thread))
    }

    /// Works until a job says to close, or until nobody is left to send one.
    fn run(mut self, mut queue: mpsc::Receiver<Job>, mut checkpoints: Checkpoints) {
        let mut closing = None;
        while closing.is_none() {
            let Some(job) = queue.blocking_recv() else { break };
            let mut group = Group::default();
            closing = group.take(job);
            while closing.is_none() && !group.is_full() {
                let Ok(job) = queue.try_recv() else { break };
                closing = group.take(job);
            }
            let (pages, care) = (group.pages(), group.care.take());
            self.commit(group);
            if let Some((care, changes)) = care {
                self.care(care, changes);
            }
            if let Some(conn) = &self.conn {
                checkpoints.look(conn, pages, queue.is_empty());
            }
        }
        checkpoints.end();
        let outcome = self.leave_clean();
        drop(self.conn.take());
        if let Some(reply) = closing {
            let _ = reply.send(outcome);
        }
    }

    /// Writes a group in one transaction, and answers when it stands.
    fn commit(&mut self, group: Group) {
        if group.len() == 0 {
            return;
        }
        match self.transact(&group) {
            Ok(((receipts, leases), wrote)) => {
                let replies = self.publish(group.appends, &receipts);
                if wrote {
                    // Before the answers: who hears it in another process has the longer way, and whoever is
                    // answered may take this thread's core.
                    self.ringer.ring();
                }
                answer(replies, receipts);
                answer(group.leases.into_iter().map(|(_, reply)| reply), leases);
            }
            Err(failure) => {
                let error = self.give_up(failure);
                // A commit that failed may be visible all the same.
                self.ringer.tail().doubt();
                if error.kind() == ErrorKind::Full && group.len() > 1 {
                    // What is small may fit where all of it does not.
                    return group.split().for_each(|one| self.commit(one));
                }
                group.refuse(&error);
                self.ringer.ring();
            }
        }
    }

    fn care(&mut self, care: Care, changes: bool) {
        let is_sound = care(self.connection().map(|(conn, ..)| conn));
        self.known.forget();
        self.syncs = Syncs::default();
        if !is_sound {
            self.doubt.raise();
            self.conn = None;
        }
        if changes {
            self.ringer.tail().forget();
            self.ringer.ring();
        }
    }

    /// Shows those who follow what they would else read, each by itself; gives whom to answer.
    fn publish(&self, appends: Vec<Append>, receipts: &[Result<Receipt>]) -> Vec<Reply> {
        let tail = self.ringer.tail();
        let publish = |((write, reply), receipt): (Append, &Result<Receipt>)| {
            let session = write.batch.session;
            if let Ok(receipt) = receipt
                && !receipt.repeated
                && tail.is_followed(session)
            {
                tail.publish(session, receipt.last, write.into_fresh(receipt.first));
            }
            reply
        };
        appends.into_iter().zip(receipts).map(publish).collect()
    }

    /// The answers, and whether anything was written.
    fn transact(&mut self, group: &Group) -> Result<(Answers, bool), Failure> {
        let (path, standing) = (Arc::clone(&self.path), self.standing.clone());
        let (conn, syncs, known) = self.connection()?;
        let wants_sync = group.wants_sync();
        let mut synced = begin(conn, syncs, wants_sync)?;
        known.look(conn)?;
        let (receipts, leases) = match group.run_together(conn, known) {
            Ok(answers) => answers,
            Err(failure) if failure.is_fatal() => return Err(failure),
            Err(_) => {
                execute(conn, "ROLLBACK")?;
                known.forget();
                synced = begin(conn, syncs, wants_sync)?;
                known.look(conn)?;
                group.run_apart(conn, known, &path)?
            }
        };
        let wrote = receipts.iter().flatten().any(|receipt| !receipt.repeated)
            || leases.iter().flatten().any(Option::is_some);
        if wants_sync && !wrote && receipts.iter().any(Result::is_ok) {
            // A batch that is there already may have been buffered; only a commit that writes syncs.
            conn.execute("UPDATE store SET clean = clean", [])?;
        }
        execute(conn, "COMMIT")?;
        // What nobody finds must not be acknowledged.
        standing.check()?;
        self.counters.commits.fetch_add(u64::from(wrote), Ordering::Relaxed);
        self.counters.synced_commits.fetch_add(u64::from(wrote && synced), Ordering::Relaxed);
        Ok(((receipts, leases), wrote))
    }

    fn connection(&mut self) -> Result<(&Connection, &mut Syncs, &mut Known), Failure> {
        self.standing.check()?;
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let conn = connect(&self.path)?;
                checkpoint::configure(&conn)?;
                // What another connection knew is of no version of this one.
                self.known.forget();
                self.syncs = Syncs::default();
                conn
            }
        };
        self.doubt.settle(&conn, &self.path)?;
        Ok((self.conn.insert(conn), &mut self.syncs, &mut self.known))
    }

    /// Ends a transaction that cannot be committed.
    fn give_up(&mut self, failure: Failure) -> Error {
        if let Failure::Sql(error) = &failure {
            self.doubt.note(error);
        }
        let error = failure.into_error("write to", &self.path);
        tracing::warn!(kind = ?error.kind(), source = ?std::error::Error::source(&error), "{error}");
        // Closing rolls back.
        self.conn = None;
        self.known.forget();
        error
    }

    /// Syncs what was buffered and notes that nothing is left to lose.
    fn leave_clean(&mut self) -> Result<()> {
        // The log behind a failed sync is written again by the second try, and for another process.
        let left = self.try_leave().or_else(|failure| {
            self.give_up(failure);
            self.try_leave()
        });
        left.map_err(|failure| failure.into_error("close", &self.path))
    }

    fn try_leave(&mut self) -> Result<(), Failure> {
        let (conn, ..) = self.connection()?;
        if !is_clean(conn)? {
            conn.pragma_update(None, "synchronous", "full")?;
            conn.execute("UPDATE store SET clean = 1", [])?;
        }
        // What another process still reads stays in the log; that is no trouble.
        Ok(conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }
}
