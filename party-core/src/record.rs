//! Records: events with their place in a session's log.

use crate::{Author, Event, Item, Offset, Op, SessionId, Timestamp, TurnId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{fmt, sync::Arc};

/// The version that this crate writes into each record.
pub const WIRE_VERSION: u16 = 1;

/// A record's body that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The tag is known, the fields do not fit it.
    #[error("a `{kind}` record does not fit: {why}")]
    Misfit {
        /// The record's tag.
        kind: String,
        /// What does not fit.
        why: String,
    },
}

/// Who may write a record, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "storage must handle every class: a forgotten arm must not compile"
)]
pub enum RecordClass {
    /// Anyone may append it; it is only filed until a decision acts on it.
    Input,
    /// The driver says what came of a decision.
    Report,
    /// The driver says what follows.
    Decision,
    /// The driver keeps what a turn streamed; it may be lost with an attempt that is lost.
    Trace,
}

impl fmt::Display for RecordClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Report => "report",
            Self::Decision => "decision",
            Self::Trace => "trace",
        })
    }
}

/// A record to be written: envelope and body, without a place yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NewRecord {
    /// The wire version of its writer.
    #[serde(default = "this_version")]
    pub v: u16,
    /// Who may write it.
    pub class: RecordClass,
    /// The event's tag.
    pub kind: String,
    /// When it was made. Engine time is the latest of these among the driver's records.
    pub at: Timestamp,
    /// The turn that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
    /// Items that it brings into the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Arc<Item>>,
    /// What it does to threads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<Op>,
    /// The event's fields.
    pub body: Box<RawValue>,
}

impl NewRecord {
    /// A record of `event` that brings no items and touches no thread.
    pub fn new(at: Timestamp, event: &Event) -> Self {
        Self {
            v: WIRE_VERSION,
            class: event.class(),
            kind: event.kind().to_owned(),
            at,
            turn: None,
            items: Vec::new(),
            ops: Vec::new(),
            body: event.encode(),
        }
    }

    /// The same record, belonging to `turn`.
    #[must_use]
    pub const fn in_turn(mut self, turn: TurnId) -> Self {
        self.turn = Some(turn);
        self
    }

    /// The same record with an item.
    #[must_use]
    pub fn with_item(mut self, item: impl Into<Arc<Item>>) -> Self {
        self.items.push(item.into());
        self
    }

    /// The same record with a change of topology.
    #[must_use]
    pub fn with_op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// The record as it stands at `offset` of `session`. `author` is the writer's credential; only
    /// an input keeps it.
    #[must_use]
    pub fn placed(self, session: SessionId, offset: Offset, author: Option<&Author>) -> Record {
        let Self { v, class, kind, at, turn, items, ops, body } = self;
        let author = author.filter(|_| class == RecordClass::Input).cloned();
        Record { v, session, offset, class, kind, author, at, turn, items, ops, body }
    }
}

const fn this_version() -> u16 {
    WIRE_VERSION
}

/// A record without its place, such as for a copy of it elsewhere.
impl From<&Record> for NewRecord {
    fn from(record: &Record) -> Self {
        let Record { v, class, kind, at, turn, items, ops, body, .. } = record.clone();
        Self { v, class, kind, at, turn, items, ops, body }
    }
}

/// An event with its place in the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::exhaustive_structs,
    reason = "storage backends of other crates build records from their rows"
)]
pub struct Record {
    /// The wire version of its writer.
    pub v: u16,
    /// The session.
    pub session: SessionId,
    /// Its place; dense from 1.
    pub offset: Offset,
    /// Who wrote it.
    pub class: RecordClass,
    /// The event's tag.
    pub kind: String,
    /// Who wrote an input, stamped by storage from the writer's credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Author>,
    /// When it was made.
    pub at: Timestamp,
    /// The turn that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
    /// Items that it brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Arc<Item>>,
    /// What it did to threads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<Op>,
    /// The event's fields, byte for byte as they were written.
    pub body: Box<RawValue>,
}

impl Record {
    /// Reads the event. An unknown kind is no error; a known one that does not fit is.
    pub fn event(&self) -> Result<Event, WireError> {
        Event::decode(&self.kind, &self.body)
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let envelope =
            |record: &Self| (record.v, record.session, record.offset, record.class, record.at, record.turn);
        let content = |record: &Self| {
            (&record.kind, &record.author, &record.items, &record.ops)
                == (&other.kind, &other.author, &other.items, &other.ops)
        };
        envelope(self) == envelope(other) && content(self) && self.body.get() == other.body.get()
    }
}
