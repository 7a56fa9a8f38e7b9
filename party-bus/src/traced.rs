//! A bus that tells `tracing` what is asked of it.

use crate::{
    Batch, Bus, BusAdmin, BusInfo, Changed, Erase, Erased, Found, Lease, LeaseOp, Page, Prune, Pruned, Read,
    Receipt, Report, Result, Scope, Search, SessionInfo, SessionQuery, SharedPage, ThreadInfo, ThreadQuery,
    Watch, Window, async_trait,
};
use party_core::{Entry, Item, ItemId, Record};
use std::{future::Future, path::Path, sync::Arc, time::Instant};
use tracing::{Instrument as _, Span, debug_span, trace_span};

/// A bus that passes everything on to another, each call in a span that ends with an event of its
/// outcome: `micros`, and the `error`'s kind where it failed, then as a warning.
///
/// Writes, leases and care are spans of level DEBUG, reading is TRACE. Spans have ids, numbers and kinds;
/// never a text that somebody said, an error's text or what is searched for.
#[derive(Debug)]
pub struct TracedBus<B: ?Sized = dyn Bus> {
    inner: Arc<B>,
}

impl<B: ?Sized> TracedBus<B> {
    /// Wraps `inner`.
    pub const fn new(inner: Arc<B>) -> Self {
        Self { inner }
    }
}

/// What `call` gives, in `span`.
async fn told<T>(span: Span, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let timed = async {
        let begun = Instant::now();
        let outcome = call.await;
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        match &outcome {
            Ok(_) => tracing::trace!(micros, "done"),
            Err(error) => tracing::warn!(micros, error = ?error.kind(), "failed"),
        }
        outcome
    };
    timed.instrument(span).await
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Bus + ?Sized> Bus for TracedBus<B> {
    fn info(&self) -> &BusInfo {
        self.inner.info()
    }

    async fn append(&self, batch: Batch) -> Result<Receipt> {
        let (session, id, records) = (batch.session, batch.id, batch.records.len());
        let durability = batch.durability;
        let span = debug_span!("bus.append", %session, batch = %id, records, ?durability);
        told(span, self.inner.append(batch)).await
    }

    async fn read(&self, read: Read) -> Result<Page<Arc<Record>>> {
        let span = trace_span!("bus.read", session = %read.session, after = read.after.0, limit = read.limit);
        told(span, self.inner.read(read)).await
    }

    fn recent(&self, read: &Read) -> Option<SharedPage> {
        self.inner.recent(read)
    }

    async fn changed(&self, watch: Watch) -> Result<Changed> {
        told(trace_span!("bus.changed", ?watch), self.inner.changed(watch)).await
    }

    async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>> {
        let kind = match &op {
            LeaseOp::Acquire { .. } => "acquire",
            LeaseOp::Renew { .. } => "renew",
            LeaseOp::Release { .. } => "release",
        };
        told(debug_span!("bus.lease", session = %op.session(), kind), self.inner.lease(op)).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Page<SessionInfo>> {
        let span = trace_span!("bus.sessions", due = query.due, skip = query.skip, limit = query.limit);
        told(span, self.inner.sessions(query)).await
    }

    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>> {
        told(trace_span!("bus.threads", session = %query.session), self.inner.threads(query)).await
    }

    async fn window(&self, window: Window) -> Result<Page<Entry>> {
        let Window { session, thread, limit, .. } = window;
        told(trace_span!("bus.window", %session, %thread, limit), self.inner.window(window)).await
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
        told(trace_span!("bus.items", count = ids.len()), self.inner.items(ids)).await
    }

    async fn close(&self) -> Result<()> {
        told(debug_span!("bus.close"), self.inner.close()).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: BusAdmin + ?Sized> BusAdmin for TracedBus<B> {
    async fn verify(&self, scope: Scope) -> Result<Report> {
        told(debug_span!("bus.verify", ?scope), self.inner.verify(scope)).await
    }

    async fn backup(&self, to: &Path) -> Result<()> {
        told(debug_span!("bus.backup", to = %to.display()), self.inner.backup(to)).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned> {
        let span = match &prune {
            Prune::Trace { session, up_to } => debug_span!("bus.prune", %session, up_to = up_to.0),
            Prune::Sessions(sessions) => debug_span!("bus.prune", sessions = sessions.len()),
        };
        told(span, self.inner.prune(prune)).await
    }

    async fn erase(&self, erase: Erase) -> Result<Erased> {
        let span = debug_span!("bus.erase", items = erase.items.len(), bodies = erase.bodies.len());
        told(span, self.inner.erase(erase)).await
    }

    async fn search(&self, search: Search) -> Result<Page<Found>> {
        let span = debug_span!("bus.search", skip = search.skip, limit = search.limit);
        told(span, self.inner.search(search)).await
    }
}
