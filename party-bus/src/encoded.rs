//! What every store checks of a batch before it looks at what it holds, and what it writes.

use crate::{Batch, Error, ErrorKind, Expect, Result, Wake};
use party_core::{Author, ContentBlock, Item, ItemId, NewRecord, Offset, Op, Place, RecordClass};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// At most so many records in a batch.
const MOST_RECORDS: usize = 65_536;
/// At most so many bytes of bodies, items and ops in a batch.
const MOST_BYTES: usize = 256 << 20;
/// At most so many bytes in a name that storage keeps: a kind, a key.
const LONGEST_NAME: usize = 256;

/// The parts of a batch as texts, made once: stores write them, and its hash is that of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encoded {
    /// The first half of the SHA-256 of what the batch writes; its expectation, wake and snapshot aside.
    pub hash: [u8; 16],
    /// The items of each record as JSON.
    pub items: Vec<Vec<String>>,
    /// The ops of each record as JSON; `None` where there are none.
    pub ops: Vec<Option<String>>,
    /// How many bytes bodies, items and ops make.
    pub bytes: usize,
}

impl Batch {
    /// Checks what needs no store, the same rules for every backend, and gives the texts to write.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] says which record breaks which rule.
    pub fn encode(&self) -> Result<Encoded> {
        let invalid = |why| Error::new(ErrorKind::Invalid, format!("batch {}: {why}", self.id));
        self.check_whole().map_err(invalid)?;
        for (index, record) in self.records.iter().enumerate() {
            self.check_record(record).map_err(|why| invalid(format!("record {index} {why}")))?;
        }
        let encoded = Encoded::new(self);
        let items = self.records.iter().flat_map(|record| &record.items).zip(encoded.items.iter().flatten());
        if let Some((item, _)) = items.filter(|(item, _)| is_odd(item)).find(|(_, text)| !is_readable(text)) {
            return Err(invalid(format!(
                "item {} could not be read back: too deep, or a field twice",
                item.id
            )));
        }
        if encoded.bytes > MOST_BYTES {
            return Err(invalid(format!("makes {} bytes, more than {MOST_BYTES}", encoded.bytes)));
        }
        Ok(encoded)
    }

    fn check_whole(&self) -> Result<(), String> {
        let is_input = self.expect == Expect::Input;
        let begins = matches!(self.expect, Expect::Driver { head: Offset::START, .. });
        let named = self.label.iter().flat_map(|label| [&label.kind, &label.key]);
        let broken = [
            (self.records.is_empty(), "holds no records"),
            (self.records.len() > MOST_RECORDS, "holds more than 65536 records"),
            (is_input && self.snapshot.is_some(), "brings a snapshot, which only a driver makes"),
            (is_input && self.wake != Some(Wake::Now), "brings an input, which wakes its session now"),
            (is_input && self.partial, "brings a part of a copy, which only a driver makes"),
            (self.label.is_some() && !begins, "names a session that is there already"),
            (
                named.clone().any(|name| name.is_empty() || name.len() > LONGEST_NAME),
                "has a label that is empty or too long",
            ),
        ];
        broken.into_iter().find(|(is_broken, _)| *is_broken).map_or(Ok(()), |(_, why)| Err(why.to_owned()))
    }

    /// What is checked of a record that the batch is to hold; why it does not hold it.
    pub(crate) fn check_record(&self, record: &NewRecord) -> Result<(), String> {
        let is_input = record.class == RecordClass::Input;
        if !is_input && self.expect == Expect::Input {
            return Err(format!("is a {}, which only a driver writes", record.class));
        }
        let pairs: usize = record.ops.iter().map(pairs).sum();
        let foreign = |item: &Item| Some(&item.author) != self.author.as_ref();
        let broken = [
            (
                record.kind.is_empty() || record.kind.len() > LONGEST_NAME,
                "has a kind that is empty or too long",
            ),
            (is_input && !record.ops.is_empty(), "is an input and changes topology"),
            (is_input && self.author.is_none(), "is an input without an author"),
            (
                is_input && !matches!(self.author, Some(Author::Human { .. })),
                "is an input, and its author is not a person",
            ),
            (is_input && record.items.iter().any(|item| foreign(item)), "brings an item of another author"),
            (
                record.ops.iter().any(|op| matches!(op, Op::Add { threads, .. } if threads.is_empty())),
                "adds an item to no thread",
            ),
            (
                record
                    .ops
                    .iter()
                    .filter_map(opened_kind)
                    .any(|kind| kind.is_empty() || kind.len() > LONGEST_NAME),
                "opens a thread of a kind that is empty or too long",
            ),
            (pairs > Place::MOST_PAIRS as usize, "makes more than a million entries"),
        ];
        broken.into_iter().find(|(is_broken, _)| *is_broken).map_or(Ok(()), |(_, why)| Err(why.to_owned()))
    }
}

/// How many (op, thread) pairs an op makes.
const fn pairs(op: &Op) -> usize {
    match op {
        Op::Add { threads, .. } => threads.len(),
        Op::Resolve { items, .. } => items.len(),
        _ => 1,
    }
}

/// The items that an op refers to.
pub(crate) fn items_of(op: &Op) -> &[ItemId] {
    match op {
        Op::Add { item, .. } | Op::Compact { item, .. } => std::slice::from_ref(item),
        Op::Resolve { items, .. } => items,
        _ => &[],
    }
}

fn opened_kind(op: &Op) -> Option<String> {
    match op {
        Op::Open { kind, .. } | Op::Branch { kind, .. } => Some(kind.to_string()),
        _ => None,
    }
}

/// Whether an item holds what may be written and not be read: JSON of others, fields of newer writers.
fn is_odd(item: &Item) -> bool {
    let is_odd = |block: &ContentBlock| match block {
        ContentBlock::Text { extra, .. }
        | ContentBlock::Thinking { extra, .. }
        | ContentBlock::ToolResult { extra, .. }
        | ContentBlock::Resource { extra, .. }
        | ContentBlock::Erased { extra, .. } => !extra.is_empty(),
        _ => true,
    };
    !item.extra.is_empty() || matches!(item.author, Author::Unknown(_)) || item.content.iter().any(is_odd)
}

/// Whether an item can be read, also from within a line of an export.
fn is_readable(text: &str) -> bool {
    serde_json::from_str::<[[[[Item; 1]; 1]; 1]; 1]>(&format!("[[[[{text}]]]]")).is_ok()
}

impl Encoded {
    fn new(batch: &Batch) -> Self {
        let texts = |record: &NewRecord| record.items.iter().map(|item| json(&**item)).collect();
        let items: Vec<Vec<String>> = batch.records.iter().map(texts).collect();
        let ops: Vec<_> =
            batch.records.iter().map(|record| (!record.ops.is_empty()).then(|| json(&record.ops))).collect();
        let bodies = batch.records.iter().map(|record| record.body.get().len());
        let bytes = bodies
            .chain(items.iter().flatten().map(String::len))
            .chain(ops.iter().flatten().map(String::len))
            .sum();
        Self { hash: hash(batch, &items, &ops), items, ops, bytes }
    }
}

fn hash(batch: &Batch, items: &[Vec<String>], ops: &[Option<String>]) -> [u8; 16] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(json(&(&batch.author, &batch.label, batch.partial)).as_bytes());
    for ((record, items), ops) in batch.records.iter().zip(items).zip(ops) {
        part(json(&(record.v, record.class, &record.kind, record.at, record.turn, items.len())).as_bytes());
        items.iter().for_each(|item| part(item.as_bytes()));
        part(ops.as_deref().unwrap_or_default().as_bytes());
        part(record.body.get().as_bytes());
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("invariant: records hold only what JSON can hold")
}
