//! Following a session.

use crate::{Bus, Classes, Page, Read, Result, SharedPage, Watch};
use futures::{Stream, future::BoxFuture};
use party_core::{Offset, Record};
use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// Records of one session in order, without gap or duplicate: first those that are there, then
/// those that come. It holds one page at a time and keeps no writer waiting.
///
/// As a [`Stream`] it ends after an error that no retry can heal, such as
/// [`ErrorKind::Rewound`](crate::ErrorKind::Rewound) where the store was restored or lost what it had
/// shown; after any other error it goes on where it stood.
pub struct Follow<B: Bus + ?Sized = dyn Bus> {
    bus: Arc<B>,
    /// What to read next, behind all that `page` holds.
    read: Read,
    /// Whether a page was read. The next one is then waited for: that ends at once where it is there, and
    /// is cheaper at the end than if every follower looked into the store.
    begun: bool,
    page: SharedPage,
    /// So many of its records were given out.
    given: usize,
    asking: Option<BoxFuture<'static, Result<Page<Arc<Record>>>>>,
    failed: bool,
}

impl<B: Bus + ?Sized> Follow<B> {
    pub(crate) fn new(bus: Arc<B>, read: Read) -> Self {
        Self { bus, read, begun: false, page: none(), given: 0, asking: None, failed: false }
    }

    /// Only records of `classes`; to be said before the first record is asked for.
    #[must_use]
    pub fn classes(mut self, classes: Classes) -> Self {
        self.read.classes = classes;
        self
    }

    /// The same for a reader that learned its place in `epoch`, see [`BusInfo`](crate::BusInfo); else the
    /// epoch is that in which it began to follow. To be said before the first record is asked for.
    #[must_use]
    pub fn in_epoch(mut self, epoch: u64) -> Self {
        self.read.epoch = Some(epoch);
        self
    }

    /// The next record; waits until there is one. All followers of a process have the same one: cloning the
    /// [`Arc`] keeps it. Cancel-safe: no record is lost or comes twice.
    ///
    /// # Errors
    /// Those of [`Bus::read`] and [`Bus::changed`]; the next call goes on where this one stood.
    pub async fn next(&mut self) -> Result<&Arc<Record>> {
        if self.is_at_end() {
            poll_fn(|cx| self.poll_page(cx)).await?;
        }
        Ok(self.give())
    }

    fn give(&mut self) -> &Arc<Record> {
        self.given += 1;
        &self.page.entries[self.given - 1]
    }

    /// Turns to the next page, which holds a record. Out of the way of those who only take the next one.
    #[inline(never)]
    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.asking.is_none()
            && let Some(page) = self.bus.recent(&self.read)
        {
            self.turn_to(page);
        }
        // Of what is recent all may be of other classes.
        if self.is_at_end() {
            let page = ready!(self.poll_asking(cx))?;
            self.turn_to(Arc::new(page));
        }
        Poll::Ready(Ok(()))
    }

    fn is_at_end(&self) -> bool {
        self.given == self.page.entries.len()
    }

    fn turn_to(&mut self, page: SharedPage) {
        self.read.after = Offset(page.scanned_to);
        (self.page, self.given, self.begun) = (page, 0, true);
    }

    fn poll_asking(&mut self, cx: &mut Context<'_>) -> Poll<Result<Page<Arc<Record>>>> {
        let asking = self.asking.get_or_insert_with(|| {
            // What was given out is not kept by one who may wait for long.
            (self.page, self.given) = (none(), 0);
            Box::pin(next_page(Arc::clone(&self.bus), self.read.clone(), self.begun))
        });
        let page = ready!(asking.as_mut().poll(cx));
        self.asking = None;
        Poll::Ready(page)
    }
}

fn none() -> SharedPage {
    Arc::new(Page { entries: Vec::new(), scanned_to: 0, more: true })
}

/// The next page that holds a record.
async fn next_page<B: Bus + ?Sized>(
    bus: Arc<B>,
    mut read: Read,
    mut begun: bool,
) -> Result<Page<Arc<Record>>> {
    loop {
        if begun {
            bus.changed(Watch::Session { session: read.session, after: read.after }).await?;
        }
        let page = bus.read(read.clone()).await?;
        if !page.entries.is_empty() {
            return Ok(page);
        }
        begun = true;
        read.after = Offset(page.scanned_to);
    }
}

impl<B: Bus + ?Sized> Stream for Follow<B> {
    type Item = Result<Arc<Record>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_at_end() {
            if self.failed {
                return Poll::Ready(None);
            }
            if let Err(error) = ready!(self.poll_page(cx)) {
                self.failed = !error.is_retryable();
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(Some(Ok(Arc::clone(self.give()))))
    }
}

impl<B: Bus + ?Sized> fmt::Debug for Follow<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("read", &self.read).finish_non_exhaustive()
    }
}
