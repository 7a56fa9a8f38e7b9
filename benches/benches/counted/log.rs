//! How much log an append makes, in a group of 64.

use futures::{
    future::{BoxFuture, join_all},
    poll,
};
use party_benches::{Driven, Goal, Row};
use party_bus::{Batch, Bus as _, Expect, Receipt, Result, SqliteBus};
use rusqlite::Connection;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const GROUP: usize = 64;
const ROUNDS: usize = 20;
/// What sessions hold before: as much as fills pages of their own.
const BEFORE: u64 = 600;
/// How long the writer has to take what waits for it; it has to wait for us then.
const TAKEN: Duration = Duration::from_millis(20);

pub(crate) async fn bytes_per_append(folder: &Path) -> Row {
    let one = Store::with_sessions(folder.join("one.db"), 1).await.bytes_per_append().await;
    let many = Store::with_sessions(folder.join("many.db"), GROUP as u64).await.bytes_per_append().await;
    let what = format!(
        "bytes of log per append of an item of some 1 KiB, in groups of {GROUP} appends to one thread; \
         {many:.0} to {GROUP} threads, each of a session of its own"
    );
    Row::counted("log_bytes_per_append_at_64", Goal::CountedAtMost(2_600.0), one, what)
}

struct Store {
    path: PathBuf,
    bus: SqliteBus,
    sessions: Vec<Driven>,
}

impl Store {
    async fn with_sessions(path: PathBuf, count: u64) -> Self {
        let bus = SqliteBus::open(&path).await.expect("a store opens");
        let mut sessions = Vec::new();
        for number in 0..count {
            let mut session = Driven::open(&bus, number).await.expect("a session opens");
            bus.append(session.batch_of(BEFORE).buffered()).await.expect("the batch is right");
            sessions.push(session);
        }
        // Opened anew, it begins its log anew.
        bus.close().await.expect("the store closes");
        let bus = SqliteBus::open(&path).await.expect("the store opens");
        Self { path, bus, sessions }
    }

    async fn bytes_per_append(mut self) -> f64 {
        let (sessions, before) = (self.sessions.len(), self.log_bytes());
        for _ in 0..ROUNDS {
            let batches = (0..GROUP).map(|place| self.next_of(place % sessions)).collect();
            self.write_as_a_group(batches).await;
        }
        let grown = self.log_bytes() - before;
        self.bus.close().await.expect("the store closes");
        grown as f64 / (ROUNDS * GROUP) as f64
    }

    fn next_of(&mut self, session: usize) -> Batch {
        let session = &mut self.sessions[session];
        *session = session.clone().with_items_of_about_1_kib();
        session.batch()
    }

    /// While we hold the file, the writer waits with a batch that is refused, and the others queue up.
    async fn write_as_a_group(&mut self, batches: Vec<Batch>) {
        let commits = self.bus.stats().commits;
        let holder = Connection::open(&self.path).expect("the file opens");
        holder.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
        let mut refused = batches[0].clone();
        refused.expect = Expect::Driver { head: self.sessions[0].head(), fencing_token: u64::MAX };
        let mut queued: Vec<BoxFuture<'_, Result<Receipt>>> = Vec::new();
        for batch in std::iter::once(refused).chain(batches) {
            let mut append = self.bus.append(batch);
            assert!(poll!(&mut append).is_pending(), "the writer waits");
            if queued.is_empty() {
                tokio::time::sleep(TAKEN).await;
            }
            queued.push(append);
        }
        holder.execute_batch("ROLLBACK").expect("nothing was written");
        drop(holder);
        let receipts = join_all(queued).await;
        assert_eq!(receipts.iter().filter(|receipt| receipt.is_ok()).count(), GROUP, "one is refused");
        assert_eq!(self.bus.stats().commits - commits, 1, "all are one group");
    }

    fn log_bytes(&self) -> u64 {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        fs::metadata(log).map_or(0, |log| log.len())
    }
}
