//! The same with a path.

use super::{lines::Lines, trouble};
use crate::{Bus, Copied, CopyOptions, Result};
use party_core::{Offset, SessionId};
use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncSeekExt as _, BufReader},
};

pub(crate) async fn export_file<B: Bus + ?Sized>(bus: &B, session: SessionId, to: &Path) -> Result<Offset> {
    let named = |error| trouble(&format!("write {}", to.display()), error);
    let (mut file, draft) = draft(to).await.map_err(named)?;
    let head = super::export(bus, session, &mut file).await.map_err(|error| error.within(to.display()))?;
    file.sync_all().await.map_err(named)?;
    draft.publish(to).await.map_err(named)?;
    Ok(head)
}

pub(crate) async fn import_file<B: Bus + ?Sized>(
    bus: &B,
    from: &Path,
    options: CopyOptions,
) -> Result<Copied> {
    let named = |error| trouble(&format!("read {}", from.display()), error);
    let mut file = BufReader::new(File::open(from).await.map_err(named)?);
    verify(&mut file).await.map_err(|error| error.within(from.display()))?;
    file.rewind().await.map_err(named)?;
    super::import(bus, file, options).await.map_err(|error| error.within(from.display()))
}

/// Reads all of it, so that nothing of a damaged file is written.
async fn verify(file: &mut BufReader<File>) -> Result<()> {
    let mut lines = Lines::new(file);
    let header = lines.header().await?;
    while lines.record(&header).await?.is_some() {}
    Ok(())
}

/// A file that is not there yet under its name; dropped, it is gone.
struct Draft(Option<PathBuf>);

async fn draft(to: &Path) -> io::Result<(File, Draft)> {
    static DRAFTS: AtomicU64 = AtomicU64::new(1);
    let name = to.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let path = to.with_file_name(format!(".{name}.{}-{number}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).await?;
    Ok((file, Draft(Some(path))))
}

impl Draft {
    async fn publish(mut self, to: &Path) -> io::Result<()> {
        if let Some(path) = &self.0 {
            fs::rename(path, to).await?;
        }
        self.0 = None;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new("."))).await?.sync_all().await
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // One call without data to wait for; whoever drops the export cannot wait for a task.
            let _ = std::fs::remove_file(path);
        }
    }
}
