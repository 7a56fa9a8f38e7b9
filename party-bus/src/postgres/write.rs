//! A batch on its way to the writer.

use crate::{Batch, Encoded, Error, ErrorKind, Receipt, Result};
use party_core::Op;

/// A batch that needs no more checks but those against the store.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) batch: Batch,
    pub(super) encoded: Encoded,
    /// What an earlier try of this call was about to commit when the connection broke.
    pub(super) tried: Option<Receipt>,
}

impl Write {
    pub(super) fn new(batch: Batch) -> Result<Self> {
        let encoded = batch.encode()?;
        let label = batch.label.iter().flat_map(|label| [&label.kind, &label.key]);
        let engine = batch.snapshot.iter().map(|snapshot| &snapshot.engine);
        let kinds = batch.records.iter().map(|record| &record.kind);
        let threads = batch.records.iter().flat_map(|record| &record.ops).filter_map(|op| match op {
            Op::Open { kind, .. } | Op::Branch { kind, .. } => Some(kind.to_string()),
            _ => None,
        });
        if label.chain(engine).chain(kinds).any(|name| name.contains('\0'))
            || threads.into_iter().any(|kind| kind.contains('\0'))
        {
            let why = format!("batch {}: has a name with a NUL, which PostgreSQL cannot store", batch.id);
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        Ok(Self { batch, encoded, tried: None })
    }
}
