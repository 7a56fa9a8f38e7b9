//! The files: one for each batch of a session, and one for its lease. Each is written beside its place,
//! synced, and put there.

use party_bus::{Error, ErrorKind, Label, Result, Snapshot, Tenure, Wake};
use party_core::{BatchId, Record, SessionId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, TryLockError},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A batch as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) id: BatchId,
    pub(crate) hash: [u8; 16],
    pub(crate) records: Vec<Arc<Record>>,
    /// Engine, offset and state.
    pub(crate) snapshot: Option<(String, party_core::Offset, Vec<u8>)>,
    pub(crate) wake: Option<Wake>,
    pub(crate) label: Option<Label>,
    pub(crate) partial: bool,
}

impl Written {
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let (engine, offset, state) = self.snapshot.clone()?;
        Some(Snapshot { engine, offset, state })
    }
}

/// A folder that this process holds.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    /// Free again once it is dropped.
    _lock: File,
}

fn io(what: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.display().to_string();
    move |error| Error::new(ErrorKind::Io, format!("{what} cannot be used")).with_source(error)
}

impl Files {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(io(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::Busy, format!("{} is open already", folder.display())))
            }
            Err(TryLockError::Error(error)) => Err(io(&path)(error)),
        }
    }

    /// The name of the store, made once.
    pub(crate) fn name(&self) -> Result<String> {
        let path = self.folder.join("name");
        if !path.exists() {
            self.put(&path, &SessionId::derive(&[self.folder.as_os_str().as_encoded_bytes()]))?;
        }
        get::<SessionId>(&path).map(|name| name.to_string())
    }

    /// The sessions, each with its lease and its batches in order.
    pub(crate) fn sessions(&self) -> Result<Vec<(SessionId, Tenure, Vec<Written>)>> {
        let mut sessions = Vec::new();
        for folder in list(&self.folder)?.into_iter().filter(|path| path.is_dir()) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let session = serde_json::from_value(name.into()).map_err(corrupt(&folder))?;
            let mut batches = list(&folder)?;
            batches.retain(|path| path.extension().is_some_and(|ending| ending == "batch"));
            let batches = batches.iter().map(|path| get(path)).collect::<Result<_>>()?;
            sessions.push((session, get(&folder.join("lease"))?, batches));
        }
        Ok(sessions)
    }

    pub(crate) fn put_lease(&self, session: SessionId, tenure: &Tenure) -> Result<()> {
        let folder = self.folder.join(session.to_string());
        fs::create_dir_all(&folder).map_err(io(&folder))?;
        self.put(&folder.join("lease"), tenure)
    }

    pub(crate) fn put_batch(&self, session: SessionId, written: &Written) -> Result<()> {
        let first = written.records.first().map_or(0, |record| record.offset.0);
        self.put(&self.folder.join(session.to_string()).join(format!("{first:020}.batch")), written)
    }

    fn put<T: Serialize>(&self, path: &Path, value: &T) -> Result<()> {
        let beside = self.folder.join("unfinished");
        let text = serde_json::to_vec(value).map_err(corrupt(path))?;
        let mut file = File::create(&beside).map_err(io(&beside))?;
        file.write_all(&text).and_then(|()| file.sync_data()).map_err(io(&beside))?;
        fs::rename(&beside, path).map_err(io(path))?;
        let folder = path.parent().unwrap_or(path);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(folder))
    }
}

fn corrupt(path: &Path) -> impl FnOnce(serde_json::Error) -> Error {
    let path = path.display().to_string();
    move |error| Error::new(ErrorKind::Corrupt, format!("{path} cannot be read")).with_source(error)
}

fn get<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(io(path))?;
    serde_json::from_slice(&text).map_err(corrupt(path))
}

/// What a folder holds, by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(io(folder))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(io(folder))?;
    paths.sort();
    Ok(paths)
}
