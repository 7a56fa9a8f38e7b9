//! What is said in the shared thread.

use crate::Result;
use party_bus::{Bus, Follow};
use party_core::{Event, Item, ItemId, Op, Record, SessionOpened, ThreadId};
use std::{collections::VecDeque, sync::Arc};

/// The items of a session's feed in order: those that are there, then those that come.
#[derive(Debug)]
pub struct Feed {
    bus: Arc<dyn Bus>,
    records: Follow,
    thread: Option<ThreadId>,
    /// Items of the feed that were not given out yet.
    due: VecDeque<ItemId>,
    closed: bool,
}

impl Feed {
    pub(crate) fn new(bus: Arc<dyn Bus>, records: Follow) -> Self {
        Self { bus, records, thread: None, due: VecDeque::new(), closed: false }
    }

    /// The next item; `None` once the session is closed and everything has been given out. Waits
    /// for as long as the session is open, whether or not somebody drives it. Cancel-safe.
    ///
    /// # Errors
    /// Those of the bus; the next call goes on where this one stood.
    pub async fn next(&mut self) -> Result<Option<Arc<Item>>> {
        loop {
            if let Some(item) = self.due.front() {
                let found = self.bus.items(&[*item]).await?;
                self.due.pop_front();
                if let Some(item) = found.into_iter().next() {
                    return Ok(Some(item));
                }
            } else if self.closed {
                return Ok(None);
            } else {
                let record = Arc::clone(self.records.next().await?);
                self.take(&record);
            }
        }
    }

    fn take(&mut self, record: &Record) {
        match record.event() {
            Ok(Event::SessionOpened(SessionOpened { feed, .. })) => self.thread = Some(feed),
            Ok(Event::SessionClosed(_)) => self.closed = true,
            _ => {}
        }
        for op in &record.ops {
            if let Op::Add { threads, item, .. } = op
                && self.thread.is_some_and(|feed| threads.contains(&feed))
            {
                self.due.push_back(*item);
            }
        }
    }
}
