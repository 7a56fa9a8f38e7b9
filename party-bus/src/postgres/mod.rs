//! A store in a schema of a PostgreSQL server: one connection writes, a few read, one listens.

mod append;
mod bell;
mod board;
mod care;
mod columns;
mod failure;
mod fetch;
mod held;
mod lease;
mod link;
mod list;
mod named;
mod open;
mod options;
mod prune;
mod read;
mod readers;
mod row;
mod rows;
mod search;
mod tls;
mod verify;
mod window;
mod write;
mod writer;

pub use options::{Channel, PostgresOptions, Tls};

use crate::{
    Batch, Bus, BusAdmin, BusInfo, Changed, Erase, Erased, Found, Lease, LeaseOp, Page, Prune, Pruned, Read,
    Receipt, Report, Result, Scope, Search, SessionInfo, SessionQuery, ThreadInfo, ThreadQuery, Watch,
    Window, async_trait, refusal,
};
use board::Board;
use care::Care;
use futures::FutureExt as _;
use lease::Turn;
use link::{Address, Task, Use};
use party_core::{Entry, Item, ItemId, Record};
use readers::Readers;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};
use write::Write;
use writer::{Job, Pending, Tries, Writer};

/// How long an answer that may be an old one is held back, so that nobody asks in a tight loop while a long
/// transaction of somebody else keeps the mark where it is.
const AGAIN: Duration = Duration::from_millis(20);
const LONGEST_AGAIN: Duration = Duration::from_secs(1);

/// A durable [`Bus`] in one schema of a PostgreSQL database, which processes of several machines may open at
/// once. It needs PostgreSQL 15 or newer and UTF-8, no extensions, and no rights but on its own schema: where
/// that is not there yet, the right to create it.
///
/// # Connections
/// A handle has one connection that writes, up to [`PostgresOptions::readers`] that read, one that listens
/// and, while its owner cares for it, one for that. That is few and each has its own task, so there is no
/// pool of another library. They are plain unless [`PostgresOptions::tls`] says otherwise, and keep
/// statements and settings from one transaction to the next: a pooler in between has to work by session.
/// A connection that breaks is made again. A call fails with
/// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) once its patience is over, and not before.
///
/// # Durability
/// A synced batch is acknowledged once the server has flushed its log (`synchronous_commit = on`, whatever
/// the server's own default), and with it all that was buffered before by any process. Where a connection
/// breaks during a commit, the same batches go again over the next one: their ids tell which of them stand.
/// Whoever runs the server with `fsync = off` has no durable store.
///
/// Where the server did not stop cleanly, or was restored, the epoch is raised, for buffered records may be
/// gone. [`Bus::info`] keeps the epoch of the opening: a reader that is told that it is rewound opens the
/// store again.
///
/// # Waiting
/// What this process writes wakes its readers at once, and those of others by `NOTIFY`; where that is lost,
/// a look at each session waited for finds it within a second. [`Watch::Any`] may say the same again as long
/// as an older transaction is open anywhere in the database, then with a pause of 20 ms between answers,
/// longer where they are long.
///
/// # Care
/// `backup` is the server's business: it is [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported). What
/// is erased is gone from the tables; the server's log and its own backups keep it until they are recycled.
/// Search has to be asked for at the opening.
///
/// It needs a tokio runtime with time and I/O. Dropped without [`close`](Bus::close), it still writes what
/// was accepted, if the runtime lives long enough.
#[derive(Debug)]
pub struct PostgresBus {
    info: BusInfo,
    writer: mpsc::Sender<Job>,
    readers: Arc<Readers>,
    care: Arc<Care>,
    board: Arc<Board>,
    /// The writer's, which ends when nobody can write any more; it is not cut short.
    writing: Mutex<Option<tokio::task::JoinHandle<()>>>,
    _listening: Task,
    _indexing: Option<Task>,
}

impl PostgresBus {
    /// Opens the store in a schema; makes both where they are not there.
    ///
    /// Cancel-safe: a dropped call may leave a new store behind, which is empty.
    ///
    /// # Errors
    /// Each names the schema, which stays as it was: [`ErrorKind::NotAStore`](crate::ErrorKind::NotAStore)
    /// for one of another application, [`ErrorKind::NewerVersion`](crate::ErrorKind::NewerVersion) for a
    /// store of a newer Party, [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for an older server
    /// or one that does not keep UTF-8, [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a url or a name
    /// that cannot be, [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) where the server is not
    /// reached within the patience, [`ErrorKind::Io`](crate::ErrorKind::Io) where it refuses.
    pub fn open(options: PostgresOptions) -> impl Future<Output = Result<Self>> + Send {
        // Boxed here, its tasks are compiled here, and not anew in each host's own crate.
        Self::start(options).boxed()
    }

    async fn start(options: PostgresOptions) -> Result<Self> {
        let address = Arc::new(Address::new(&options)?);
        let mut tries = Tries::since(&address, Instant::now());
        let (link, info) = loop {
            let opened = async {
                let mut link = address.connect(Use::Care, None).await?;
                let info = open::open(&mut link, &address, options.search).await?;
                link.close().await;
                Ok((address.connect(Use::Keys, None).await?, info))
            };
            match opened.await {
                Ok(opened) => break opened,
                Err(failure) if failure::Failure::may_pass(&failure) && tries.pause().await => {}
                Err(failure) => return Err(address.error(failure, "open")),
            }
        };
        let board = Arc::<Board>::default();
        let (writer, queue) = Writer::queue();
        let writing = Writer::new(Arc::clone(&address), link, Arc::clone(&board)).run(queue);
        let listening = bell::listen(Arc::clone(&address), info.store.clone(), Arc::clone(&board));
        let care = Care::new(Arc::clone(&address), Arc::clone(&board));
        let indexing = info.capabilities.search.then(|| search::keep(Arc::clone(&care), Arc::clone(&board)));
        Ok(Self {
            writer,
            readers: Readers::new(Arc::clone(&address), Arc::clone(&board), options.readers),
            care,
            writing: Mutex::new(Some(tokio::spawn(writing))),
            _listening: Task(tokio::spawn(listening)),
            _indexing: indexing.map(|indexing| Task(tokio::spawn(indexing))),
            board,
            info,
        })
    }

    /// Hands a job to the writer and waits for its answer.
    async fn write<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        self.board.expect_open()?;
        let (reply, answer) = oneshot::channel();
        self.writer.send(job(reply)).await.map_err(|_| refusal::closed())?;
        answer.await.unwrap_or_else(|_| Err(refusal::closed()))
    }

    async fn changed_session(
        &self,
        session: party_core::SessionId,
        after: party_core::Offset,
    ) -> Result<Changed> {
        let mut seat = self.board.wait_for(session);
        loop {
            let mut head = self.readers.read(|link| read::head(link, session)).await?;
            loop {
                // A reader ahead of the head is told at once, and learns from `read` what that means.
                if head != after {
                    return Ok(Changed { sessions: vec![(session, head)], mark: 0 });
                }
                match seat.heard().await? {
                    Some(heard) => head = heard,
                    None => break,
                }
            }
        }
    }

    async fn changed_any(&self, since: u64) -> Result<Changed> {
        let (mut any, mut closed) = self.board.wait_for_any();
        loop {
            let changed = self.readers.read(|link| read::changed(link, since)).await?;
            if !changed.sessions.is_empty() {
                if changed.mark == since {
                    // The longer the answer, the longer until it comes again.
                    let pages = u32::try_from(changed.sessions.len() / 1_000).unwrap_or(u32::MAX);
                    sleep(AGAIN.saturating_mul(pages.saturating_add(1)).min(LONGEST_AGAIN)).await;
                }
                return Ok(changed);
            }
            tokio::select! {
                _ = closed.wait_for(|closed| *closed) => return Err(refusal::closed()),
                changed = any.changed() => changed.map_err(|_| refusal::closed())?,
            }
        }
    }
}

#[async_trait]
impl Bus for PostgresBus {
    fn info(&self) -> &BusInfo {
        &self.info
    }

    async fn append(&self, batch: Batch) -> Result<Receipt> {
        let write = Write::new(batch)?;
        self.write(|reply| Job::Append(Box::new(Pending::new(write, reply)))).await
    }

    async fn read(&self, read: Read) -> Result<Page<Arc<Record>>> {
        self.readers.read(|link| read::records(link, &read)).await
    }

    async fn changed(&self, watch: Watch) -> Result<Changed> {
        match watch {
            Watch::Session { session, after } => self.changed_session(session, after).await,
            Watch::Any { since } => self.changed_any(since).await,
        }
    }

    async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>> {
        self.write(|reply| Job::Lease(Pending::new(Turn::new(op), reply))).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Page<SessionInfo>> {
        self.readers.read(|link| list::sessions(link, &query)).await
    }

    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>> {
        self.readers.read(|link| list::threads(link, &query)).await
    }

    async fn window(&self, window: Window) -> Result<Page<Entry>> {
        self.readers.read(|link| window::window(link, &window)).await
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
        self.readers.read(|link| read::items(link, ids)).await
    }

    async fn close(&self) -> Result<()> {
        let outcome = self.write(Job::Close).await;
        self.board.close();
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writing) = writing {
            // A task that panicked has nothing more to say.
            let _ = writing.await;
        }
        self.care.close().await;
        self.readers.close().await;
        outcome
    }
}

#[async_trait]
impl BusAdmin for PostgresBus {
    async fn verify(&self, scope: Scope) -> Result<Report> {
        let mut report = crate::verify::verify(self, scope).await?;
        let problems = self.care.run("verify", |link| verify::constraints(link, scope)).await?;
        problems.into_iter().for_each(|what| report.problem(None, what));
        Ok(report)
    }

    async fn backup(&self, _to: &Path) -> Result<()> {
        let why = "a PostgreSQL server is backed up with its own tools, such as pg_dump or pg_basebackup";
        Err(refusal::unsupported(why))
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned> {
        let pruned = self.care.run("prune", |link| prune::prune(link, &prune)).await?;
        // Whoever follows a session that is gone has to look.
        self.board.forget();
        self.board.written.notify_one();
        Ok(pruned)
    }

    async fn erase(&self, erase: Erase) -> Result<Erased> {
        self.care.run("erase from", |link| prune::erase(link, &erase)).await
    }

    async fn search(&self, search: Search) -> Result<Page<Found>> {
        if !self.info.capabilities.search {
            return Err(refusal::unsupported("the store was not opened to be searched"));
        }
        self.care.run("search", |link| search::find(link, &search)).await
    }
}
