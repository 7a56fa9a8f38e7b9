//! What users of a bus call; built once over the trait.

use crate::{Bus, Classes, Page, Read, Result, SessionQuery, Watch, async_trait};
use futures::{Stream, future::BoxFuture};
use party_core::{Offset, Record, SessionId};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// Comforts over every [`Bus`], also as `dyn Bus`. Nobody implements it.
#[async_trait]
pub trait BusExt: Bus {
    /// The session's records behind `after`: those that are there, then those that come.
    fn follow(self: Arc<Self>, session: SessionId, after: Offset) -> Follow<Self> {
        Follow::new(self, Read::new(session, after))
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
}

impl<B: Bus + ?Sized> BusExt for B {}

/// Records of one session in order, without gap or duplicate: first those that are there, then
/// those that come. It holds one page at a time and keeps no writer waiting.
///
/// As a [`Stream`] it ends after an error that no retry can heal; after any other error it goes on
/// where it stood.
pub struct Follow<B: Bus + ?Sized = dyn Bus> {
    bus: Arc<B>,
    /// What to read next, behind all that `ready` holds.
    read: Read,
    /// Whether the last page reached the head, so that the next one is worth waiting for.
    caught_up: bool,
    ready: VecDeque<Arc<Record>>,
    page: Option<BoxFuture<'static, Result<Page<Arc<Record>>>>>,
    failed: bool,
}

impl<B: Bus + ?Sized> Follow<B> {
    pub(crate) fn new(bus: Arc<B>, read: Read) -> Self {
        Self { bus, read, caught_up: false, ready: VecDeque::new(), page: None, failed: false }
    }

    /// Only records of `classes`; to be said before the first record is asked for.
    #[must_use]
    pub fn classes(mut self, classes: Classes) -> Self {
        self.read.classes = classes;
        self
    }

    /// The next record; waits until there is one. Cancel-safe: no record is lost or comes twice.
    ///
    /// # Errors
    /// Those of [`Bus::read`] and [`Bus::changed`]; the next call goes on where this one stood.
    pub async fn next(&mut self) -> Result<Arc<Record>> {
        poll_fn(|cx| self.poll_record(cx)).await
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arc<Record>>> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Poll::Ready(Ok(record));
            }
            let page = self.page.get_or_insert_with(|| {
                Box::pin(next_page(Arc::clone(&self.bus), self.read.clone(), self.caught_up))
            });
            let page = ready!(page.as_mut().poll(cx));
            self.page = None;
            let page = page?;
            self.caught_up = !page.more;
            self.read.after = Offset(page.scanned_to);
            self.ready = page.entries.into();
        }
    }
}

/// The next page that holds a record.
async fn next_page<B: Bus + ?Sized>(
    bus: Arc<B>,
    mut read: Read,
    mut caught_up: bool,
) -> Result<Page<Arc<Record>>> {
    loop {
        if caught_up {
            bus.changed(Watch::Session { session: read.session, after: read.after }).await?;
        }
        let page = bus.read(read.clone()).await?;
        if !page.entries.is_empty() {
            return Ok(page);
        }
        caught_up = !page.more;
        read.after = Offset(page.scanned_to);
    }
}

impl<B: Bus + ?Sized> Stream for Follow<B> {
    type Item = Result<Arc<Record>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_record(cx));
        self.failed = next.as_ref().is_err_and(|error| !error.is_retryable());
        Poll::Ready(Some(next))
    }
}

impl<B: Bus + ?Sized> fmt::Debug for Follow<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("read", &self.read).finish_non_exhaustive()
    }
}
