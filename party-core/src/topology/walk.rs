//! What a window shows. Positions are dense, so no entry is read to know which ones it shows; only the
//! compactions on the way are asked for, one at a time, from whoever keeps them.

use super::{Compaction, Span};

/// Which part of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle every side")]
pub enum Side {
    /// The last entries.
    Last,
    /// Entries before a position.
    Before(u64),
    /// Entries after a position.
    After(u64),
}

/// What a reader sees of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle both")]
pub enum Layer {
    /// What is shown now: summaries in the place of what they stand for.
    Shown,
    /// Every entry that was ever added.
    Archive,
}

/// The compaction that a walk asks for next: of those that the thread shows,
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must answer both")]
pub enum Ask {
    /// the one that begins last, at this position or before it;
    Below(u64),
    /// the one that begins first, behind this position.
    Above(u64),
}

impl Ask {
    /// The answer among those of several levels, each of which gave what its own thread shows. A branch
    /// may cover what its parents show.
    pub fn nearest<T>(self, found: impl IntoIterator<Item = T>, span: impl Fn(&T) -> Span) -> Option<T> {
        let found = found.into_iter();
        match self {
            Self::Below(_) => found.max_by_key(|one| (span(one).last, std::cmp::Reverse(span(one).first))),
            Self::Above(_) => found.min_by_key(|one| (span(one).first, std::cmp::Reverse(span(one).last))),
        }
    }
}

/// A part of what a window shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "every backend must handle both")]
pub enum Piece {
    /// Entries at these positions.
    Entries(Span),
    /// A summary in the place of others.
    Summary(Compaction),
}

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain results")]
pub struct Walked {
    /// What is shown, oldest first.
    pub pieces: Vec<Piece>,
    /// Where to go on: before it for a window that looks back, after it for one that looks forward.
    pub scanned_to: u64,
    /// Whether there is more.
    pub more: bool,
}

/// Finds what a window shows.
///
/// ```
/// use party_core::{Piece, Side, Span, Walk};
///
/// let mut walk = Walk::new(Side::Last, 2, 10);
/// while let Some(_ask) = walk.ask() {
///     walk.answer(None); // a thread without compactions
/// }
/// assert_eq!(walk.finish().pieces, [Piece::Entries(Span { first: 9, last: 10 })]);
/// ```
#[derive(Debug)]
pub struct Walk {
    side: Side,
    head: u64,
    /// Looking back, the next position to show; looking forward, the last one shown.
    cursor: u64,
    left: u64,
    /// Newest first while looking back.
    pieces: Vec<Piece>,
    ask: Option<Ask>,
}

impl Walk {
    /// A walk of at most `limit` entries in a thread of `head` positions.
    pub fn new(side: Side, limit: u32, head: u64) -> Self {
        let (cursor, ask) = match side {
            Side::Last => (head, Ask::Below(head)),
            Side::Before(position) => {
                let cursor = head.min(position.saturating_sub(1));
                (cursor, Ask::Below(cursor))
            }
            // What stands over the next position may begin before it.
            Side::After(position) => (position, Ask::Below(position.saturating_add(1))),
        };
        let mut walk = Self { side, head, cursor, left: limit.into(), pieces: Vec::new(), ask: Some(ask) };
        walk.stop_at_the_end();
        walk
    }

    /// The compaction that it needs to know; `None` once it is done.
    pub const fn ask(&self) -> Option<Ask> {
        self.ask
    }

    /// Takes in what it asked for; `None` where there is no such compaction.
    pub fn answer(&mut self, found: Option<Compaction>) {
        match self.side {
            Side::Last | Side::Before(_) => self.back(found),
            Side::After(_) => self.forth(found),
        }
        self.stop_at_the_end();
    }

    fn back(&mut self, found: Option<Compaction>) {
        let Some(compaction) = found else { return self.show_back(1) };
        let Span { first, last } = compaction.span;
        // A window that begins within a range does not show its summary, which stands at its end.
        if last <= self.cursor {
            self.show_back(last + 1);
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            self.pieces.push(Piece::Summary(compaction));
        }
        self.cursor = first.saturating_sub(1);
        self.ask = Some(Ask::Below(self.cursor));
    }

    /// Shows entries from the cursor back to `first`.
    fn show_back(&mut self, first: u64) {
        let first = first.max((self.cursor + 1).saturating_sub(self.left));
        if first <= self.cursor {
            self.left -= self.cursor - first + 1;
            self.pieces.push(Piece::Entries(Span { first, last: self.cursor }));
            self.cursor = first - 1;
        }
    }

    fn forth(&mut self, found: Option<Compaction>) {
        if matches!(self.ask, Some(Ask::Below(_)))
            && found.as_ref().is_none_or(|found| found.span.last <= self.cursor)
        {
            self.ask = Some(Ask::Above(self.cursor + 1));
            return;
        }
        let Some(compaction) = found else { return self.show_forth(self.head) };
        let Span { first, last } = compaction.span;
        self.show_forth(first.saturating_sub(1));
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        self.pieces.push(Piece::Summary(compaction));
        self.cursor = last.max(first);
        self.ask = Some(Ask::Above(self.cursor));
    }

    /// Shows entries behind the cursor up to `last`.
    fn show_forth(&mut self, last: u64) {
        let last = last.min(self.cursor.saturating_add(self.left));
        if self.cursor < last {
            self.left -= last - self.cursor;
            self.pieces.push(Piece::Entries(Span { first: self.cursor + 1, last }));
            self.cursor = last;
        }
    }

    fn stop_at_the_end(&mut self) {
        let at_end = match self.side {
            Side::Last | Side::Before(_) => self.cursor == 0,
            Side::After(_) => self.cursor >= self.head,
        };
        if at_end || self.left == 0 {
            self.ask = None;
        }
    }

    /// What it found.
    pub fn finish(mut self) -> Walked {
        match self.side {
            Side::Last | Side::Before(_) => {
                self.pieces.reverse();
                Walked { pieces: self.pieces, scanned_to: self.cursor + 1, more: self.cursor > 0 }
            }
            Side::After(_) => {
                Walked { pieces: self.pieces, scanned_to: self.cursor, more: self.cursor < self.head }
            }
        }
    }
}
