//! What is known of one session that somebody follows.

use super::Fresh;
use crate::{Page, Read, SharedPage};
use party_core::{Offset, Record};
use std::{
    collections::VecDeque,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, watch};

/// At most so many records in a line, and so many bytes.
const MOST_RECORDS: usize = 4_096;
const MOST_BYTES: usize = 4 << 20;
/// At most so many records in a page of one reader's own: few enough that their counters are still with the
/// core that took them when it gives them out, and no other core has to hand them over twice.
const PAGE: usize = 128;
/// So many shared pages are kept: followers are mostly at the end, and few ask for other classes.
const SHARED: usize = 8;
/// What a record takes besides its body and items, about.
const OVERHEAD: u64 = 512;

#[derive(Debug)]
pub(super) struct Line {
    state: RwLock<State>,
    /// Rung when the session has grown, for all who wait.
    bell: watch::Sender<()>,
    /// Wakes one who waits, to look.
    doubted: Notify,
    /// Held by one who reads the store for others, too.
    pub(super) filling: tokio::sync::Mutex<()>,
    pub(super) waiting: AtomicUsize,
    /// When the last one who waited left, in milliseconds of the tail's clock.
    pub(super) left: AtomicU64,
    /// What all lines of the tail keep, in bytes.
    total: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct State {
    /// Without holes.
    kept: VecDeque<Fresh>,
    bytes: usize,
    /// Pages of what is kept, and who asked for them.
    shared: VecDeque<(Read, SharedPage)>,
    /// Where the session ends, as far as this process knows.
    head: Option<Offset>,
    /// Whether that has been looked up since the last doubt.
    is_certain: bool,
    /// How often it was doubted, and how often something was published.
    doubts: u64,
    published: u64,
    /// Whether somebody looks, and whether others wait for that.
    looking: bool,
    awaited: bool,
}

/// What one who waits does next.
pub(super) enum Next<'a> {
    /// The session ends here.
    Ends(Offset),
    /// Ask the store.
    Look(Turn<'a>),
    /// Wait for the bell.
    Wait,
}

impl Line {
    pub(super) fn new(total: &Arc<AtomicUsize>) -> Self {
        Self {
            state: RwLock::default(),
            bell: watch::Sender::new(()),
            doubted: Notify::new(),
            filling: tokio::sync::Mutex::new(()),
            waiting: AtomicUsize::new(0),
            left: AtomicU64::new(0),
            total: Arc::clone(total),
        }
    }

    /// Keeps what was committed.
    pub(super) fn publish(&self, head: Offset, fresh: Vec<Fresh>) {
        let mut state = self.write();
        state.published += 1;
        // Whoever looked may have seen it before, and writers side by side may publish in another order
        // than they committed in.
        state.head = state.head.max(Some(head));
        self.keep(state, head, fresh);
    }

    /// Where the session ended when that was last known, and how often that was doubted.
    #[cfg(feature = "sqlite")]
    pub(super) fn known(&self) -> Option<(Offset, u64)> {
        let state = self.state();
        Some((state.head?, state.doubts))
    }

    /// Takes in all that another process has committed, unless something may have changed since there
    /// were so many doubts; whether it did.
    #[cfg(feature = "sqlite")]
    pub(super) fn catch_up(&self, doubts: u64, head: Offset, fresh: Vec<Fresh>) -> bool {
        let mut state = self.write();
        if state.doubts != doubts {
            return false;
        }
        let grown = state.head < Some(head);
        state.published += 1;
        state.head = state.head.max(Some(head));
        state.is_certain = true;
        self.keep(state, head, fresh);
        if grown {
            self.ring();
        }
        true
    }

    /// How often what is known was doubted: what is read from the store meanwhile is of then.
    pub(super) fn doubts(&self) -> u64 {
        self.state().doubts
    }

    /// Keeps what was read from the store, unless something may have changed since there were so many doubts.
    pub(super) fn fill(&self, doubts: u64, fresh: Vec<Fresh>) {
        let state = self.write();
        if let Some((last, _)) = fresh.last().filter(|_| state.doubts == doubts) {
            let last = last.offset;
            self.keep(state, last, fresh);
        }
    }

    /// Goes on with what is kept, or begins anew where `fresh` leaves a hole; what is kept already stays.
    fn keep(&self, mut state: RwLockWriteGuard<'_, State>, last: Offset, fresh: Vec<Fresh>) {
        let (before, end) = (state.bytes, state.end());
        if end.is_some_and(|end| end > last) {
            return;
        }
        if fresh.first().is_none_or(|(first, _)| end != Some(first.offset)) {
            state.empty();
        }
        fresh.into_iter().for_each(|fresh| state.keep(fresh));
        self.total.fetch_add(state.bytes, Ordering::Relaxed);
        self.total.fetch_sub(before, Ordering::Relaxed);
    }

    /// Whether one who knows the records up to `after` is close enough behind the end that others want the
    /// same records from the store.
    pub(super) fn is_close(&self, after: Offset) -> bool {
        // Where nothing is known, all who follow come at once.
        let head = self.state().head;
        head.is_none_or(|head| head > after && head.0 - after.0 <= MOST_RECORDS as u64)
    }

    /// Lets go of the records.
    pub(super) fn empty(&self) {
        self.total.fetch_sub(self.write().empty(), Ordering::Relaxed);
    }

    pub(super) fn doubt(&self) {
        let mut state = self.write();
        state.is_certain = false;
        state.doubts += 1;
        drop(state);
        self.doubted.notify_one();
    }

    /// Lets go of all that was known.
    pub(super) fn forget(&self) {
        self.empty();
        self.write().head = None;
        self.doubt();
    }

    pub(super) fn ring(&self) {
        self.bell.send_replace(());
    }

    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    /// Waits for a ring since `bell` last heard one, or to be the one who looks.
    pub(super) async fn wait(&self, bell: &mut watch::Receiver<()>) {
        tokio::select! {
            // The line has the sender, and lives as long as its listeners.
            _ = bell.changed() => {}
            () = self.doubted.notified() => {}
        }
    }

    pub(super) fn read(&self, read: &Read) -> Option<Page<Arc<Record>>> {
        self.state().page(read, PAGE)
    }

    /// The next records behind `read.after`, if it is certain that they still stand: one page for all who
    /// ask the same.
    pub(super) fn recent(&self, read: &Read) -> Option<SharedPage> {
        self.grown(read.after)?;
        if let Some(page) = self.state().shared(read) {
            return Some(page);
        }
        let mut state = self.write();
        // Many ask at once, and one of them was first.
        state.shared(read).or_else(|| state.share(read))
    }

    /// Where the session ends, if that is certain and behind `after`.
    pub(super) fn grown(&self, after: Offset) -> Option<Offset> {
        let state = self.state();
        state.head.filter(|head| state.is_certain && *head > after)
    }

    /// What one does who knows the records up to `after`.
    pub(super) fn next(&self, after: Offset) -> Next<'_> {
        {
            let state = self.state();
            match state.head.filter(|_| state.is_certain) {
                Some(head) if head > after => return Next::Ends(head),
                Some(head) if head == after => return Next::Wait,
                _ => {}
            }
        }
        let mut state = self.write();
        if state.looking {
            state.awaited = true;
            return Next::Wait;
        }
        state.looking = true;
        Next::Look(Turn { line: self, doubts: state.doubts, published: state.published, is_over: false })
    }

    #[cfg(test)]
    pub(super) fn shared_pages(&self) -> usize {
        self.state().shared.len()
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The offset behind the last record kept.
    fn end(&self) -> Option<Offset> {
        self.kept.back().map(|(record, _)| record.offset.plus(1))
    }

    fn keep(&mut self, fresh: Fresh) {
        self.bytes += size(&fresh);
        self.kept.push_back(fresh);
        while self.kept.len() > MOST_RECORDS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= size(&oldest);
            self.shared.retain(|(read, _)| read.after >= oldest.0.offset);
        }
    }

    fn empty(&mut self) -> usize {
        (self.kept, self.shared) = Default::default();
        std::mem::take(&mut self.bytes)
    }

    /// At most `most` of the records that `read` asks for.
    fn page(&self, read: &Read, most: usize) -> Option<Page<Arc<Record>>> {
        let first = self.kept.front()?.0.offset;
        let skip = usize::try_from(read.after.plus(1).0.checked_sub(first.0)?).ok()?;
        let behind = self.kept.len().checked_sub(skip).filter(|behind| *behind > 0)?;
        let most = most.min(read.limit as usize);
        let entries = Vec::with_capacity(behind.min(most));
        let mut page = Page { entries, scanned_to: read.after.0, more: true };
        let mut bytes = 0;
        for (record, more) in self.kept.range(skip..) {
            let full = bytes >= read.max_bytes && !page.entries.is_empty();
            if full || page.entries.len() == most {
                break;
            }
            page.scanned_to = record.offset.0;
            if read.classes.contains(record.class) {
                bytes += more;
                page.entries.push(Arc::clone(record));
            }
        }
        Some(page)
    }

    fn shared(&self, read: &Read) -> Option<SharedPage> {
        self.shared.iter().find(|(asked, _)| asked == read).map(|(_, page)| Arc::clone(page))
    }

    fn share(&mut self, read: &Read) -> Option<SharedPage> {
        let page = Arc::new(self.page(read, MOST_RECORDS)?);
        if self.shared.len() == SHARED {
            self.shared.pop_front();
        }
        self.shared.push_back((read.clone(), Arc::clone(&page)));
        Some(page)
    }
}

fn size((_, bytes): &Fresh) -> usize {
    usize::try_from(bytes + OVERHEAD).unwrap_or(usize::MAX)
}

/// The right to look, for all who wait. Dropped before the answer, it passes to another.
pub(super) struct Turn<'a> {
    line: &'a Line,
    doubts: u64,
    published: u64,
    is_over: bool,
}

impl Turn<'_> {
    /// Tells all who wait what the store said when it was looked at.
    pub(super) fn settle(mut self, head: Offset) {
        let mut state = self.line.write();
        if state.doubts != self.doubts {
            return;
        }
        let known = state.head;
        // What was published meanwhile is newer than the look.
        let newer = known.filter(|known| state.published != self.published && *known > head);
        let head = newer.unwrap_or(head);
        if state.end().is_some_and(|end| end > head.plus(1)) {
            // Another process has pruned it.
            self.line.total.fetch_sub(state.empty(), Ordering::Relaxed);
        }
        state.head = Some(head);
        (state.is_certain, state.looking, self.is_over) = (true, false, true);
        let is_news = std::mem::take(&mut state.awaited) || known != Some(head);
        drop(state);
        if is_news {
            self.line.ring();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.line.write().looking = false;
            self.line.doubted.notify_one();
        }
    }
}
