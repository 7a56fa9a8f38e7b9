//! Records whose ops are made when they are written, of the threads that are there by then: so that most
//! of them fit, also when steps before them are left out.

use super::steps::{ITEMS, item_id};
use crate::{ThreadInfo, conformance::note};
use party_core::{
    Author, How, Item, ItemId, NewRecord, Op, Origin, RecordClass, ThreadId, ThreadKind, ThreadState,
    Timestamp,
};
use std::collections::BTreeSet;

/// The words that items hold, some of them.
const WORDS: [&str; 3] = ["apple", "Birne", "cedar"];

#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) class: RecordClass,
    pub(super) wishes: Vec<Wish>,
    /// Number and variant of items that it brings besides those that its ops need.
    pub(super) items: Vec<(u8, u8)>,
    /// Whether it does what it may not: an input with ops, ops without their items.
    pub(super) odd: bool,
    pub(super) v: u16,
}

/// A change of some thread at some position.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) kind: Kind,
    pub(super) dice: [u64; 3],
    /// Whether it need not fit.
    pub(super) odd: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    Add,
    Branch,
    Compact,
    Tangent,
    Resolve,
    Abandon,
    Close,
}

impl Draft {
    pub(super) fn record(&self, threads: &mut Threads, at: Timestamp) -> NewRecord {
        let mut record = note(self.class, "model");
        (record.at, record.v) = (at, self.v);
        if self.class != RecordClass::Input || self.odd {
            record.ops = self.wishes.iter().map(|wish| threads.grant(wish)).collect();
        }
        let ops = record.ops.iter().flat_map(crate::encoded::items_of);
        let named: BTreeSet<ItemId> = ops.copied().collect();
        let brought = (0..ITEMS).filter(|number| !self.odd && named.contains(&item_id(*number)));
        for (number, variant) in brought.map(|number| (number, 0)).chain(self.items.iter().copied()) {
            record = record.with_item(item(number, variant));
        }
        record
    }
}

fn item(number: u8, variant: u8) -> Item {
    let word = WORDS.get(usize::from(number) % WORDS.len()).copied().unwrap_or_default();
    let text = format!("item {number}, variant {variant}: {word}");
    Item::message(item_id(number), Author::human("ann"), Timestamp::from_micros(0), text)
}

/// The threads of a session, as far as the ops so far are going to change them.
pub(super) struct Threads(pub(super) Vec<ThreadInfo>);

impl Threads {
    /// One of them, or one that is not there.
    pub(super) fn any(&self, dice: u64) -> ThreadInfo {
        let index = usize::try_from(dice % (self.0.len() as u64).max(1)).unwrap_or_default();
        self.0.get(index).cloned().unwrap_or_else(|| self.unopened(ThreadKind::Private, None))
    }

    /// One that still takes entries, of that kind where one is asked for.
    fn open(&self, dice: u64, kind: Option<&ThreadKind>) -> Option<ThreadInfo> {
        let open = self.0.iter().filter(|info| info.state == ThreadState::Open);
        let open = open.filter(|info| kind.is_none_or(|kind| info.kind == *kind));
        let open: Vec<&ThreadInfo> = open.collect();
        let index = usize::try_from(dice % (open.len() as u64).max(1)).unwrap_or_default();
        open.get(index).copied().cloned()
    }

    fn unopened(&self, kind: ThreadKind, origin: Option<Origin>) -> ThreadInfo {
        let thread = ThreadId::derive(&[b"model", &self.0.len().to_be_bytes()]);
        let head = origin.map_or(0, |origin| origin.after);
        ThreadInfo { thread, kind, state: ThreadState::Open, origin, head }
    }

    /// The op that a wish comes to. One that cannot be granted yet opens a thread, or adds to one.
    fn grant(&mut self, wish: &Wish) -> Op {
        let [of, at, more] = wish.dice;
        let info = if wish.odd { Some(self.any(of)) } else { self.open(of, None) };
        let Some(info) = info.filter(|_| wish.kind != Kind::Open) else { return self.opened(wish) };
        let tangent = self.open(of, Some(&ThreadKind::Tangent));
        // Odd ones may lie one beside what is there.
        let position = |dice: u64| match wish.odd {
            true => dice % (info.head + 2),
            false => 1 + dice % info.head.max(1),
        };
        let items = (0..1 + more % 2).map(|n| item_number(at.wrapping_add(n))).collect();
        match (wish.kind, tangent) {
            (Kind::Branch, _) => {
                self.branched(wish, &info, if wish.odd { position(at) } else { at % (info.head + 1) })
            }
            (Kind::Tangent, _) if info.head > 0 || wish.odd => {
                let (parent, anchor) = (info.thread, position(at));
                let made = self.unopened(ThreadKind::Tangent, Some(Origin { parent, after: anchor }));
                let thread = made.thread;
                self.0.push(made);
                Op::Tangent { thread, parent, anchor }
            }
            (Kind::Compact, _) if info.head > 0 || wish.odd => {
                let (one, other) = (position(at), position(more));
                let item = item_number(of);
                Op::Compact { thread: info.thread, first: one.min(other), last: one.max(other), item }
            }
            (Kind::Resolve, Some(tangent)) => {
                self.end(tangent.thread, ThreadState::Resolved);
                Op::Resolve { thread: tangent.thread, items }
            }
            (Kind::Abandon, Some(tangent)) => {
                self.end(tangent.thread, ThreadState::Abandoned);
                Op::Abandon { thread: tangent.thread }
            }
            (Kind::Close, _) if wish.odd || (info.kind != ThreadKind::Tangent && more % 3 == 0) => {
                self.end(info.thread, ThreadState::Closed);
                Op::Close { thread: info.thread }
            }
            _ => self.added(wish, &info),
        }
    }

    fn opened(&mut self, wish: &Wish) -> Op {
        let kinds = [ThreadKind::Feed, ThreadKind::Private, ThreadKind::Other("model".into())];
        let [of, at, _] = wish.dice;
        let kind = kinds.into_iter().cycle().nth(usize::try_from(at % 3).unwrap_or_default());
        let made =
            if wish.odd { self.any(of) } else { self.unopened(kind.unwrap_or(ThreadKind::Feed), None) };
        let (thread, kind) = (made.thread, made.kind.clone());
        self.0.push(made);
        Op::Open { thread, kind }
    }

    fn branched(&mut self, wish: &Wish, from: &ThreadInfo, after: u64) -> Op {
        let kind = if wish.odd { from.kind.clone() } else { ThreadKind::Private };
        let made = self.unopened(kind.clone(), Some(Origin { parent: from.thread, after }));
        let thread = made.thread;
        self.0.push(made);
        Op::Branch { thread, kind, from: from.thread, after }
    }

    fn added(&mut self, wish: &Wish, to: &ThreadInfo) -> Op {
        let [_, at, more] = wish.dice;
        let second = self.open(more, None).filter(|_| more % 2 == 0).map(|info| info.thread);
        let threads: Vec<ThreadId> = std::iter::once(to.thread).chain(second).collect();
        for thread in &threads {
            let added = self.0.iter_mut().filter(|info| info.thread == *thread);
            added.for_each(|info| info.head += 1);
        }
        Op::Add { threads, item: item_number(at), how: How::Delivered { from: None } }
    }

    fn end(&mut self, thread: ThreadId, state: ThreadState) {
        self.0.iter_mut().filter(|info| info.thread == thread).for_each(|info| info.state = state);
    }
}

fn item_number(dice: u64) -> ItemId {
    item_id(u8::try_from(dice % u64::from(ITEMS)).unwrap_or_default())
}
