//! What users of a bus call; built once over the trait.

mod admin;
mod follow;
mod threads;

pub use admin::BusAdminExt;
pub use follow::Follow;
pub use threads::Tree;

use crate::{
    Bus, Classes, Copied, CopyOptions, Lease, LeaseOp, Owner, Read, Result, SessionInfo, SessionQuery,
    Window, async_trait, fork, portable,
};
use futures::stream::BoxStream;
use party_core::{Entry, Offset, Record, SessionId, ThreadId};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::io::{AsyncBufRead, AsyncWrite};

/// Comforts over every [`Bus`], also as `dyn Bus`. Nobody implements it.
#[async_trait]
pub trait BusExt: Bus {
    /// The session's records behind `after`: those that are there, then those that come. It ends with
    /// [`ErrorKind::Rewound`](crate::ErrorKind::Rewound) where the store may have lost what it showed.
    fn follow(self: Arc<Self>, session: SessionId, after: Offset) -> Follow<Self> {
        let read = Read::new(session, after).in_epoch(self.info().epoch);
        Follow::new(self, read)
    }

    /// The session's records that come from now on.
    ///
    /// # Errors
    /// Those of [`Bus::sessions`]. Cancel-safe: it only reads.
    async fn subscribe(self: Arc<Self>, session: SessionId) -> Result<Follow<Self>> {
        let head = self.head(session).await?;
        Ok(self.follow(session, head))
    }

    /// All records of `classes` behind `after` that are there now, read page by page.
    ///
    /// # Errors
    /// Those of [`Bus::read`]. Cancel-safe: it only reads.
    async fn read_to_end(
        &self,
        session: SessionId,
        after: Offset,
        classes: Classes,
    ) -> Result<Vec<Arc<Record>>> {
        let mut read = Read::new(session, after).classes(classes);
        let mut records = Vec::new();
        loop {
            let page = self.read(read.clone()).await?;
            records.extend(page.entries);
            if !page.more {
                return Ok(records);
            }
            read.after = Offset(page.scanned_to);
        }
    }

    /// The session's last offset; [`Offset::START`] for a session without records.
    ///
    /// # Errors
    /// Those of [`Bus::sessions`]. Cancel-safe: it only reads.
    async fn head(&self, session: SessionId) -> Result<Offset> {
        let page = self.sessions(SessionQuery::one(session)).await?;
        Ok(page.entries.first().map_or(Offset::START, |info| info.head))
    }

    /// A thread page by page, `window.limit` entries each, oldest first within a page: backwards from
    /// [`Side::Last`](crate::Side) and `Before`, forwards from `After`; what is added meanwhile is seen
    /// by those who go forwards. It ends after an error. It only reads: drop it at any time.
    fn windows(self: Arc<Self>, window: Window) -> BoxStream<'static, Result<Vec<Entry>>> {
        threads::windows(self, window)
    }

    /// All threads of a session, to look at as a tree. It holds them all.
    ///
    /// # Errors
    /// Those of [`Bus::threads`]. Cancel-safe: it only reads.
    async fn tree(&self, session: SessionId) -> Result<Tree> {
        threads::tree(self, session).await
    }

    /// The thread from which both descend, or which one of them is, and the last position that they
    /// share; `None` where they share nothing. It reads one row for each thread in between.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a thread that was never opened.
    /// Cancel-safe: it only reads.
    async fn common_ancestor(
        &self,
        session: SessionId,
        one: ThreadId,
        other: ThreadId,
    ) -> Result<Option<(ThreadId, u64)>> {
        threads::common_ancestor(self, session, one, other).await
    }

    /// Takes the leases of up to `limit` sessions that are due, the longest due first. Others may win
    /// some of them, and may have written since the list was made: fold before you decide.
    ///
    /// # Errors
    /// Those of [`Bus::sessions`] and [`Bus::lease`], where nothing was won before.
    ///
    /// Not cancel-safe: leases that a dropped call has won hold until their term ends.
    async fn claim_due(
        &self,
        owner: &Owner,
        term: Duration,
        limit: u32,
    ) -> Result<Vec<(SessionInfo, Lease)>> {
        let mut claimed = Vec::new();
        let due = self.sessions(SessionQuery::due(limit)).await?;
        for info in due.entries {
            let (session, owner) = (info.session, owner.clone());
            match self.lease(LeaseOp::Acquire { session, owner, term }).await {
                Ok(Some(lease)) => claimed.push((info, lease)),
                Ok(None) => {}
                // What is won must reach the caller; the trouble comes again with the next call.
                Err(_) if !claimed.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(claimed)
    }

    /// Writes a session, up to its head of now, to `to`, in the form that
    /// [`import`](Self::import) reads; gives the last record. It holds a page of records, and the ids of
    /// the items that the session has brought.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a session without records,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a copy that is not complete,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) and [`ErrorKind::Full`](crate::ErrorKind::Full) where
    /// `to` fails, and those of reading. Dropped or failed, it leaves a part that no import takes for whole.
    async fn export<W: AsyncWrite + Unpin + Send>(&self, session: SessionId, to: W) -> Result<Offset> {
        portable::export(self, session, to).await
    }

    /// The same to the file `to`, which only its owner may read. It is there whole, on the disk, or not
    /// at all; one that was there before is replaced.
    ///
    /// # Errors
    /// Those of [`export`](Self::export); each of the file's names it.
    async fn export_file(&self, session: SessionId, to: &Path) -> Result<Offset> {
        portable::export_file(self, session, to).await
    }

    /// Writes the session that [`export`](Self::export) has written to `from`, under its own id, with the
    /// same offsets, times and authors. It holds a batch of records, about 1 MiB or one record.
    ///
    /// Until the end is read and fits, the session is [`partial`](SessionInfo::partial). An import that
    /// broke can be run again and goes on; one of a session that is there already with the same records,
    /// and maybe more behind them, writes nothing. A part of a damaged file stays partial, until
    /// [`BusAdmin::prune`](crate::BusAdmin::prune) removes it.
    ///
    /// # Errors
    /// Each names the line. [`ErrorKind::NewerVersion`](crate::ErrorKind::NewerVersion) for a file, or a
    /// change of topology, of a newer version; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what
    /// is cut, changed or no such file; [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) where the
    /// session is there with other content, or somebody drives it; and those of
    /// [`append`](Bus::append), such as for an item that is there with other content.
    ///
    /// Cancel-safe: dropped, it may be run again at once by the same process, and by another after 30 s.
    async fn import<R: AsyncBufRead + Unpin + Send>(&self, from: R, options: CopyOptions) -> Result<Copied> {
        portable::import(self, from, options).await
    }

    /// The same from a file, which is checked whole before anything is written.
    ///
    /// # Errors
    /// Those of [`import`](Self::import); each names the file.
    async fn import_file(&self, from: &Path, options: CopyOptions) -> Result<Copied> {
        portable::import_file(self, from, options).await
    }

    /// Copies a session up to the record `at` to the new session `to`, with the same offsets and the
    /// same items; what trace says is left out. The record behind them is
    /// [`Forked`](party_core::Forked), which names where the copy comes from. The copy has the
    /// original's label with its own id as the key, unless `options` have another.
    ///
    /// A fork that broke can be run again and goes on; the same fork again writes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a session without records,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an `at` of 0 or behind its head, or a copy
    /// that is not complete; [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) where `to` is there with
    /// other content, or somebody drives it; and those of reading and writing.
    ///
    /// Cancel-safe, as [`import`](Self::import).
    async fn fork(
        &self,
        session: SessionId,
        at: Offset,
        to: SessionId,
        options: CopyOptions,
    ) -> Result<Copied> {
        fork::fork(self, session, at, to, options).await
    }
}

impl<B: Bus + ?Sized> BusExt for B {}
