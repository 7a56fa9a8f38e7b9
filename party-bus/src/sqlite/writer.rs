//! The one thread of a bus that writes. What queues up while one transaction goes to the disk makes
//! the next: one sync for all of them, and no timer.

use super::{
    append::Write,
    bell::{Bell, Ringer},
    checkpoint::{self, Checkpoints},
    connect::connect,
    doubt::Doubt,
    failure::Failure,
    lease,
};
use crate::{Durability, Error, ErrorKind, Lease, LeaseOp, Receipt, Result, process};
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
/// At most so many pieces of work in one transaction.
const GROUP: usize = 256;
/// Past so many bytes a transaction takes no more work: larger syncs throttle the disk.
const GROUP_BYTES: usize = 1 << 20;

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
    /// `None` after an error of the disk: what SQLite believes to have written then may not be so.
    conn: Option<Connection>,
    ringer: Ringer,
    counters: Arc<Counters>,
    doubt: Doubt,
}

impl Writer {
    pub(super) fn start(
        path: Arc<Path>,
        conn: Connection,
        bell: Arc<Bell>,
        counters: Arc<Counters>,
    ) -> Result<(mpsc::Sender<Job>, JoinHandle<()>)> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let trouble =
            |error: rusqlite::Error| Failure::from(error).into_error("write to", &Arc::clone(&path));
        checkpoint::configure(&conn).map_err(trouble)?;
        let doubt = Doubt::default();
        let checkpoints = Checkpoints::start(Arc::clone(&path), doubt.clone())?;
        let writer = Self { path, conn: Some(conn), ringer: Ringer::new(bell), counters, doubt };
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
            let care = group.care.take();
            self.commit(group);
            if let Some((care, changes)) = care {
                self.care(care, changes);
            }
            if let Some(conn) = &self.conn {
                checkpoints.look(conn, queue.is_empty());
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
        let rings = match self.transact(&group) {
            Ok(((receipts, leases), wrote)) => {
                self.answer_appends(group.appends, receipts);
                answer(group.leases, leases);
                wrote
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
                true
            }
        };
        if rings {
            self.ringer.ring();
        }
    }

    fn care(&mut self, care: Care, changes: bool) {
        if !care(self.connection()) {
            self.doubt.raise();
            self.conn = None;
        }
        if changes {
            self.ringer.tail().forget();
            self.ringer.ring();
        }
    }

    fn answer_appends(&self, appends: Vec<Append>, receipts: Vec<Result<Receipt>>) {
        for ((write, reply), receipt) in appends.into_iter().zip(receipts) {
            let written = receipt.as_ref().ok().filter(|receipt| !receipt.repeated).copied();
            let _ = reply.send(receipt);
            if let Some(receipt) = written {
                self.publish(*write, receipt);
            }
        }
    }

    /// Shows those who follow what they would else read, each by itself.
    fn publish(&self, write: Write, receipt: Receipt) {
        let (tail, session) = (self.ringer.tail(), write.batch.session);
        if tail.is_followed(session) {
            tail.publish(session, receipt.last, write.into_fresh(receipt.first));
        }
    }

    /// The answers, and whether anything was written.
    fn transact(&mut self, group: &Group) -> Result<(Answers, bool), Failure> {
        let path = Arc::clone(&self.path);
        let conn = self.connection()?;
        let wants_sync = group.appends.iter().any(|(write, _)| write.batch.durability == Durability::Synced);
        let mut synced = begin(conn, wants_sync)?;
        let (receipts, leases) = match group.run_together(conn) {
            Ok(answers) => answers,
            Err(failure) if failure.is_fatal() => return Err(failure),
            Err(_) => {
                execute(conn, "ROLLBACK")?;
                synced = begin(conn, wants_sync)?;
                group.run_apart(conn, &path)?
            }
        };
        let wrote = receipts.iter().flatten().any(|receipt| !receipt.repeated)
            || leases.iter().flatten().any(Option::is_some);
        if wants_sync && !wrote && receipts.iter().any(Result::is_ok) {
            // A batch that is there already may have been buffered; only a commit that writes syncs.
            conn.execute("UPDATE store SET clean = clean", [])?;
        }
        execute(conn, "COMMIT")?;
        self.counters.commits.fetch_add(u64::from(wrote), Ordering::Relaxed);
        self.counters.synced_commits.fetch_add(u64::from(wrote && synced), Ordering::Relaxed);
        Ok(((receipts, leases), wrote))
    }

    fn connection(&mut self) -> Result<&Connection, Failure> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => {
                let conn = connect(&self.path)?;
                checkpoint::configure(&conn)?;
                conn
            }
        };
        self.doubt.settle(&conn, &self.path)?;
        Ok(self.conn.insert(conn))
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
        let conn = self.connection()?;
        if !is_clean(conn)? {
            conn.pragma_update(None, "synchronous", "full")?;
            conn.execute("UPDATE store SET clean = 1", [])?;
        }
        // What another process still reads stays in the log; that is no trouble.
        Ok(conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }
}

/// Does `work` in a synced transaction, after which nothing of what it removed is left in the pages that
/// it changed.
pub(super) fn alone<T>(
    conn: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    conn.pragma_update(None, "secure_delete", true)?;
    begin(conn, true)?;
    let done = work(conn).and_then(|done| {
        execute(conn, "COMMIT")?;
        Ok(done)
    });
    if done.as_ref().is_err_and(|failure| !failure.is_fatal()) {
        execute(conn, "ROLLBACK")?;
    }
    conn.pragma_update(None, "secure_delete", false)?;
    done
}

/// Begins a transaction whose commit is synced, or not. The first one that is not, since the store
/// was left clean, is synced after all, and notes that from now on something may be lost.
fn begin(conn: &Connection, synced: bool) -> Result<bool, Failure> {
    let start = |synchronous| -> rusqlite::Result<()> {
        conn.pragma_update(None, "synchronous", synchronous)?;
        execute(conn, "BEGIN IMMEDIATE")
    };
    if synced {
        start("full")?;
        return Ok(true);
    }
    start("normal")?;
    if !is_clean(conn)? {
        return Ok(false);
    }
    execute(conn, "ROLLBACK")?;
    start("full")?;
    conn.execute("UPDATE store SET clean = 0, boot = ?1", [process::boot()])?;
    Ok(true)
}

fn is_clean(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT clean FROM store")?.query_row([], |row| row.get(0))
}

/// Executes a statement that is prepared once.
fn execute(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Does one piece of work so that its refusal undoes it alone; fails where the whole transaction is
/// lost.
fn guarded<T>(
    conn: &Connection,
    path: &Path,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<Result<T>, Failure> {
    execute(conn, "SAVEPOINT work")?;
    let outcome = match work() {
        Ok(done) => Ok(done),
        Err(failure) if failure.is_fatal() => return Err(failure),
        Err(failure) => {
            execute(conn, "ROLLBACK TO work")?;
            Err(failure.into_error("write to", path))
        }
    };
    execute(conn, "RELEASE work")?;
    Ok(outcome)
}

/// Work that is written together.
#[derive(Default)]
struct Group {
    appends: Vec<Append>,
    leases: Vec<(LeaseOp, oneshot::Sender<Result<Option<Lease>>>)>,
    /// What comes behind them, by itself.
    care: Option<(Care, bool)>,
    bytes: usize,
}

/// A batch and where its receipt goes.
type Append = (Box<Write>, oneshot::Sender<Result<Receipt>>);

type Answers = (Vec<Result<Receipt>>, Vec<Result<Option<Lease>>>);

impl Group {
    /// Takes a job in; gives back whom to tell when the bus is closed, if that is what it asks for.
    fn take(&mut self, job: Job) -> Option<oneshot::Sender<Result<()>>> {
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
    fn run_together(&self, conn: &Connection) -> Result<Answers, Failure> {
        let appends = self.appends.iter().map(|(write, _)| write.run(conn).map(Ok));
        let receipts = appends.collect::<Result<Vec<_>, _>>()?;
        let leases = self.leases.iter().map(|(op, _)| lease::run(conn, op).map(Ok));
        Ok((receipts, leases.collect::<Result<Vec<_>, _>>()?))
    }

    /// Does all of it but what is refused.
    fn run_apart(&self, conn: &Connection, path: &Path) -> Result<Answers, Failure> {
        let appends = self.appends.iter().map(|(write, _)| guarded(conn, path, || write.run(conn)));
        let receipts = appends.collect::<Result<Vec<_>, _>>()?;
        let leases = self.leases.iter().map(|(op, _)| guarded(conn, path, || lease::run(conn, op)));
        Ok((receipts, leases.collect::<Result<Vec<_>, _>>()?))
    }

    /// Each piece of work by itself; leases first, for they need least, and keep paid work alive.
    fn split(self) -> impl Iterator<Item = Self> {
        let leases = self.leases.into_iter().map(|lease| Self { leases: vec![lease], ..Self::default() });
        let appends =
            self.appends.into_iter().map(|append| Self { appends: vec![append], ..Self::default() });
        leases.chain(appends)
    }

    fn refuse(self, error: &Error) {
        let (appends, leases) = (self.appends.len(), self.leases.len());
        answer(self.appends, (0..appends).map(|_| Err(error.again())).collect());
        answer(self.leases, (0..leases).map(|_| Err(error.again())).collect());
    }

    const fn len(&self) -> usize {
        self.appends.len() + self.leases.len()
    }

    fn is_full(&self) -> bool {
        self.len() >= GROUP || self.bytes >= GROUP_BYTES || self.care.is_some()
    }
}

/// Gives each its answer; one who has gone away needs none.
fn answer<W, T>(jobs: Vec<(W, oneshot::Sender<Result<T>>)>, answers: Vec<Result<T>>) {
    for ((_, reply), answer) in jobs.into_iter().zip(answers) {
        let _ = reply.send(answer);
    }
}
