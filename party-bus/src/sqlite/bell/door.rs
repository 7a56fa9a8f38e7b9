//! The file beside a store that every commit writes to, without a sync. It holds who was last.

use crate::sqlite::identity::{self, Identity};
use rustix::fs::OFlags;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Tells the bells of one store from each other.
pub(super) type Mark = [u8; 8];

#[derive(Debug)]
pub(super) struct Door {
    pub(super) file: File,
    identity: Identity,
}

impl Door {
    /// Opens the file at `path`; makes it where there is none, for its owner only. What is no bell,
    /// or is longer than one, is somebody else's and refused.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // A link might lead to any file of the user's, and a FIFO would wait for its other end.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let file = options.open(path)?;
        let about = file.metadata()?;
        if !about.is_file() || about.len() > size_of::<Mark>() as u64 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "this is no bell"));
        }
        Ok(Self { file, identity: identity::of(&about) })
    }

    /// Whether it is still the one that others find at `path`.
    pub(super) fn stands_at(&self, path: &Path) -> bool {
        identity::at(path, false).is_ok_and(|identity| identity == self.identity)
    }

    /// Whether the last ring was of `mark`.
    pub(super) fn was_rung_by(&self, mark: Mark) -> bool {
        let mut last = Mark::default();
        self.file.read_exact_at(&mut last, 0).is_ok() && last == mark
    }

    pub(super) fn ring(&self, mark: Mark) -> io::Result<()> {
        self.file.write_all_at(&mark, 0)
    }
}
