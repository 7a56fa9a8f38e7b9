//! A few connections for reading, on the runtime's blocking threads.

use super::{connect::connect, failure::Failure, standing::Standing};
use crate::{Result, refusal};
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// How many reads run at once.
const CONNECTIONS: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: Arc<Path>,
    standing: Standing,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: Arc<Path>, standing: Standing) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        Arc::new(Self { path, standing, permits, idle: Mutex::default() })
    }

    /// Runs `query` in a transaction, so that all that it sees is of one moment. Dropping the
    /// future leaves the query to end by itself.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| refusal::closed())?;
        let readers = Arc::clone(self);
        let answer = spawn_blocking(move || {
            let _permit = permit;
            readers.run(query).map_err(|failure| failure.into_error("read from", &readers.path))
        });
        // The runtime shuts down, and takes the bus with it.
        answer.await.unwrap_or_else(|_| Err(refusal::closed()))
    }

    fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        self.standing.check()?;
        let answer = self.query(query);
        // One that went away meanwhile is why.
        if answer.is_err() {
            self.standing.check()?;
        }
        answer
    }

    fn query<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Failure>) -> Result<T, Failure> {
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => {
                let conn = connect(&self.path)?;
                conn.pragma_update(None, "query_only", true)?;
                // It may have been opened as another file.
                self.standing.check()?;
                conn
            }
        };
        let answer = query(&*conn.unchecked_transaction()?);
        // A connection that failed is not to be trusted with the next read.
        if !answer.as_ref().is_err_and(Failure::is_fatal) && !self.permits.is_closed() {
            self.idle().push(conn);
        }
        answer
    }

    /// Refuses further reads; those that run end.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
