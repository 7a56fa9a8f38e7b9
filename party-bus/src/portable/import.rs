//! Reading.

use super::{Header, lines::Lines};
use crate::{Batch, Bus, Copied, CopyOptions, Result, copy::Copy};
use party_core::{BatchId, NewRecord, Offset, Record};
use tokio::io::AsyncBufRead;

pub(crate) async fn import<B: Bus + ?Sized, R: AsyncBufRead + Unpin + Send>(
    bus: &B,
    from: R,
    mut options: CopyOptions,
) -> Result<Copied> {
    let mut lines = Lines::new(from);
    let header = lines.header().await?;
    options.label = options.label.or_else(|| header.label.clone());
    let mut copy = Copy::start(bus, header.session, options).await?;
    let outcome = copy_lines(&mut lines, &header, &mut copy).await;
    copy.release().await;
    outcome
}

async fn copy_lines<B: Bus + ?Sized, R: AsyncBufRead + Unpin + Send>(
    lines: &mut Lines<R>,
    header: &Header,
    copy: &mut Copy<'_, B>,
) -> Result<Copied> {
    while let Some((record, bytes)) = lines.record(header).await? {
        check(&record).map_err(|why| lines.invalid(&why))?;
        copy.bring(record, bytes).await.map_err(|error| lines.at(error))?;
    }
    copy.finish().await.map_err(|error| lines.at(error))
}

/// The rules that need no store, so that the line that breaks one is named.
fn check(record: &Record) -> Result<(), String> {
    let id = BatchId::from_bytes([0; 16]);
    let mut batch = Batch::driver(record.session, id, Offset::START, 0, Vec::new());
    batch.author = record.author.clone();
    batch.check_record(&NewRecord::from(record))
}
