//! What an agent is sent: its thread, as it stood when its turn began.

use party_bus::{Bus, Window};
use party_core::{Framing, Item, ModelMessage, Offset, Reader, SessionId, ThreadId, render};
use party_harness::{Error, ErrorKind, FullView, Result, async_trait};
use std::sync::Arc;

/// Entries read at once.
const PAGE: u32 = 200;

/// At most so many entries are sent; older ones are left out.
const MOST: usize = 2_000;

/// A thread as one seat sees it in one turn.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) session: SessionId,
    pub(crate) thread: ThreadId,
    pub(crate) reader: Reader,
    pub(crate) up_to: Offset,
    pub(crate) framing: Option<Framing>,
}

impl View {
    /// What others said behind `after`, with the framing.
    pub(crate) async fn delta(&self, after: Offset) -> Result<Vec<ModelMessage>> {
        let Reader::Agent { name } = &self.reader else { return self.load().await };
        let mut items = self.items(after).await?;
        items.retain(|item| item.author.agent_name() != Some(name));
        Ok(self.messages(&items))
    }

    fn messages(&self, items: &[Arc<Item>]) -> Vec<ModelMessage> {
        let mut messages = render(items.iter().map(Arc::as_ref), &self.reader);
        messages.extend(self.framing.clone().map(Framing::into_message));
        messages
    }

    /// The newest items behind `after`, oldest first.
    async fn items(&self, after: Offset) -> Result<Vec<Arc<Item>>> {
        let mut newest_first = Vec::new();
        let mut window = Window::last(self.session, self.thread, PAGE);
        loop {
            let page = self.bus.window(window).await.map_err(unreadable)?;
            let shown = page.entries.iter().rev().filter(|entry| entry.offset <= self.up_to);
            let new: Vec<_> =
                shown.take_while(|entry| entry.offset > after).map(|entry| Arc::clone(&entry.item)).collect();
            let reached = page.entries.first().is_none_or(|entry| entry.offset <= after);
            newest_first.extend(new);
            if !page.more || reached || newest_first.len() >= MOST {
                break;
            }
            window = Window::before(self.session, self.thread, page.scanned_to, PAGE);
        }
        newest_first.reverse();
        Ok(newest_first)
    }
}

#[async_trait]
impl FullView for View {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        Ok(self.messages(&self.items(Offset::START).await?))
    }
}

fn unreadable(error: party_bus::Error) -> Error {
    Error::new(ErrorKind::Io, "the thread cannot be read from the store").with_source(error)
}
