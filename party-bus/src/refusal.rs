//! Why a call is refused: one wording for every backend.

use crate::{Error, ErrorKind};
use party_core::{BatchId, ItemId, Offset, SessionId, ThreadId};

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

pub(crate) fn fenced(session: SessionId, token: u64) -> Error {
    Error::new(ErrorKind::Fenced, format!("lease {token} of session {session} is gone"))
}

pub(crate) fn stale_head(session: SessionId, expected: Offset, head: Offset) -> Error {
    Error::new(ErrorKind::Conflict, format!("session {session} is at {head}, not at {expected}"))
}

pub(crate) fn rewound(session: SessionId, after: Offset, head: Offset) -> Error {
    Error::new(ErrorKind::Rewound, format!("session {session} ends at {head}, before {after}"))
}

pub(crate) fn thread_exists(id: ThreadId) -> Error {
    Error::new(ErrorKind::Invalid, format!("thread {id} is open already"))
}

pub(crate) fn add_to_unknown_thread(id: ThreadId) -> Error {
    Error::new(
        ErrorKind::Invalid,
        format!("an item is added to thread {id}, which the session does not have"),
    )
}

pub(crate) fn add_of_unknown_item(id: ItemId) -> Error {
    Error::new(ErrorKind::Invalid, format!("item {id} is added to a thread, but the store does not have it"))
}
