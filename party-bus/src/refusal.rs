//! Why a call is refused: one wording for every backend.

use crate::{Error, ErrorKind};
use party_core::{BatchId, ItemId, Offset, SessionId, ThreadId, TopologyError};

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the bus is closed")
}

pub(crate) fn batch_conflict(id: BatchId) -> Error {
    Error::new(ErrorKind::BatchConflict, format!("batch {id} was written before with other content"))
}

pub(crate) fn item_conflict(id: ItemId) -> Error {
    Error::new(ErrorKind::ItemConflict, format!("item {id} exists with other content"))
}

pub(crate) fn no_session(id: SessionId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no session {id}"))
}

pub(crate) fn no_thread(id: ThreadId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no thread {id}"))
}

pub(crate) fn no_item(id: ItemId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no item {id}"))
}

pub(crate) fn no_record(session: SessionId, offset: Offset) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no record {offset} in session {session}"))
}

pub(crate) fn no_word(text: &str) -> Error {
    let text: String = text.chars().take(100).collect();
    Error::new(ErrorKind::Invalid, format!("a search for {text:?} holds no word"))
}

pub(crate) fn driven(session: SessionId) -> Error {
    Error::new(ErrorKind::Conflict, format!("session {session} is driven by somebody"))
}

pub(crate) fn unsupported(why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, why)
}

pub(crate) fn fenced(session: SessionId, token: u64) -> Error {
    Error::new(ErrorKind::Fenced, format!("lease {token} of session {session} is gone"))
}

pub(crate) fn stale_head(session: SessionId, expected: Offset, head: Offset) -> Error {
    Error::new(ErrorKind::Conflict, format!("session {session} is at {head}, not at {expected}"))
}

pub(crate) fn rewound(session: SessionId, after: Offset, head: Offset) -> Error {
    Error::new(ErrorKind::Rewound, format!("session {session} ends at {head}, before {after}"))
}

pub(crate) fn topology(session: SessionId, error: TopologyError) -> Error {
    Error::new(ErrorKind::Invalid, format!("session {session}: {error}"))
}

pub(crate) fn partial(session: SessionId) -> Error {
    Error::new(ErrorKind::Invalid, format!("session {session} is a copy that is not complete"))
}

pub(crate) fn add_of_unknown_item(id: ItemId) -> Error {
    Error::new(ErrorKind::Invalid, format!("item {id} is added to a thread, but the store does not have it"))
}

pub(crate) fn other_epoch(session: SessionId, learned: u64, now: u64) -> Error {
    let why =
        format!("a place in session {session} was learned in epoch {learned}, and the store is in {now}");
    Error::new(ErrorKind::Rewound, why)
}
