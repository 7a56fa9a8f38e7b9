//! The owner's side of a store in a file.

use super::{
    SqliteBus, backup, care, connect::connect, failure::Failure, read, search, transaction::alone,
    writer::Job,
};
use crate::{
    BusAdmin, Erase, Erased, Found, Page, Prune, Pruned, Report, Result, Scope, Search, async_trait, refusal,
    verify,
};
use party_core::{Offset, SessionId};
use rusqlite::Connection;
use std::{path::Path, sync::Arc};
use tokio::task::spawn_blocking;

/// So many records are emptied in one transaction.
const PART: u64 = 10_000;

impl SqliteBus {
    /// Does `work` on the writer's connection, in a transaction of its own. `changes` tells whether it
    /// changes what readers were shown.
    async fn alone<T: Send + 'static>(
        &self,
        changes: bool,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let path = Arc::clone(&self.path);
        let done = self.write(|reply| {
            let care = move |conn: Result<&Connection, Failure>| {
                let done = conn.and_then(|conn| alone(conn, work));
                let is_sound = !done.as_ref().is_err_and(Failure::is_fatal);
                let _ = reply.send(done.map_err(|failure| failure.into_error("write to", &path)));
                is_sound
            };
            Job::Care(Box::new(care), changes)
        });
        let done = done.await;
        if changes {
            // The writer does it, too, but the answer may come sooner.
            self.bell.tail.forget();
        }
        done
    }

    async fn prune_trace(&self, session: SessionId, up_to: Offset) -> Result<Pruned> {
        let head = self.readers.read(move |conn| read::head(conn, session)).await?;
        let (up_to, mut after, mut records) = (up_to.min(head), Offset::START, 0);
        loop {
            let to = after.plus(PART).min(up_to);
            // Whoever drives it is looked for each time.
            records += self.alone(true, move |conn| care::prune_trace(conn, session, after, to)).await?;
            after = to;
            if after >= up_to {
                return Ok(Pruned { records, items: 0 });
            }
        }
    }

    /// Moves the log into the file and empties it, so that nothing is left there of what was erased. A
    /// reader that stays may keep it; then it goes with the next time that the log begins anew.
    async fn empty_the_log(&self) -> Result<()> {
        let path = Arc::clone(&self.path);
        let empty = move || -> rusqlite::Result<()> {
            connect(&path)?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        let emptied = spawn_blocking(empty).await.map_err(|_| refusal::closed())?;
        emptied.map_err(|error| Failure::from(error).into_error("empty the log of", &self.path))
    }
}

#[async_trait]
impl BusAdmin for SqliteBus {
    async fn verify(&self, scope: Scope) -> Result<Report> {
        let mut report = verify(self, scope).await?;
        if scope == Scope::Store {
            let damage = self.readers.read(care::damage).await?;
            damage.into_iter().for_each(|what| report.problem(None, what));
        }
        Ok(report)
    }

    async fn backup(&self, to: &Path) -> Result<()> {
        // So does a read that it has the right file.
        self.readers.read(|_| Ok(())).await?;
        backup::write(&self.path, to).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned> {
        match prune {
            Prune::Trace { session, up_to } => self.prune_trace(session, up_to).await,
            Prune::Sessions(sessions) => {
                self.alone(true, move |conn| care::prune_sessions(conn, &sessions)).await
            }
        }
    }

    async fn erase(&self, erase: Erase) -> Result<Erased> {
        let erased = self.alone(true, move |conn| care::erase(conn, &erase)).await?;
        self.empty_the_log().await?;
        Ok(erased)
    }

    async fn search(&self, search: Search) -> Result<Page<Found>> {
        let goal = self.readers.read(search::last_record).await?;
        let done = self.readers.read(search::done).await?;
        if done.is_none_or(|done| done < goal) {
            while !self.alone(false, move |conn| search::index(conn, goal)).await? {}
        }
        self.readers.read(move |conn| search::find(conn, &search)).await
    }
}
