//! Who may call, and what.

use party_harness::{ToolPort, ToolSpec, TurnKey};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// A secret's hash. Secrets are looked up by it, so the time that a lookup takes tells about the
/// hash at most, which opens nothing; and no secret is kept here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }
}

/// What one secret opens.
pub(super) struct Grant {
    pub(super) key: TurnKey,
    pub(super) tools: Vec<ToolSpec>,
    pub(super) port: Arc<dyn ToolPort>,
    unnamed: AtomicU64,
}

impl Grant {
    pub(super) fn new(key: TurnKey, tools: Vec<ToolSpec>, port: Arc<dyn ToolPort>) -> Self {
        Self { key, tools, port, unnamed: AtomicU64::new(0) }
    }

    /// An id for a call that came without one, new for every request. The JSON-RPC id would not do:
    /// a client that connects anew counts from 0 again, and its second call would be taken for a
    /// repetition of the first. The price is that a request sent twice is two calls.
    pub(super) fn fresh_id(&self) -> String {
        format!("mcp-{}", self.unnamed.fetch_add(1, Ordering::Relaxed))
    }
}

/// All secrets that are good now. A request is looked up when it comes, and again when its body is
/// there, so a revocation between the two counts.
#[derive(Default)]
pub(super) struct Admissions(Mutex<BTreeMap<Fingerprint, Arc<Grant>>>);

impl Admissions {
    pub(super) fn add(&self, fingerprint: Fingerprint, grant: Grant) {
        self.lock().insert(fingerprint, Arc::new(grant));
    }

    pub(super) fn get(&self, fingerprint: Fingerprint) -> Option<Arc<Grant>> {
        self.lock().get(&fingerprint).cloned()
    }

    pub(super) fn remove(&self, fingerprint: Fingerprint) {
        // The port may be dropped with the grant: not under the lock.
        let removed = self.lock().remove(&fingerprint);
        drop(removed);
    }

    pub(super) fn clear(&self) {
        let removed = std::mem::take(&mut *self.lock());
        drop(removed);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Fingerprint, Arc<Grant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
