//! When a thread is long enough to be compacted, and which part of it.
//!
//! Who writes the summary is the host's choice: an agent's turn, or a function. What it comes to is an
//! [`Op::Compact`](crate::Op::Compact) over the range found here.

use crate::{ContentBlock, Entry, How, Item, Span};
use std::collections::BTreeMap;

/// A range that would keep a tool call and hide its result, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("positions {range} tear the tool call `{call}` from its result: they stand at {from} and {to}")]
#[non_exhaustive]
pub struct TornPair {
    /// The range.
    pub range: Span,
    /// The runtime's id of the call.
    pub call: String,
    /// The position of the call.
    pub from: u64,
    /// The position of its result.
    pub to: u64,
}

/// How long a thread may be shown before it is to be compacted. What is not given has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionPolicy {
    /// Entries.
    pub entries: Option<u64>,
    /// Bytes of the items as JSON.
    pub bytes: Option<u64>,
    /// Tokens, by [`Item::estimated_tokens`].
    pub tokens: Option<u64>,
    /// So many of the newest entries are left as they are.
    pub keep: usize,
}

impl CompactionPolicy {
    /// A policy without limits, which keeps the newest `keep` entries.
    pub const fn keeping(keep: usize) -> Self {
        Self { entries: None, bytes: None, tokens: None, keep }
    }

    /// The same; more entries are too many.
    #[must_use]
    pub const fn entries(mut self, most: u64) -> Self {
        self.entries = Some(most);
        self
    }

    /// The same; more bytes are too many.
    #[must_use]
    pub const fn bytes(mut self, most: u64) -> Self {
        self.bytes = Some(most);
        self
    }

    /// The same; more tokens are too many.
    #[must_use]
    pub const fn tokens(mut self, most: u64) -> Self {
        self.tokens = Some(most);
        self
    }

    /// The range to compact, where all that a thread shows now is too long: from its beginning to as
    /// near the newest entries as the policy and tool calls allow. `None` where it is short enough, or
    /// where fewer than two entries could be replaced.
    ///
    /// ```
    /// use party_core::{Author, CompactionPolicy, Entry, How, Item, ItemId, Offset, Span, Timestamp};
    ///
    /// let said = |n: u64| {
    ///     let item = Item::message(ItemId::derive(&[&n.to_be_bytes()]), Author::human("ann"), Timestamp::default(), "hi");
    ///     Entry::new(n, Offset(n), 0, How::Said, item.into())
    /// };
    /// let shown: Vec<Entry> = (1..=9).map(said).collect();
    /// let policy = CompactionPolicy::keeping(4).entries(8);
    /// assert_eq!(policy.due(&shown), Some(Span { first: 1, last: 5 }));
    /// ```
    pub fn due(&self, shown: &[Entry]) -> Option<Span> {
        if !self.is_too_long(shown) {
            return None;
        }
        let old = &shown[..shown.len().saturating_sub(self.keep)];
        let mut last = old.last()?.position;
        let mut pairs: Vec<(u64, u64)> = pairs(shown).into_iter().map(|(_, pair)| pair).collect();
        pairs.sort_unstable();
        // Later calls first: a range that ends before one of them can tear earlier ones only.
        for (from, to) in pairs.into_iter().rev() {
            if from <= last && last < to {
                last = from - 1;
            }
        }
        let old = &old[..old.partition_point(|entry| entry.position <= last)];
        range(old).filter(|_| old.len() > 1)
    }

    fn is_too_long(&self, shown: &[Entry]) -> bool {
        let sum =
            |of: fn(&Item) -> u64| shown.iter().map(|entry| of(&entry.item)).fold(0, u64::saturating_add);
        self.entries.is_some_and(|most| shown.len() as u64 > most)
            || self.bytes.is_some_and(|most| sum(json_bytes) > most)
            || self.tokens.is_some_and(|most| sum(Item::estimated_tokens) > most)
    }
}

/// Whether `range` of what a thread shows keeps every tool call together with its results. A call whose
/// result is not shown at all is no pair: nobody waits for it any more.
///
/// # Errors
/// The first call that would be torn.
pub fn check_pairs(shown: &[Entry], range: Span) -> Result<(), TornPair> {
    torn(&pairs(shown), range).map_or(Ok(()), Err)
}

/// Each call that has a result, and the positions of both. As in rendering, a result belongs to the last
/// open call of its id before it.
fn pairs(shown: &[Entry]) -> Vec<(&str, (u64, u64))> {
    let (mut open, mut pairs) = (BTreeMap::new(), Vec::new());
    for entry in shown {
        for block in &entry.item.content {
            match block {
                ContentBlock::ToolUse { id, .. } => {
                    open.insert(id.as_str(), entry.position);
                }
                ContentBlock::ToolResult { tool_use_id, .. } => {
                    let call = open.remove(tool_use_id.as_str());
                    pairs.extend(call.map(|call| (tool_use_id.as_str(), (call, entry.position))));
                }
                _ => {}
            }
        }
    }
    pairs
}

fn torn(pairs: &[(&str, (u64, u64))], range: Span) -> Option<TornPair> {
    let (call, (from, to)) =
        pairs.iter().find(|(_, (from, to))| range.contains(*from) != range.contains(*to))?;
    Some(TornPair { range, call: (*call).to_owned(), from: *from, to: *to })
}

/// From the first to the last of what is shown, what a summary stands for included.
fn range(shown: &[Entry]) -> Option<Span> {
    let first = shown.first().map(|entry| match entry.how {
        How::Summary { first, .. } => first,
        _ => entry.position,
    })?;
    Some(Span { first, last: shown.last()?.position })
}

fn json_bytes(item: &Item) -> u64 {
    serde_json::to_vec(item).expect("invariant: items hold only what JSON can hold").len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Author, ItemId, Offset, Timestamp};
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Map, Value};

    fn entry(position: u64, content: Vec<ContentBlock>) -> Entry {
        let id = ItemId::derive(&[&position.to_be_bytes()]);
        let mut item = Item::message(id, Author::agent("Mary"), Timestamp::default(), "");
        item.content = content;
        Entry::new(position, Offset(position), 0, How::Said, item.into())
    }

    fn call(id: u8) -> ContentBlock {
        ContentBlock::ToolUse {
            id: id.to_string(),
            name: "look".into(),
            input: Value::Null,
            extra: Map::new(),
        }
    }

    fn result(id: u8) -> ContentBlock {
        let (text, extra) = ("found".into(), Map::new());
        ContentBlock::ToolResult { tool_use_id: id.to_string(), text, is_error: false, extra }
    }

    #[test]
    fn each_limit_makes_a_thread_too_long() {
        let shown: Vec<Entry> =
            (1..=10).map(|n| entry(n, vec![ContentBlock::text("x".repeat(400))])).collect();
        let kept = CompactionPolicy::keeping(3);
        for (policy, due) in [
            (kept, false),
            (kept.entries(10), false),
            (kept.entries(9), true),
            (kept.bytes(10_000), false),
            (kept.bytes(4_000), true),
            (kept.tokens(5_000), false),
            (kept.tokens(500), true),
        ] {
            assert_eq!(policy.due(&shown), due.then_some(Span { first: 1, last: 7 }), "{policy:?}");
        }
        assert_eq!(CompactionPolicy::keeping(9).entries(1).due(&shown), None);
    }

    #[test]
    fn a_range_ends_before_a_call_whose_result_is_kept() {
        let mut shown: Vec<Entry> = (1..=6).map(|n| entry(n, vec![ContentBlock::text("x")])).collect();
        shown[3] = entry(4, vec![call(1)]);
        shown[4] = entry(5, vec![result(1)]);
        assert_eq!(CompactionPolicy::keeping(2).entries(1).due(&shown), Some(Span { first: 1, last: 3 }));
        let error = check_pairs(&shown, Span { first: 1, last: 4 }).unwrap_err();
        let told = "positions 1 to 4 tear the tool call `1` from its result: they stand at 4 and 5";
        assert_eq!(error.to_string(), told);
        assert_eq!(check_pairs(&shown, Span { first: 2, last: 5 }), Ok(()));
    }

    #[test]
    fn an_id_that_is_used_again_makes_a_pair_of_its_own() {
        let mut shown = Vec::new();
        for n in 0..4 {
            shown.push(entry(2 * n + 1, vec![call(0)]));
            shown.push(entry(2 * n + 2, vec![result(0)]));
        }
        assert_eq!(CompactionPolicy::keeping(3).entries(1).due(&shown), Some(Span { first: 1, last: 4 }));
        assert_eq!(check_pairs(&shown, Span { first: 3, last: 6 }), Ok(()));
    }

    #[test]
    fn a_summary_is_compacted_with_what_it_stands_for() {
        let mut shown: Vec<Entry> = (4..=8).map(|n| entry(n, vec![ContentBlock::text("x")])).collect();
        shown[0].how = How::Summary { first: 1, last: 4 };
        assert_eq!(CompactionPolicy::keeping(2).entries(1).due(&shown), Some(Span { first: 1, last: 6 }));
    }

    proptest! {
        #[test]
        fn what_is_due_never_tears_a_pair(
            blocks in vec(prop_oneof![(0..5u8).prop_map(call), (0..5u8).prop_map(result)], 0..20),
            keep in 0..6usize,
        ) {
            let shown: Vec<Entry> = (1..).zip(blocks).map(|(n, block)| entry(n, vec![block])).collect();
            if let Some(range) = CompactionPolicy::keeping(keep).entries(0).due(&shown) {
                prop_assert_eq!(check_pairs(&shown, range), Ok(()));
                prop_assert!(range.last <= (shown.len() - keep) as u64);
            }
        }
    }
}
