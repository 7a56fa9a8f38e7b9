//! What was read already, so that a line that comes twice counts once.

use std::{
    collections::{HashSet, hash_map::DefaultHasher},
    hash::{BuildHasherDefault, Hash, Hasher as _},
};

/// How many ids a half of the memory holds. A repeated line comes close behind its original.
const HALF: usize = 4096;

/// What an id is the id of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Line,
    Call,
    Answer,
    Message,
    Task,
    Asked,
    Answered,
    Withdrawn,
}

type Hashes = HashSet<u64, BuildHasherDefault<DefaultHasher>>;

/// The latest ids, as hashes: their number and their size are bounded. The older half is forgotten
/// whenever the newer one is full.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    newer: Hashes,
    older: Hashes,
}

impl Seen {
    /// Whether it is new.
    pub(crate) fn insert(&mut self, kind: Kind, id: impl Hash) -> bool {
        let hash = hash(kind, id);
        if self.older.contains(&hash) || !self.newer.insert(hash) {
            return false;
        }
        if self.newer.len() == HALF {
            self.older = std::mem::take(&mut self.newer);
        }
        true
    }
}

pub(crate) fn hash(kind: Kind, id: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, id).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_new_once_and_the_memory_is_bounded() {
        let mut seen = Seen::default();
        for id in 0..10 * HALF {
            let id = id.to_string();
            assert!(seen.insert(Kind::Line, &id) && !seen.insert(Kind::Line, &id));
        }
        assert!(seen.newer.len() + seen.older.len() <= 2 * HALF);
        assert!(!seen.insert(Kind::Line, (9 * HALF + 1).to_string()), "the latest are remembered");
        assert!(seen.insert(Kind::Call, (9 * HALF + 1).to_string()), "an id is one of its kind");
    }
}
