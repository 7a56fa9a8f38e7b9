//! A few connections that read.

use super::{
    board::Board,
    failure::Failure,
    link::{Address, Link, Use, answered},
    writer::Tries,
};
use crate::{Result, refusal};
use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

#[derive(Debug)]
pub(super) struct Readers {
    pub(super) address: Arc<Address>,
    board: Arc<Board>,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Link>>,
}

impl Readers {
    pub(super) fn new(address: Arc<Address>, board: Arc<Board>, count: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(count.clamp(1, 1_000)));
        Arc::new(Self { address, board, permits, idle: Mutex::default() })
    }

    /// Runs `query` on a connection, again where the server was away meanwhile.
    pub(super) async fn read<T, F: Future<Output = Result<T, Failure>> + Send>(
        self: &Arc<Self>,
        query: impl Fn(Reader) -> F + Send,
    ) -> Result<T> {
        let mut tries = Tries::since(&self.address, Instant::now());
        loop {
            self.board.expect_open()?;
            let failure = match answered(async { query(self.take().await?).await }).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !failure.may_pass() || !tries.pause().await {
                return Err(self.address.error(failure, "read from"));
            }
            if matches!(failure, Failure::Broken(_)) {
                // What broke one has most likely broken all.
                self.idle().retain(|link| !link.is_closed());
            }
        }
    }

    async fn take(self: &Arc<Self>) -> Result<Reader, Failure> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| refusal::closed())?;
        let idle = self.idle().pop();
        let link = match idle.filter(|link| !link.is_closed()) {
            Some(link) => link,
            None => {
                let link = self.address.connect(Use::Keys, None).await?;
                link.batch("SET default_transaction_read_only = on").await?;
                link
            }
        };
        Ok(Reader { link: Some(link), readers: Arc::clone(self), _permit: permit })
    }

    /// Refuses further reads; those that run end.
    pub(super) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        futures::future::join_all(idle.into_iter().map(Link::close)).await;
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection while one reads. Dropped in the middle of a transaction, it takes the connection with it.
#[derive(Debug)]
pub(super) struct Reader {
    /// `None` only while it is dropped.
    link: Option<Link>,
    readers: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Deref for Reader {
    type Target = Link;

    fn deref(&self) -> &Link {
        self.link.as_ref().expect("invariant: a reader has its connection until it is dropped")
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Link {
        self.link.as_mut().expect("invariant: a reader has its connection until it is dropped")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let is_open = !self.readers.permits.is_closed();
        if let Some(link) =
            self.link.take().filter(|link| is_open && !link.in_transaction && !link.is_closed())
        {
            self.readers.idle().push(link);
        }
    }
}
