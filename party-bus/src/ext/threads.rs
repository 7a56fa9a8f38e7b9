//! Threads page by page, and as a tree.

use crate::{Bus, Result, Side, ThreadInfo, ThreadQuery, Window, refusal};
use futures::stream::{self, BoxStream, StreamExt as _};
use party_core::{Entry, SessionId, ThreadId};
use std::{collections::HashMap, sync::Arc};

pub(super) fn windows<B: Bus + ?Sized>(
    bus: Arc<B>,
    window: Window,
) -> BoxStream<'static, Result<Vec<Entry>>> {
    stream::try_unfold((bus, Some(window)), |(bus, window)| async move {
        let Some(mut window) = window else { return Ok(None) };
        let page = bus.window(window).await?;
        if page.entries.is_empty() {
            return Ok(None);
        }
        window.side = match window.side {
            Side::After(_) => Side::After(page.scanned_to),
            Side::Last | Side::Before(_) => Side::Before(page.scanned_to),
        };
        Ok(Some((page.entries, (bus, page.more.then_some(window)))))
    })
    .boxed()
}

/// The threads of a session as of one moment or a few, oldest first, and which of them leave which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    threads: Vec<ThreadInfo>,
    /// Where each stands in `threads`.
    places: HashMap<ThreadId, usize>,
    /// Those that leave a thread, by their places.
    children: HashMap<Option<ThreadId>, Vec<usize>>,
}

impl Tree {
    /// All threads, oldest first.
    pub fn threads(&self) -> &[ThreadInfo] {
        &self.threads
    }

    /// A thread.
    pub fn get(&self, thread: ThreadId) -> Option<&ThreadInfo> {
        self.places.get(&thread).map(|place| &self.threads[*place])
    }

    /// The threads that leave no other, oldest first.
    pub fn roots(&self) -> impl Iterator<Item = &ThreadInfo> {
        self.leaving(None)
    }

    /// The branches and tangents of a thread, oldest first.
    pub fn children(&self, thread: ThreadId) -> impl Iterator<Item = &ThreadInfo> {
        self.leaving(Some(thread))
    }

    fn leaving(&self, parent: Option<ThreadId>) -> impl Iterator<Item = &ThreadInfo> {
        self.children.get(&parent).into_iter().flatten().map(|place| &self.threads[*place])
    }

    fn add(&mut self, info: ThreadInfo) {
        // A thread that comes while pages are read moves none of those before it.
        let place = self.threads.len();
        self.places.insert(info.thread, place);
        self.children.entry(info.origin.map(|origin| origin.parent)).or_default().push(place);
        self.threads.push(info);
    }
}

pub(super) async fn tree<B: Bus + ?Sized>(bus: &B, session: SessionId) -> Result<Tree> {
    let (mut tree, mut query) = (Tree::default(), ThreadQuery::all(session));
    loop {
        let page = bus.threads(query.clone()).await?;
        page.entries.into_iter().for_each(|info| tree.add(info));
        if !page.more {
            return Ok(tree);
        }
        query.skip = page.scanned_to;
    }
}

pub(super) async fn common_ancestor<B: Bus + ?Sized>(
    bus: &B,
    session: SessionId,
    one: ThreadId,
    other: ThreadId,
) -> Result<Option<(ThreadId, u64)>> {
    let (ones, others) = (lineage(bus, session, one).await?, lineage(bus, session, other).await?);
    let shared = ones.iter().find_map(|(thread, last)| {
        let (_, other) = others.iter().find(|(other, _)| other == thread)?;
        Some((*thread, *last.min(other)))
    });
    Ok(shared.filter(|(_, last)| *last > 0))
}

/// The thread and those that it descends from, each with the last position that is seen of it.
async fn lineage<B: Bus + ?Sized>(
    bus: &B,
    session: SessionId,
    thread: ThreadId,
) -> Result<Vec<(ThreadId, u64)>> {
    let mut info = info(bus, session, thread).await?;
    let mut levels = vec![(thread, info.head)];
    let mut seen = info.head;
    while let Some(origin) = info.origin {
        seen = seen.min(origin.after);
        levels.push((origin.parent, seen));
        info = self::info(bus, session, origin.parent).await?;
    }
    Ok(levels)
}

async fn info<B: Bus + ?Sized>(bus: &B, session: SessionId, thread: ThreadId) -> Result<ThreadInfo> {
    let page = bus.threads(ThreadQuery::one(session, thread)).await?;
    page.entries.into_iter().next().ok_or_else(|| refusal::no_thread(thread))
}
