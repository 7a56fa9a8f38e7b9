//! The last records of sessions that somebody follows, in memory: many followers in one process need not
//! read the store once each, nor ask it whether there is more.
//!
//! Whoever waits for a session has a [`Line`] for it. A store publishes to it what it has committed, and
//! says by [`Tail::doubt`] that another process may have committed something: then one of those who wait
//! looks, for all. A line is a cache and never the truth: it does not know the head for those who read,
//! and what it does not have is in the store.

mod line;
#[cfg(test)]
mod tests;

use crate::{Classes, Page, Read, Result, SharedPage, copy::size};
use line::{Line, Next};
use party_core::{Offset, Record, SessionId};
use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// What all lines together may keep, in bytes; past it only the last written line keeps anything.
const MOST_BYTES: usize = 64 << 20;
/// A line that nobody has waited on for so long is dropped. One who follows comes back sooner.
const IDLE: Duration = Duration::from_secs(2);

/// Of so many sessions at most another process's records are read before they are asked for.
#[cfg(feature = "sqlite")]
const FEW: usize = 8;

/// A record that was committed, and how many bytes its body and items make.
pub(crate) type Fresh = (Arc<Record>, u64);

fn sized(records: Vec<Arc<Record>>) -> Vec<Fresh> {
    let sized = |record: Arc<Record>| {
        let bytes = size(&record) as u64;
        (record, bytes)
    };
    records.into_iter().map(sized).collect()
}

/// The lines of one store in this process.
#[derive(Debug)]
pub(crate) struct Tail {
    lines: RwLock<HashMap<SessionId, Arc<Line>>>,
    /// What all lines keep, in bytes.
    bytes: Arc<AtomicUsize>,
    born: Instant,
    /// When idle lines were dropped last, in milliseconds since `born`.
    swept: AtomicU64,
    closed: AtomicBool,
}

impl Tail {
    pub(crate) fn new() -> Self {
        Self {
            lines: RwLock::default(),
            bytes: Arc::default(),
            born: Instant::now(),
            swept: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Whether anybody follows `session`, so that [`publish`](Self::publish) has somebody to tell.
    pub(crate) fn is_followed(&self, session: SessionId) -> bool {
        self.read_lines().contains_key(&session)
    }

    /// Says that `session` ends at `head` now that `fresh` is committed: what comes last in it, in
    /// order. Empty where the store must be asked, such as for items that it may have erased.
    pub(crate) fn publish(&self, session: SessionId, head: Offset, fresh: Vec<Fresh>) {
        let Some(line) = self.read_lines().get(&session).cloned() else { return };
        line.publish(head, fresh);
        if self.bytes.load(Ordering::Relaxed) > MOST_BYTES {
            let lines = self.read_lines();
            lines.values().filter(|other| !Arc::ptr_eq(other, &line)).for_each(|other| other.empty());
        }
        line.ring();
        self.sweep();
    }

    /// Reads for all who follow what another process has committed, where that is little; whether nothing
    /// is left to doubt.
    #[cfg(feature = "sqlite")]
    pub(crate) fn read_ahead(&self, mut read: impl FnMut(Read) -> Option<Page<Arc<Record>>>) -> bool {
        let lines: Vec<_> = self.read_lines().iter().map(|(id, line)| (*id, Arc::clone(line))).collect();
        lines.len() <= FEW
            && lines.into_iter().all(|(session, line)| {
                let Some((after, doubts)) = line.known() else { return false };
                let page = read(Read::new(session, after)).filter(|page| !page.more);
                page.is_some_and(|page| line.catch_up(doubts, Offset(page.scanned_to), sized(page.entries)))
            })
    }

    /// Says that another process may have committed something, so that no head is certain.
    #[cfg(feature = "sqlite")]
    pub(crate) fn doubt(&self) {
        self.read_lines().values().for_each(|line| line.doubt());
    }

    /// Says that what was committed may have changed: erased, pruned, restored.
    pub(crate) fn forget(&self) {
        self.read_lines().values().for_each(|line| line.forget());
    }

    /// Wakes all who wait; each asks the store, which refuses.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.forget();
        self.read_lines().values().for_each(|line| line.ring());
    }

    /// The records that `read` asks for: from memory where the first of them is there, else from `store`,
    /// which is asked once for all who follow closely. What comes from memory never says that there is no
    /// more: only the store knows. Cancel-safe.
    pub(crate) async fn read<F: Future<Output = Result<Page<Arc<Record>>>>>(
        &self,
        read: &Read,
        store: impl Fn(Read) -> F,
    ) -> Result<Page<Arc<Record>>> {
        let line = self.read_lines().get(&read.session).cloned();
        let Some(line) = line.filter(|line| self.is_open(line)) else { return store(read.clone()).await };
        if let Some(page) = line.read(read) {
            return Ok(page);
        }
        if !line.is_close(read.after) {
            return store(read.clone()).await;
        }
        let _filling = line.filling.lock().await;
        if let Some(page) = line.read(read) {
            return Ok(page);
        }
        let doubts = line.doubts();
        let all = Read { limit: 1_000, classes: Classes::ALL, ..read.clone() };
        let page = store(all).await?;
        line.fill(doubts, sized(page.entries));
        match line.read(read) {
            Some(page) => Ok(page),
            // It was erased or pruned meanwhile, or is too large to be kept.
            None => store(read.clone()).await,
        }
    }

    /// What [`changed`](Self::changed) and then [`read`](Self::read) would get without the store, in one
    /// page for all who ask alike.
    pub(crate) fn recent(&self, read: &Read) -> Option<SharedPage> {
        self.read_lines().get(&read.session).filter(|line| self.is_open(line))?.recent(read)
    }

    /// Whether what is kept can be given out: while nobody waits, nobody hears of other processes either.
    fn is_open(&self, line: &Line) -> bool {
        !self.closed.load(Ordering::SeqCst) && self.is_used(line)
    }

    /// Where `session` ends, if it is known here that this is behind `after`.
    pub(crate) fn grown(&self, session: SessionId, after: Offset) -> Option<Offset> {
        self.read_lines().get(&session)?.grown(after)
    }

    /// Waits until `session` does not end at `after`, and says where it ends. `look` asks the store.
    /// Cancel-safe.
    pub(crate) async fn changed<F: Future<Output = Result<Offset>>>(
        &self,
        session: SessionId,
        after: Offset,
        look: impl Fn() -> F,
    ) -> Result<Offset> {
        if let Some(head) = self.grown(session, after) {
            return Ok(head);
        }
        let waiting = Waiting { tail: self, line: self.join(session) };
        let line = &waiting.line;
        let mut bell = line.listen();
        loop {
            match line.next(after) {
                Next::Ends(head) => return Ok(head),
                Next::Look(turn) => {
                    let head = look().await?;
                    turn.settle(head);
                    // A reader ahead of the head is told at once, and learns from `read` what that means.
                    if head != after {
                        return Ok(head);
                    }
                }
                Next::Wait => line.wait(&mut bell).await,
            }
        }
    }

    fn join(&self, session: SessionId) -> Arc<Line> {
        if let Some(line) = self.read_lines().get(&session) {
            line.waiting.fetch_add(1, Ordering::Relaxed);
            return Arc::clone(line);
        }
        self.sweep();
        let mut lines = self.write_lines();
        let line = lines.entry(session).or_insert_with(|| Arc::new(Line::new(&self.bytes)));
        line.waiting.fetch_add(1, Ordering::Relaxed);
        Arc::clone(line)
    }

    /// Drops the lines that nobody has waited on for a while; at most once in a while.
    fn sweep(&self) {
        let (now, idle) = (self.now(), IDLE.as_millis() as u64);
        let swept = self.swept.load(Ordering::Relaxed);
        let is_time = now.saturating_sub(swept) >= idle;
        if !is_time || self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        self.write_lines().retain(|_, line| {
            // Joining needs the lock that is held here, so a count of 0 stays one.
            let is_used = self.is_used(line);
            if !is_used {
                line.empty();
            }
            is_used
        });
    }

    /// Whether somebody waits on the line, or did a moment ago.
    fn is_used(&self, line: &Line) -> bool {
        line.waiting.load(Ordering::Relaxed) > 0
            || self.now().saturating_sub(line.left.load(Ordering::Relaxed)) < IDLE.as_millis() as u64
    }

    /// Milliseconds since the store was opened.
    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A panic elsewhere leaves the map whole.
    fn read_lines(&self) -> RwLockReadGuard<'_, HashMap<SessionId, Arc<Line>>> {
        self.lines.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write_lines(&self) -> RwLockWriteGuard<'_, HashMap<SessionId, Arc<Line>>> {
        self.lines.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One who waits on a line.
struct Waiting<'a> {
    tail: &'a Tail,
    line: Arc<Line>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.line.left.store(self.tail.now(), Ordering::Relaxed);
        self.line.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
