//! Carrying out what a client asks for, in the name of whoever it is.

use super::request::{Request, classes, command};
use crate::{
    Batch, Bus, Error, ErrorKind, Label, Page, Read, Result, SessionInfo, SessionQuery, ThreadInfo,
    ThreadQuery, Wake, Window, process, refusal,
};
use party_core::{
    Author, BatchId, Commanded, Entry, Item, ItemId, MessagePosted, NewRecord, Offset, Origin, Record,
    SessionId, ThreadId, ThreadKind, ThreadState, Timestamp, WIRE_VERSION,
};
use serde::Serialize;
use std::sync::Arc;
use uuid::Uuid;

/// So many entries of a page where a request does not say.
const USUAL: u32 = 100;
/// At most so many entries of a page, or items.
const MOST: u32 = 1_000;
/// At most so many bytes in the name that a client gives its message.
const LONGEST_NAME: usize = 256;
/// A page of records stops once it makes so many bytes, so that a client that reads slowly costs little.
pub(super) const PAGE_BYTES: u64 = 256 << 10;

/// What came of a request.
#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(super) enum Answer {
    Pong { v: u16, backend: &'static str, store: String, epoch: u64, author: Author },
    Written(Written),
    Following { epoch: u64 },
    Done {},
    Records { records: Vec<Arc<Record>>, scanned_to: u64, more: bool },
    Sessions { sessions: Vec<Session>, scanned_to: u64, more: bool },
    Threads { threads: Vec<Thread>, scanned_to: u64, more: bool },
    Entries { entries: Vec<Entry>, scanned_to: u64, more: bool },
    Items { items: Vec<Arc<Item>> },
}

#[derive(Debug, Serialize)]
pub(super) struct Written {
    first: Offset,
    last: Offset,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<ItemId>,
    repeated: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session {
    session: SessionId,
    head: Offset,
    opened_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<Label>,
    wake: Wake,
    partial: bool,
}

impl From<SessionInfo> for Session {
    fn from(info: SessionInfo) -> Self {
        let SessionInfo { session, head, opened_at, driver, label, wake, partial, snapshot: _ } = info;
        Self { session, head, opened_at, driver: driver.map(|owner| owner.to_string()), label, wake, partial }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Thread {
    thread: ThreadId,
    kind: ThreadKind,
    state: ThreadState,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    head: u64,
}

impl From<ThreadInfo> for Thread {
    fn from(ThreadInfo { thread, kind, state, origin, head }: ThreadInfo) -> Self {
        Self { thread, kind, state, origin, head }
    }
}

/// One client's hold on the bus: it writes inputs under one name, and reads.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) author: Author,
}

impl Desk {
    /// Carries out all but following, which is the connection's business.
    pub(super) async fn carry_out(&self, request: Request) -> Result<Answer> {
        match request {
            Request::Post { session, text, answers, message_id } => {
                self.post(session, text, answers, message_id.as_deref()).await
            }
            Request::Command { session, command: given } => {
                let record = NewRecord::new(process::now(), &Commanded { command: command(&given)? }.into());
                self.write(session, BatchId::from_uuid(Uuid::now_v7()), record, None).await
            }
            Request::Read { session, after, classes: named, epoch, limit } => {
                self.exists(session).await?;
                let mut read = read(session, after, epoch).classes(classes(named)).limit(page(limit)?);
                read.max_bytes = 4 * PAGE_BYTES;
                let Page { entries, scanned_to, more } = self.bus.read(read).await?;
                Ok(Answer::Records { records: entries, scanned_to, more })
            }
            Request::Sessions { session, kind, parent, due, skip, limit } => {
                let query = SessionQuery { session, kind, parent, due, skip, limit: page(limit)? };
                let Page { entries, scanned_to, more } = self.bus.sessions(query).await?;
                Ok(Answer::Sessions {
                    sessions: entries.into_iter().map(Session::from).collect(),
                    scanned_to,
                    more,
                })
            }
            Request::Threads { session, thread, parent, kind, skip, limit } => {
                self.exists(session).await?;
                let query = ThreadQuery { session, thread, parent, kind, skip, limit: page(limit)? };
                let Page { entries, scanned_to, more } = self.bus.threads(query).await?;
                Ok(Answer::Threads {
                    threads: entries.into_iter().map(Thread::from).collect(),
                    scanned_to,
                    more,
                })
            }
            Request::Window { session, thread, before, after, archive, limit } => {
                let limit = page(limit)?;
                let window = match (before, after) {
                    (None, None) => Window::last(session, thread, limit),
                    (Some(position), None) => Window::before(session, thread, position, limit),
                    (None, Some(position)) => Window::after(session, thread, position, limit),
                    (Some(_), Some(_)) => {
                        return Err(invalid("a window looks before or after a position, not both"));
                    }
                };
                let window = if archive { window.archive() } else { window };
                let Page { entries, scanned_to, more } = self.bus.window(window).await?;
                Ok(Answer::Entries { entries, scanned_to, more })
            }
            Request::Items { items } if items.len() > MOST as usize => {
                Err(invalid(format!("more than {MOST} items are asked for")))
            }
            Request::Items { items } => Ok(Answer::Items { items: self.bus.items(&items).await? }),
            Request::Ping {} | Request::Follow { .. } | Request::Unfollow { .. } => Ok(self.pong()),
        }
    }

    fn pong(&self) -> Answer {
        let info = self.bus.info();
        Answer::Pong {
            v: WIRE_VERSION,
            backend: info.backend,
            store: info.store.clone(),
            epoch: info.epoch,
            author: self.author.clone(),
        }
    }

    /// A session that nobody wrote to is more likely a slip of the pen than one to wait for.
    pub(super) async fn exists(&self, session: SessionId) -> Result<()> {
        let found = self.bus.sessions(SessionQuery::one(session)).await?;
        if found.entries.is_empty() { Err(refusal::no_session(session)) } else { Ok(()) }
    }

    /// The same name of the same person for the same session names the same message. A batch that is
    /// written again has to be the same to the microsecond, so the time of the first is taken.
    async fn post(
        &self,
        session: SessionId,
        text: String,
        answers: Option<ItemId>,
        name: Option<&str>,
    ) -> Result<Answer> {
        if text.trim().is_empty() {
            return Err(invalid("the message is empty"));
        }
        if let Some(answered) = answers {
            self.bus.items(&[answered]).await?;
        }
        let id = self.message_id(session, name)?;
        let mut first_at = if name.is_some() { self.made_at(id).await? } else { None };
        loop {
            let at = first_at.unwrap_or_else(process::now);
            let item = Item::message(id, self.author.clone(), at, text.clone());
            let item = answers.into_iter().fold(item, Item::answering);
            let record = NewRecord::new(at, &MessagePosted { item: id }.into()).with_item(item);
            let written = self.write(session, BatchId::from_uuid(id.uuid()), record, Some(id)).await;
            match written {
                // Another connection may have written it just before, at another time.
                Err(error) if first_at.is_none() && is_taken(&error) => {
                    first_at = Some(self.made_at(id).await?.ok_or(error)?);
                }
                written => return written,
            }
        }
    }

    fn message_id(&self, session: SessionId, name: Option<&str>) -> Result<ItemId> {
        let Some(name) = name else { return Ok(ItemId::from_uuid(Uuid::now_v7())) };
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(invalid(format!("a messageId has 1 to {LONGEST_NAME} bytes")));
        }
        let author = crate::encoded::json(&self.author);
        Ok(ItemId::derive(&[b"message", session.as_bytes(), author.as_bytes(), name.as_bytes()]))
    }

    async fn made_at(&self, id: ItemId) -> Result<Option<Timestamp>> {
        match self.bus.items(&[id]).await {
            Ok(found) => Ok(found.first().map(|item| item.created_at)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write(
        &self,
        session: SessionId,
        batch: BatchId,
        record: NewRecord,
        item: Option<ItemId>,
    ) -> Result<Answer> {
        let batch = Batch::input(session, batch, self.author.clone(), vec![record]);
        let receipt = self.bus.append(batch).await?;
        let (first, last, repeated) = (receipt.first, receipt.last, receipt.repeated);
        Ok(Answer::Written(Written { first, last, item, repeated }))
    }
}

/// Asks for small pages of a session's records.
pub(super) fn read(session: SessionId, after: u64, epoch: Option<u64>) -> Read {
    Read { max_bytes: PAGE_BYTES, epoch, ..Read::new(session, Offset(after)) }
}

fn page(limit: Option<u32>) -> Result<u32> {
    match limit.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(limit),
        limit => Err(invalid(format!("a limit is 1 to {MOST}, not {limit}"))),
    }
}

fn is_taken(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::BatchConflict | ErrorKind::ItemConflict)
}

fn invalid(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, why)
}
