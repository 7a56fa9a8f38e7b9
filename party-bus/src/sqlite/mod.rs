//! A store in one SQLite file: one thread writes, a few connections read.

mod admin;
mod append;
mod backup;
mod bell;
mod care;
mod checkpoint;
mod code;
mod connect;
mod doubt;
mod failure;
mod group;
mod identity;
mod item;
mod known;
mod lease;
mod list;
mod name;
mod open;
mod parts;
mod read;
mod readers;
mod row;
mod search;
mod standing;
mod thread;
mod topology;
mod transaction;
mod window;
mod writer;

use crate::{
    Batch, Bus, BusInfo, Changed, Error, ErrorKind, Lease, LeaseOp, Page, Read, Receipt, Result, SessionInfo,
    SessionQuery, SharedPage, ThreadInfo, ThreadQuery, Watch, Window, async_trait, refusal,
};
use append::Write;
use bell::Bell;
use open::Missing;
use party_core::{Entry, Item, ItemId, Record};
use readers::Readers;
use standing::Standing;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};
use writer::{Counters, Job, Writer};

/// A durable [`Bus`] in one SQLite file, which several processes of one machine may open at once.
///
/// The file and its companions (`-wal`, `-shm`, `.bell`) are made with mode 0600, beside what the path
/// leads to. It needs a tokio runtime, whose blocking threads it reads on.
///
/// What this process writes wakes its readers at once, and on Linux those of other processes too: each
/// commit writes a few bytes to `.bell`, which they watch while somebody waits for records. It holds
/// nothing that counts, stays when the store is closed, and may be deleted at any time. A commit whose
/// ring is lost is seen within a second. Where no bell can be had (it cannot be written, the folder is
/// full, a file of that name is somebody else's), and on other systems, waiting asks the store every
/// 25 ms.
///
/// On a full disk what does not fit is refused as [`ErrorKind::Full`], and what is there is read and
/// followed. Renewing a lease takes a page as well: it may be refused, and so is everybody who would take
/// the session over. Until somebody does, the session's driver may write once there is space, its term
/// over or not. After an error of the disk the connection is made anew, and behind a failed sync the log
/// is written again, so that what is acknowledged later stands on what is on the disk.
///
/// Once its file is deleted, moved or replaced, every call that needs it fails as [`ErrorKind::Replaced`],
/// and who follows is told within a second.
///
/// Dropped without [`close`](Bus::close), it still writes what was accepted, if the process lives
/// long enough.
#[derive(Debug)]
pub struct SqliteBus {
    path: Arc<Path>,
    info: BusInfo,
    writer: mpsc::Sender<Job>,
    readers: Arc<Readers>,
    bell: Arc<Bell>,
    counters: Arc<Counters>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a store has done since it was opened; for tests and benches.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Transactions that wrote something.
    pub commits: u64,
    /// Those of them that were synced.
    pub synced_commits: u64,
    /// How often the store was asked whether another process has written, for want of being told.
    pub sweeps: u64,
}

impl SqliteBus {
    /// Opens the store at `path`; makes it where there is no file, or an empty one, whose mode
    /// becomes 0600. Its folder must exist. What a crash left half written is finished or undone.
    ///
    /// Cancel-safe: a dropped call may leave a new store behind, which is empty.
    ///
    /// # Errors
    /// Each names the path, and the file stays as it was: [`ErrorKind::NotFound`] where the folder
    /// does not exist, [`ErrorKind::NotAStore`] for a folder, a file of another kind or a database
    /// of another application, [`ErrorKind::NewerVersion`] and [`ErrorKind::OlderVersion`] for a store
    /// of a Party whose files this one does not read,
    /// [`ErrorKind::Io`] where the system refuses.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::start(path.as_ref(), Missing::Create).await
    }

    /// Opens the store at `path`, which must exist.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no file, and those of [`open`](Self::open).
    pub async fn open_existing(path: impl AsRef<Path>) -> Result<Self> {
        Self::start(path.as_ref(), Missing::Refuse).await
    }

    async fn start(path: &Path, missing: Missing) -> Result<Self> {
        // A later change of the working folder must not move the store.
        let path: Arc<Path> = std::path::absolute(path)
            .map_err(|error| {
                Error::new(ErrorKind::Io, format!("cannot locate {}", path.display())).with_source(error)
            })?
            .into();
        let opened = spawn_blocking(move || {
            let (conn, info) = open::open(&path, missing)?;
            let (bell, counters) = (Bell::new(&path)?, Arc::<Counters>::default());
            let standing = Standing::of(&path)?;
            let readers = Readers::new(Arc::clone(&path), standing.clone());
            let (writer, thread) =
                Writer::start(standing.clone(), &path, conn, Arc::clone(&bell), Arc::clone(&counters))?;
            let threads = Mutex::new(vec![thread, bell.watch(Arc::clone(&path), standing)?]);
            Ok(Self { path, info, writer, readers, bell, counters, threads })
        });
        opened.await.unwrap_or_else(|_| Err(refusal::closed()))
    }

    #[doc(hidden)]
    pub fn stats(&self) -> Stats {
        Stats {
            commits: self.counters.commits.load(Ordering::Relaxed),
            synced_commits: self.counters.synced_commits.load(Ordering::Relaxed),
            sweeps: self.bell.sweeps(),
        }
    }

    /// Hands a job to the writer and waits for its answer.
    async fn write<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.writer.send(job(reply)).await.map_err(|_| refusal::closed())?;
        answer.await.unwrap_or_else(|_| Err(refusal::closed()))
    }
}

#[async_trait]
impl Bus for SqliteBus {
    fn info(&self) -> &BusInfo {
        &self.info
    }

    async fn append(&self, batch: Batch) -> Result<Receipt> {
        let write = Box::new(Write::new(batch)?);
        self.write(|reply| Job::Append(write, reply)).await
    }

    async fn read(&self, read: Read) -> Result<Page<Arc<Record>>> {
        let store = |read| self.readers.read(move |conn| read::records(conn, &read));
        match read.epoch {
            Some(epoch) if epoch != self.info.epoch => store(read).await,
            _ => self.bell.tail.read(&read, store).await,
        }
    }

    fn recent(&self, read: &Read) -> Option<SharedPage> {
        let fits = read.epoch.is_none_or(|epoch| epoch == self.info.epoch);
        fits.then(|| self.bell.tail.recent(read)).flatten()
    }

    async fn changed(&self, watch: Watch) -> Result<Changed> {
        if let Watch::Session { session, after } = watch
            && let Some(head) = self.bell.tail.grown(session, after)
        {
            return Ok(Changed { sessions: vec![(session, head)], mark: 0 });
        }
        let mut bell = self.bell.listen();
        let since = match watch {
            Watch::Session { session, after } => {
                let look = || self.readers.read(move |conn| read::head(conn, session));
                let head = self.bell.tail.changed(session, after, look).await?;
                return Ok(Changed { sessions: vec![(session, head)], mark: 0 });
            }
            Watch::Any { since } => since,
        };
        loop {
            let changed = self.readers.read(move |conn| read::changed(conn, since)).await?;
            if !changed.sessions.is_empty() {
                return Ok(changed);
            }
            bell.heard().await;
        }
    }

    async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>> {
        self.write(|reply| Job::Lease(op, reply)).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Page<SessionInfo>> {
        self.readers.read(move |conn| list::sessions(conn, &query)).await
    }

    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>> {
        self.readers.read(move |conn| list::threads(conn, &query)).await
    }

    async fn window(&self, window: Window) -> Result<Page<Entry>> {
        self.readers.read(move |conn| window::window(conn, &window)).await
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
        let ids = ids.to_vec();
        self.readers.read(move |conn| read::items(conn, &ids)).await
    }

    async fn close(&self) -> Result<()> {
        self.readers.close();
        self.bell.close();
        let outcome = self.write(Job::Close).await;
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // A thread that panicked has nothing more to say.
        let _ = spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join()))).await;
        outcome
    }
}

impl Drop for SqliteBus {
    fn drop(&mut self) {
        self.bell.close();
    }
}
