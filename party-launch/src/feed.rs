//! What is said in the shared thread.

use crate::Result;
use party_bus::{Bus, Follow};
use party_core::{Event, Item, Op, Record, SessionOpened, ThreadId};
use std::{collections::VecDeque, sync::Arc};

/// The items of a session's feed in order: those that are there, then those that come.
#[derive(Debug)]
pub struct Feed {
    bus: Arc<dyn Bus>,
    records: Follow,
    thread: Option<ThreadId>,
    ready: VecDeque<Arc<Item>>,
    closed: bool,
}

impl Feed {
    pub(crate) fn new(bus: Arc<dyn Bus>, records: Follow) -> Self {
        Self { bus, records, thread: None, ready: VecDeque::new(), closed: false }
    }

    /// The next item; `None` once the session is closed and everything has been given out. Waits
    /// for as long as the session is open, whether or not somebody drives it. Not cancel-safe: an
    /// item may be lost with the future.
    ///
    /// # Errors
    /// Those of the bus; the next call goes on where this one stood.
    pub async fn next(&mut self) -> Result<Option<Arc<Item>>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if self.closed {
                return Ok(None);
            }
            let record = self.records.next().await?;
            self.take(&record).await?;
        }
    }

    async fn take(&mut self, record: &Record) -> Result<()> {
        match record.event() {
            Ok(Event::SessionOpened(SessionOpened { feed, .. })) => self.thread = Some(feed),
            Ok(Event::SessionClosed(_)) => self.closed = true,
            _ => {}
        }
        for op in &record.ops {
            if let Op::Add { threads, item, .. } = op
                && self.thread.is_some_and(|feed| threads.contains(&feed))
            {
                self.ready.extend(self.bus.items(&[*item]).await?);
            }
        }
        Ok(())
    }
}
