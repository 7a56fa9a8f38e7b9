//! What an agent is sent: its thread, as it stood when its turn began.

use party_bus::{Bus, Layer, Side, Window};
use party_core::{Entry, Framing, How, Item, ModelMessage, Offset, Reader, Rendering, SessionId, ThreadId};
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
        // What was compacted meanwhile is new to the runtime session all the same.
        let mut items = self.items(Layer::Archive, after).await?;
        items.retain(|item| !self.reader.is_author(&item.author));
        Ok(self.messages(&items))
    }

    fn messages(&self, items: &[Arc<Item>]) -> Vec<ModelMessage> {
        let mut rendering = Rendering::new(self.reader.clone());
        if let Some(framing) = &self.framing {
            rendering = rendering.with_framing(framing.clone());
        }
        rendering.messages(items.iter().map(Arc::as_ref))
    }

    /// The newest items of `layer` behind `after`, oldest first.
    async fn items(&self, layer: Layer, after: Offset) -> Result<Vec<Arc<Item>>> {
        let mut newest_first = Vec::new();
        let mut window = Window::last(self.session, self.thread, PAGE);
        window.layer = layer;
        loop {
            let page = self.bus.window(window).await.map_err(unreadable)?;
            // A summary is of what came before, however late it was written.
            let wanted = |entry: &&Entry| {
                matches!(entry.how, How::Summary { .. })
                    || (entry.offset > after && entry.offset <= self.up_to)
            };
            let items = page.entries.iter().rev().filter(wanted).map(|entry| Arc::clone(&entry.item));
            newest_first.extend(items);
            let reached = page.entries.iter().any(|entry| entry.offset <= after);
            if !page.more || reached || newest_first.len() >= MOST {
                break;
            }
            window.side = Side::Before(page.scanned_to);
        }
        newest_first.reverse();
        Ok(newest_first)
    }
}

#[async_trait]
impl FullView for View {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        Ok(self.messages(&self.items(Layer::Shown, Offset::START).await?))
    }
}

fn unreadable(error: party_bus::Error) -> Error {
    Error::new(ErrorKind::Io, "the thread cannot be read from the store").with_source(error)
}
