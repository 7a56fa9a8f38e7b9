//! A durable, ordered, fenced log of records: the only transport and the only store of a party.
//!
//! Everything that happens in a session is a record on its log. [`Bus`] is the contract that a
//! backend implements, [`BusAdmin`] what its owner may ask of it; [`BusExt`] is what its users call.
//! Three backends live here: [`MemoryBus`]; with the feature `sqlite`, on by default, `SqliteBus`, a file
//! that several processes may open at once; with the feature `postgres`, `PostgresBus`, a schema on a
//! server that several machines share. The feature `front` serves a bus on a Unix socket, for processes
//! that are not Rust. The feature `conformance` brings the tests that every backend passes.
//!
//! # Contract
//! In the words of the cases of the conformance suite, which hold it for every backend:
//!
//! * **Atomic.** A batch is written whole or not at all ([`Batch`] names one session); topology that
//!   does not fit is refused with all of its batch.
//! * **Durable.** When [`Bus::append`] returns for a [`Durability::Synced`] batch, the batch and
//!   everything buffered before it survive `kill -9` and, as far as `fsync` tells the truth, a power
//!   cut. A buffered batch is visible at once, and durable with the next synced one. A store opened
//!   again shows the same in the same order.
//! * **Ordered.** Offsets are dense under many writers, from 1 in each session; a follower sees each
//!   record once, in order, whichever process wrote it. There is no order between sessions. Each thread
//!   has its own dense order, and a window shows what the ops of the log make of it.
//! * **Idempotent.** A repeated batch returns the first receipt; a batch id with other content is a
//!   conflict. So a retry after a lost answer is safe. The same holds of items.
//! * **Fenced.** Reports, decisions and traces are the driver's alone: a stale head is a conflict, a
//!   stale token is fenced. Inputs are anybody's, and are stamped with their author.
//! * **Rewound, where it must be.** A power cut may take what was buffered. Then the store's epoch is
//!   raised: a reader ahead of the head, or of another epoch, is told so, and never shown other
//!   records under offsets that it knows.
//! * **Cancel-safe.** A dropped append is done or not done, never half; its batch id tells which.
//! * **Nobody waits for a reader.** A slow follower keeps no writer waiting, and loses nothing.

mod admin;
mod batch;
#[cfg(feature = "conformance")]
pub mod conformance;
mod copy;
mod encoded;
mod error;
mod ext;
mod faulty;
mod fork;
#[cfg(feature = "front")]
pub mod front;
mod hooked;
mod lease;
mod memory;
mod portable;
#[cfg(feature = "postgres")]
mod postgres;
mod process;
mod query;
mod refusal;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tail;
mod traced;
mod verify;

pub use admin::{BusAdmin, Erase, Erased, Found, PRUNED, Problem, Prune, Pruned, Report, Scope, Search};
pub use async_trait::async_trait;
pub use batch::{Batch, Durability, Expect, Label, Receipt, Snapshot, Wake};
pub use copy::{Copied, CopyOptions};
pub use encoded::Encoded;
pub use error::{Error, ErrorKind, Result};
pub use ext::{BusAdminExt, BusExt, Follow, Tree};
pub use faulty::{Fault, FaultyBus};
pub use hooked::{Hook, HookedBus};
pub use lease::{Lease, LeaseOp, Owner, Tenure};
pub use memory::MemoryBus;
pub use party_core::{Layer, Side};
#[cfg(feature = "postgres")]
pub use postgres::{Channel, PostgresBus, PostgresOptions, Tls};
pub use query::{
    BusInfo, Capabilities, Changed, Classes, Page, Read, SessionInfo, SessionQuery, SharedPage, ThreadInfo,
    ThreadQuery, Watch, Window,
};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteBus;
pub use traced::TracedBus;
pub use verify::{verify, verify_session};

use party_core::{Entry, Item, ItemId, Record};
use std::{fmt::Debug, sync::Arc};

/// What a store of sessions does. Implementers: what has a default costs a wrapper that misses it speed, and
/// nothing else. Users: comforts live in [`BusExt`].
///
/// All methods are cancel-safe; dropping a future of [`append`](Self::append) or
/// [`lease`](Self::lease) leaves the write done or not done.
#[async_trait]
pub trait Bus: Debug + Send + Sync + 'static {
    /// What this store is and what it can do.
    fn info(&self) -> &BusInfo;

    /// Writes a batch: the only durable write.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where the driver's expected head is stale, [`ErrorKind::Fenced`]
    /// where its lease is gone, [`ErrorKind::BatchConflict`] and [`ErrorKind::ItemConflict`] for an
    /// id that is taken by other content, [`ErrorKind::Invalid`] for a batch that breaks a rule
    /// (classes, ops, authors, limits), [`ErrorKind::NotFound`] for an input to no session.
    async fn append(&self, batch: Batch) -> Result<Receipt>;

    /// Reads records in order.
    ///
    /// # Errors
    /// [`ErrorKind::Rewound`] where `after` is ahead of the head, or was learned in another epoch; a
    /// session that does not exist has no records.
    async fn read(&self, read: Read) -> Result<Page<Arc<Record>>>;

    /// The records that a [`read`](Self::read) would find, where they are in memory: one page for all
    /// followers that ask the same. `None` where the store must be asked, or has nothing behind
    /// [`Read::after`]; it never waits. A page may hold none where it has only looked at other classes.
    fn recent(&self, read: &Read) -> Option<SharedPage> {
        let _ = read;
        None
    }

    /// Waits until sessions have grown, and says which. A hint: it may return early, with none that did.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] once the bus is closed, and those of reading.
    async fn changed(&self, watch: Watch) -> Result<Changed>;

    /// Takes, keeps or gives up the right to drive a session. `None` where another holds it, or
    /// where the lease to renew or release is gone.
    async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>>;

    /// Lists sessions that have records.
    async fn sessions(&self, query: SessionQuery) -> Result<Page<SessionInfo>>;

    /// Lists threads of a session, oldest first; none for a session that does not exist.
    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>>;

    /// A window of a thread, oldest entry first; it costs the same at any length of the thread.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a thread that was never opened.
    async fn window(&self, window: Window) -> Result<Page<Entry>>;

    /// Items by id, in the order asked for.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] names the first id that the store does not have.
    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>>;

    /// Ends the store's work in this process, once what was accepted is written. Calls that come
    /// later fail with [`ErrorKind::Closed`].
    async fn close(&self) -> Result<()>;
}
