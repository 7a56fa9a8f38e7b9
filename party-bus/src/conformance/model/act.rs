//! What can be asked of a store, and what the store in memory answers.

use super::steps::{SESSIONS, Step, session};
use crate::{
    Batch, Bus as _, BusAdmin, BusExt as _, Capabilities, Classes, Erase, ErrorKind, LeaseOp, MemoryBus,
    Owner, Prune, Read, Result, Search, SessionQuery, ThreadInfo, ThreadQuery, Window,
};
use futures::FutureExt as _;
use party_core::{ItemId, Offset, SessionId};
use std::{collections::BTreeSet, fmt::Debug};

/// One thing asked of a store.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Append(Batch),
    Lease(LeaseOp),
    Erase(Erase),
    Prune(Prune),
    Read(Read),
    Sessions(SessionQuery),
    Threads(ThreadQuery),
    Window(Window),
    Items(Vec<ItemId>),
    Search(Search),
}

/// What a store says to it, in words, so that all answers are of one type.
pub(super) type Answer = Result<String, ErrorKind>;

impl Act {
    pub(super) async fn play(&self, bus: &dyn BusAdmin) -> Answer {
        match self.clone() {
            Self::Append(batch) => told(bus.append(batch).await),
            Self::Lease(op) => told(bus.lease(op).await),
            Self::Erase(erase) => told(bus.erase(erase).await),
            Self::Prune(prune) => told(bus.prune(prune).await),
            Self::Read(read) => told(bus.read(read).await),
            Self::Sessions(query) => told(bus.sessions(query).await.map(|mut page| {
                // Which of two that are due at the same time comes first is nobody's promise.
                page.entries.sort_by_key(|info| (info.wake, info.session));
                page
            })),
            Self::Threads(query) => told(bus.threads(query).await),
            Self::Window(window) => told(bus.window(window).await),
            Self::Items(ids) => told(bus.items(&ids).await),
            // Excerpts are cut as each store likes, and what one batch brought has no order.
            Self::Search(search) => told(
                bus.search(search)
                    .await
                    .map(|page| page.entries.into_iter().map(|found| found.item).collect::<BTreeSet<_>>()),
            ),
        }
    }
}

fn told<T: Debug>(answer: Result<T>) -> Answer {
    answer.map(|answer| format!("{answer:?}")).map_err(|error| error.kind())
}

/// The store in memory as some steps left it, and what it was asked last.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) bus: MemoryBus,
    pub(super) can: Capabilities,
    /// The last token of each session's lease.
    pub(super) tokens: [u64; SESSIONS as usize],
    /// Whether somebody was given it, and did not give it up.
    pub(super) held: [bool; SESSIONS as usize],
    /// What was written so far, to be written again.
    pub(super) written: Vec<Batch>,
    pub(super) owners: [Owner; 3],
    /// What the last step asked, and the answer; none where it only opened a handle anew.
    pub(super) asked: Option<(Act, Answer)>,
}

/// Each goes its own way.
impl Clone for Reference {
    fn clone(&self) -> Self {
        Self {
            bus: self.bus.copy(),
            can: self.can,
            tokens: self.tokens,
            held: self.held,
            written: self.written.clone(),
            owners: self.owners.clone(),
            asked: self.asked.clone(),
        }
    }
}

impl Reference {
    pub(super) fn new(can: Capabilities) -> Self {
        let dead = Owner { pid: 999_999_999, ..Owner::this_process() };
        Self {
            bus: MemoryBus::new(),
            can,
            tokens: [0; SESSIONS as usize],
            held: [false; SESSIONS as usize],
            written: Vec::new(),
            owners: [Owner::this_process(), Owner::this_process(), dead],
            asked: None,
        }
    }

    /// The store after one more step.
    pub(super) fn after(mut self, step: &Step) -> Self {
        self.asked = self.act(step).map(|act| {
            let answer = act.play(&self.bus).now_or_never().expect("a store in memory answers at once");
            (act, answer)
        });
        match self.asked.clone() {
            Some((Act::Append(batch), Ok(_))) => self.written.push(batch),
            Some((Act::Lease(op), Ok(told))) if told != "None" => {
                let number = (0..SESSIONS).find(|number| session(*number) == op.session());
                let number = usize::from(number.unwrap_or_default());
                let acquired = matches!(op, LeaseOp::Acquire { .. });
                self.tokens[number] += u64::from(acquired);
                self.held[number] = !matches!(op, LeaseOp::Release { .. });
            }
            _ => {}
        }
        self
    }

    pub(super) fn head(&self, session: SessionId) -> Offset {
        now(self.bus.head(session))
    }

    pub(super) fn threads(&self, number: u8) -> Vec<ThreadInfo> {
        now(self.bus.threads(ThreadQuery::all(session(number)))).entries
    }

    /// All that a store shows, asked for piece by piece.
    pub(super) fn everything(&self) -> Vec<(Act, Answer)> {
        let mut acts = vec![Act::Sessions(SessionQuery::newest()), Act::Sessions(SessionQuery::due(100))];
        for number in 0..SESSIONS {
            let session = session(number);
            acts.push(Act::Sessions(SessionQuery::one(session)));
            acts.push(Act::Read(Read::new(session, Offset::START)));
            acts.push(Act::Read(Read::new(session, Offset::START).classes(Classes::FOLDED)));
            acts.push(Act::Threads(ThreadQuery::all(session)));
            for info in self.threads(number) {
                let window = Window::last(session, info.thread, 1_000);
                acts.extend([Act::Window(window), Act::Window(window.archive())]);
            }
        }
        let answered = acts.into_iter().map(|act| {
            let answer = act.play(&self.bus).now_or_never().expect("a store in memory answers at once");
            (act, answer)
        });
        answered.collect()
    }
}

fn now<T>(answer: impl Future<Output = Result<T>>) -> T {
    answer.now_or_never().expect("a store in memory answers at once").expect("it can be read")
}
