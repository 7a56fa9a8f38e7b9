//! The driver's end of a session's log: speculative steps, committed as one batch each.

use crate::{
    Error, ErrorKind, Result,
    driver::Status,
    patience::{Hold, Patience},
};
use party_bus::{
    Batch, Bus, BusExt, Classes, ErrorKind as BusErrorKind, Label, Read, SessionQuery, Snapshot, Wake,
};
use party_core::{
    Author, BatchId, Command, Commanded, Item, ItemId, MessagePosted, NewRecord, Offset, SessionId, Timestamp,
};
use party_formats::{ENGINE_BUILD, Engine};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A snapshot is written with the first step this many records after the last one.
const SNAPSHOT_EVERY: u64 = 256;

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) engine: Engine,
    author: Author,
    fencing_token: u64,
    snapshot_at: Offset,
    hold: Option<Hold>,
}

impl Log {
    pub(crate) fn new(bus: Arc<dyn Bus>, engine: Engine, author: Author, fencing_token: u64) -> Self {
        let snapshot_at = engine.head();
        Self { bus, engine, author, fencing_token, snapshot_at, hold: None }
    }

    /// From now on, what the store does not take is held until it does, or until `drain`.
    pub(crate) fn hold(&mut self, drain: CancellationToken, status: watch::Sender<Status>) {
        self.hold = Some(Hold::new(drain, status));
    }

    pub(crate) const fn session(&self) -> SessionId {
        self.engine.session()
    }

    pub(crate) const fn fencing_token(&self) -> u64 {
        self.fencing_token
    }

    /// Applies `records`, decides to the fixpoint, and writes all of it as one synced batch. Where
    /// an input came in between, the step is dropped and made again. Returns whether anything was
    /// written.
    pub(crate) async fn commit(&mut self, records: Vec<NewRecord>) -> Result<bool> {
        loop {
            let settled = self.engine.settle(records.clone(), now());
            if settled.records.is_empty() {
                return Ok(false);
            }
            let snapshot = self.snapshot_due(&settled.engine);
            let covered = snapshot.as_ref().map_or(self.snapshot_at, |snapshot| snapshot.offset);
            let wake = wake(&settled.engine);
            let batch = self.batch(settled.records).with_snapshot(snapshot).waking(wake);
            if self.write(batch).await? {
                self.engine = settled.engine;
                self.snapshot_at = covered;
                return Ok(true);
            }
            self.catch_up().await?;
        }
    }

    /// Writes a record that may be lost with a crash, without a sync.
    pub(crate) async fn note(&mut self, record: NewRecord) -> Result<()> {
        loop {
            if self.write(self.batch(vec![record.clone()]).buffered()).await? {
                let offset = self.engine.head().plus(1);
                self.engine.apply(&record.placed(self.session(), offset, None));
                return Ok(());
            }
            self.catch_up().await?;
        }
    }

    /// Applies what others wrote since.
    pub(crate) async fn catch_up(&mut self) -> Result<()> {
        let mut patience = Patience::new(self.hold.as_ref());
        let records = loop {
            match self.bus.read_to_end(self.session(), self.engine.head(), Classes::ALL).await {
                Ok(records) => break records,
                Err(error) => patience.wait(error).await?,
            }
        };
        records.iter().for_each(|record| self.engine.apply(record));
        Ok(())
    }

    fn batch(&self, records: Vec<NewRecord>) -> Batch {
        let id = BatchId::from_uuid(Uuid::now_v7());
        let batch = Batch::driver(self.session(), id, self.engine.head(), self.fencing_token, records);
        match self.engine.head() {
            Offset::START => batch.by(self.author.clone()).labelled(label(self.session())),
            _ => batch.by(self.author.clone()),
        }
    }

    /// `false` where the head has moved. The batch id makes a retry after a lost answer safe.
    async fn write(&self, batch: Batch) -> Result<bool> {
        let mut patience = Patience::new(self.hold.as_ref());
        loop {
            match self.bus.append(batch.clone()).await {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == BusErrorKind::Conflict => return Ok(false),
                Err(error) => patience.wait(error).await?,
            }
        }
    }

    fn snapshot_due(&self, engine: &Engine) -> Option<Snapshot> {
        if engine.head().0.saturating_sub(self.snapshot_at.0) < SNAPSHOT_EVERY {
            return None;
        }
        let state = serde_json::to_vec(engine).ok()?;
        Some(Snapshot { engine: ENGINE_BUILD.to_owned(), offset: engine.head(), state })
    }
}

/// A session whose driver dies while there is something to do is due at once.
fn wake(engine: &Engine) -> Wake {
    let at_rest = engine.closed().is_some() || engine.is_quiescent();
    if at_rest { Wake::Idle } else { Wake::Now }
}

fn label(session: SessionId) -> Label {
    Label { kind: "party".into(), key: session.to_string(), parent: None }
}

/// The state of a session: its snapshot, where this build of the engine made one, and the records
/// behind it.
pub(crate) async fn fold(bus: &dyn Bus, session: SessionId) -> Result<Engine> {
    let page = bus.sessions(SessionQuery::one(session)).await?;
    let Some(info) = page.entries.into_iter().next() else {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no session {session} in the store")));
    };
    if info.partial {
        let context = format!("session {session} is a copy that is not complete: import or fork it again");
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    let usable =
        info.snapshot.filter(|snapshot| snapshot.engine == ENGINE_BUILD && snapshot.offset <= info.head);
    let cached = usable.and_then(|snapshot| serde_json::from_slice::<Engine>(&snapshot.state).ok());
    let mut engine =
        cached.filter(|engine| engine.session() == session).unwrap_or_else(|| Engine::new(session));
    let mut read = Read::new(session, engine.head()).classes(Classes::FOLDED);
    loop {
        let page = bus.read(read.clone()).await?;
        page.entries.iter().for_each(|record| engine.apply(record));
        if !page.more {
            break;
        }
        read.after = Offset(page.scanned_to);
    }
    if let Some(why) = engine.unsupported() {
        let context = format!("session {session} was written by a newer version: {why}");
        return Err(Error::new(ErrorKind::NewerVersion, context));
    }
    Ok(engine)
}

/// A message as an input record.
pub(crate) fn message(author: &Author, text: &str) -> NewRecord {
    let at = now();
    let item = Item::message(fresh_item(), author.clone(), at, text);
    NewRecord::new(at, &MessagePosted { item: item.id }.into()).with_item(item)
}

/// A command as an input record.
pub(crate) fn command(command: Command) -> NewRecord {
    NewRecord::new(now(), &Commanded { command }.into())
}

pub(crate) fn fresh_item() -> ItemId {
    ItemId::from_uuid(Uuid::now_v7())
}

/// The driver's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
