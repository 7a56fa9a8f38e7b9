//! What the owner of a store in memory may ask of it.

use super::state::{State, paged};
use crate::{Erase, Erased, Found, PRUNED, Page, Prune, Pruned, Result, Search, encoded::items_of, refusal};
use party_core::{Item, ItemId, ItemKind, Offset, Record, RecordClass, SessionId};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// At most so many characters of a message that was found.
const LONGEST_EXCERPT: usize = 200;
/// So many of them come before the word that was found.
const BEFORE_THE_WORD: usize = 60;

impl State {
    /// Each item and record is looked for before the first one is changed.
    pub(super) fn erase(&mut self, erase: &Erase) -> Result<Erased> {
        for id in &erase.items {
            self.item(*id)?;
        }
        for (session, offset, _) in &erase.bodies {
            self.record(*session, *offset).ok_or_else(|| refusal::no_record(*session, *offset))?;
        }
        for (session, offset, body) in &erase.bodies {
            self.change_record(*session, *offset, |record| record.body = body.clone());
        }
        let erased: BTreeSet<ItemId> = erase.items.iter().copied().collect();
        for id in &erased {
            let tombstone = self.item(*id)?.erased();
            self.replace_item(Arc::new(tombstone));
        }
        let touched = |record: &Record| named_by(record).any(|id| erased.contains(&id));
        for (id, session) in &mut self.sessions {
            let has_body = erase.bodies.iter().any(|(other, ..)| other == id);
            if has_body || session.records.iter().any(|stored| touched(&stored.record)) {
                session.snapshot = None;
            }
        }
        Ok(Erased { items: erase.items.len() as u64, bodies: erase.bodies.len() as u64 })
    }

    fn record(&self, session: SessionId, offset: Offset) -> Option<&Arc<Record>> {
        let index = usize::try_from(offset.0.checked_sub(1)?).ok()?;
        Some(&self.sessions.get(&session)?.records.get(index)?.record)
    }

    fn change_record(&mut self, session: SessionId, offset: Offset, change: impl FnOnce(&mut Record)) {
        let index = offset.0.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let session = self.sessions.get_mut(&session);
        if let Some(stored) = session.zip(index).and_then(|(session, index)| session.records.get_mut(index)) {
            change(Arc::make_mut(&mut stored.record));
            stored.bytes = stored.weigh(&self.items);
        }
    }

    /// Puts `item` into the place of the one with its id, also where a record brought it.
    fn replace_item(&mut self, item: Arc<Item>) {
        self.put_item(&item);
        for stored in self.sessions.values_mut().flat_map(|session| &mut session.records) {
            if stored.record.items.iter().any(|other| other.id == item.id) {
                let items = &mut Arc::make_mut(&mut stored.record).items;
                items.iter_mut().filter(|other| other.id == item.id).for_each(|other| *other = item.clone());
                stored.bytes = stored.weigh(&self.items);
            }
        }
    }

    pub(super) fn prune(&mut self, prune: &Prune, now: i64) -> Result<Pruned> {
        let asked = match prune {
            Prune::Trace { session, .. } => std::slice::from_ref(session),
            Prune::Sessions(sessions) => sessions,
        };
        let driven = |id: &&SessionId| {
            self.sessions.get(*id).is_some_and(|session| session.tenure.driver(now).is_some())
        };
        if let Some(id) = asked.iter().find(driven) {
            return Err(refusal::driven(*id));
        }
        Ok(match prune {
            Prune::Trace { session, up_to } => self.prune_trace(*session, *up_to),
            Prune::Sessions(sessions) => self.prune_sessions(sessions),
        })
    }

    fn prune_trace(&mut self, session: SessionId, up_to: Offset) -> Pruned {
        let records = self.sessions.get(&session).map_or(&[][..], |session| &session.records);
        let records = records.iter().map(|stored| &stored.record).take_while(|record| record.offset <= up_to);
        let says = |record: &&Arc<Record>| record.class == RecordClass::Trace && record.kind != PRUNED;
        let emptied: Vec<Offset> = records.filter(says).map(|record| record.offset).collect();
        for offset in &emptied {
            self.change_record(session, *offset, |record| {
                record.kind = PRUNED.to_owned();
                record.body = empty();
            });
        }
        Pruned { records: emptied.len() as u64, items: 0 }
    }

    /// Tokens of leases never go back, so what is known of them stays.
    fn prune_sessions(&mut self, sessions: &[SessionId]) -> Pruned {
        let mut records = 0;
        for id in sessions {
            if let Some(session) = self.sessions.get_mut(id) {
                records += session.records.len() as u64;
                session.tenure = std::mem::take(session).tenure;
            }
        }
        let left = self.sessions.values().flat_map(|session| &session.records);
        let named: BTreeSet<ItemId> = left.flat_map(|stored| named_by(&stored.record)).collect();
        let before = self.items.len();
        self.items.retain(|id, _| named.contains(id));
        Pruned { records, items: (before - self.items.len()) as u64 }
    }

    pub(super) fn search(&self, search: &Search) -> Result<Page<Found>> {
        let wanted: BTreeSet<String> = words(&search.text).map(|(_, word)| word).collect();
        if wanted.is_empty() {
            return Err(refusal::no_word(&search.text));
        }
        // By the batch and the record that brought each item first.
        let mut brought: BTreeMap<ItemId, (u64, SessionId, Offset)> = BTreeMap::new();
        for (id, session) in &self.sessions {
            for stored in &session.records {
                for item in &stored.record.items {
                    let this = (stored.mark, *id, stored.record.offset);
                    let first = brought.entry(item.id).or_insert(this);
                    *first = this.min(*first);
                }
            }
        }
        let mut found: Vec<_> = brought.into_iter().map(|(item, place)| (place, item)).collect();
        found.sort_unstable();
        let found = found.into_iter().rev().filter_map(|((_, session, offset), id)| {
            let item = &self.items.get(&id)?.item;
            let excerpt = excerpt(item, &wanted)?;
            let asked = search.session.is_none_or(|only| only == session);
            asked.then_some(Found { session, offset, item: id, excerpt })
        });
        Ok(paged(found.collect(), search.skip, search.limit))
    }
}

/// The items that a record brings or refers to.
fn named_by(record: &Record) -> impl Iterator<Item = ItemId> {
    let brought = record.items.iter().map(|item| item.id);
    brought.chain(record.ops.iter().flat_map(items_of).copied())
}

fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("invariant: an empty object is JSON")
}

/// The words of a text in lower case, each with where it begins.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, String)> {
    let begins = text.char_indices().scan(false, |within, (at, char)| {
        let begins = char.is_alphanumeric() && !*within;
        *within = char.is_alphanumeric();
        Some(begins.then_some(at))
    });
    begins.flatten().map(|at| {
        let word = text[at..].chars().take_while(|char| char.is_alphanumeric());
        (at, word.flat_map(char::to_lowercase).collect())
    })
}

/// A piece of a message around the first of the words, where it holds all of them.
pub(crate) fn excerpt(item: &Item, wanted: &BTreeSet<String>) -> Option<String> {
    if item.kind != ItemKind::Message {
        return None;
    }
    let text = item.text();
    let held: Vec<(usize, String)> = words(&text).filter(|(_, word)| wanted.contains(word)).collect();
    let distinct: BTreeSet<&str> = held.iter().map(|(_, word)| word.as_str()).collect();
    let (first, _) = held.first().filter(|_| distinct.len() == wanted.len())?;
    let before = text[..*first].chars().count();
    Some(text.chars().skip(before.saturating_sub(BEFORE_THE_WORD)).take(LONGEST_EXCERPT).collect())
}
