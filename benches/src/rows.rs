//! A batch as the columns that it becomes, ready before any clock runs.

use party_bus::{Batch, Expect};
use party_core::{How, NewRecord, Op};

/// A batch as a program that knows nothing but SQL would hold it.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) session: [u8; 16],
    pub(crate) id: [u8; 16],
    /// The token that its writer holds, and the head that it expects.
    pub(crate) token: i64,
    pub(crate) head: i64,
    pub(crate) rows: Vec<RecordRow>,
}

#[derive(Debug)]
pub(crate) struct RecordRow {
    pub(crate) class: i64,
    pub(crate) kind: String,
    pub(crate) at: i64,
    pub(crate) turn: Option<i64>,
    /// The ops as JSON, for the batch's hash.
    pub(crate) ops: Option<String>,
    pub(crate) body: String,
    pub(crate) new_items: Vec<([u8; 16], String)>,
    pub(crate) opened: Vec<([u8; 16], String)>,
    pub(crate) added: Vec<AddedRow>,
}

/// Entries to come: an item that is said in some threads, or delivered to them.
#[derive(Debug)]
pub(crate) struct AddedRow {
    pub(crate) threads: Vec<[u8; 16]>,
    pub(crate) item: [u8; 16],
    pub(crate) way: Way,
}

/// How an item comes into a thread.
#[derive(Debug)]
pub(crate) enum Way {
    Said,
    /// From that thread, or from outside.
    Delivered(Option<[u8; 16]>),
}

impl Prepared {
    /// The columns of a driver's batch.
    pub fn new(batch: &Batch) -> Self {
        let Expect::Driver { head, fencing_token } = batch.expect else { panic!("a driver's batch") };
        Self {
            session: *batch.session.as_bytes(),
            id: *batch.id.as_bytes(),
            token: fencing_token.cast_signed(),
            head: head.0.cast_signed(),
            rows: batch.records.iter().map(RecordRow::new).collect(),
        }
    }
}

impl RecordRow {
    fn new(record: &NewRecord) -> Self {
        let opened = record.ops.iter().filter_map(|op| match op {
            Op::Open { thread, kind } => Some((*thread.as_bytes(), json(kind).trim_matches('"').to_owned())),
            _ => None,
        });
        let added = record.ops.iter().filter_map(|op| match op {
            Op::Add { threads, item, how } => {
                let threads = threads.iter().map(|thread| *thread.as_bytes()).collect();
                let way = match how {
                    How::Said => Way::Said,
                    How::Delivered { from } => Way::Delivered(from.map(|from| *from.as_bytes())),
                    other => panic!("no bench adds so: {other:?}"),
                };
                Some(AddedRow { threads, item: *item.as_bytes(), way })
            }
            _ => None,
        });
        Self {
            class: record.class as i64,
            kind: record.kind.clone(),
            at: record.at.as_micros(),
            turn: record.turn.map(|turn| turn.0.0.cast_signed()),
            ops: (!record.ops.is_empty()).then(|| json(&record.ops)),
            body: record.body.get().to_owned(),
            new_items: record.items.iter().map(|item| (*item.id.as_bytes(), json(&**item))).collect(),
            opened: opened.collect(),
            added: added.collect(),
        }
    }

    /// The texts that make the row what it is, for the batch's hash.
    pub(crate) fn content(&self) -> impl Iterator<Item = &str> {
        let texts = [self.kind.as_str(), self.body.as_str(), self.ops.as_deref().unwrap_or_default()];
        texts.into_iter().chain(self.new_items.iter().map(|(_, text)| text.as_str()))
    }
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("a part of a record is JSON")
}
