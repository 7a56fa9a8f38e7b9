//! Writing.

use super::{End, FORMAT, Header, Line, VERSION, hex, trouble};
use crate::{
    Bus, Read, Result, SessionQuery,
    encoded::{items_of, json},
    refusal,
};
use party_core::{ItemId, Offset, Record, SessionId};
use sha2::{Digest as _, Sha256};
use std::{collections::HashSet, sync::Arc};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// Lines are written once they make so many bytes.
const BUFFER: usize = 256 << 10;

pub(crate) async fn export<B: Bus + ?Sized, W: AsyncWrite + Unpin + Send>(
    bus: &B,
    session: SessionId,
    to: W,
) -> Result<Offset> {
    let page = bus.sessions(SessionQuery::one(session)).await?;
    let info = page.entries.into_iter().next().ok_or_else(|| refusal::no_session(session))?;
    if info.partial {
        return Err(refusal::partial(session));
    }
    let mut out = Out { to, buffer: Vec::new(), hash: Sha256::new() };
    let head = info.head;
    out.line(&Header { format: FORMAT.into(), version: VERSION, session, head, label: info.label }).await?;
    let mut read = Read::new(session, Offset::START).in_epoch(bus.info().epoch);
    let mut brought = HashSet::new();
    while read.after < head {
        let page = bus.read(read.clone()).await?;
        for record in page.entries.iter().take_while(|record| record.offset <= head) {
            read.after = record.offset;
            out.line(&Line::Record(&*whole(bus, record, &mut brought).await?)).await?;
        }
        if page.entries.is_empty() {
            // Somebody pruned it meanwhile.
            return Err(refusal::rewound(session, head, read.after));
        }
    }
    out.end(head.0).await?;
    Ok(head)
}

/// The record, with the items that it refers to and that the session has not brought so far: another
/// store may not have them.
async fn whole<B: Bus + ?Sized>(
    bus: &B,
    record: &Arc<Record>,
    brought: &mut HashSet<ItemId>,
) -> Result<Arc<Record>> {
    brought.extend(record.items.iter().map(|item| item.id));
    let named = record.ops.iter().flat_map(items_of);
    let missing: Vec<ItemId> = named.copied().filter(|id| brought.insert(*id)).collect();
    if missing.is_empty() {
        return Ok(Arc::clone(record));
    }
    let mut record = Record::clone(record);
    record.items.extend(bus.items(&missing).await?);
    Ok(Arc::new(record))
}

struct Out<W> {
    to: W,
    buffer: Vec<u8>,
    hash: Sha256,
}

impl<W: AsyncWrite + Unpin> Out<W> {
    async fn line(&mut self, line: &impl serde::Serialize) -> Result<()> {
        self.buffer.extend_from_slice(json(line).as_bytes());
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<()> {
        self.hash.update(&self.buffer);
        let written = self.to.write_all(&self.buffer).await;
        self.buffer.clear();
        written.map_err(|error| trouble("write the session", error))
    }

    async fn end(mut self, records: u64) -> Result<()> {
        self.write().await?;
        let sha256 = hex(&self.hash.clone().finalize());
        self.line(&Line::<Record>::End(End { records, sha256 })).await?;
        self.write().await?;
        self.to.flush().await.map_err(|error| trouble("write the session", error))
    }
}
