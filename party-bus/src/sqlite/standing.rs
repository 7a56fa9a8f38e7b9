//! Whether the file that a store was opened as is still where others look for it. SQLite goes on with a
//! file that has no name any more: what it writes there, nobody would ever read.

use super::identity::{self, Identity};
use crate::{Error, ErrorKind, Result};
use std::{io, path::Path, sync::Arc};

#[derive(Debug, Clone)]
pub(super) struct Standing {
    path: Arc<Path>,
    file: Identity,
}

impl Standing {
    /// Of the file that is at `path` now.
    pub(super) fn of(path: &Arc<Path>) -> Result<Self> {
        match identity::at(path, true) {
            Ok(file) => Ok(Self { path: Arc::clone(path), file }),
            Err(error) => {
                let why = format!("cannot look at {}", path.display());
                Err(Error::new(ErrorKind::Io, why).with_source(error))
            }
        }
    }

    /// Fails where the path leads to no file any more, or to another one.
    pub(super) fn check(&self) -> Result<()> {
        let what = match identity::at(&self.path, true) {
            Ok(file) if file != self.file => "was replaced by another file",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "was deleted",
            // Who may not look any more cannot tell.
            Ok(_) | Err(_) => return Ok(()),
        };
        let why = format!("{} {what} while it was open", self.path.display());
        Err(Error::new(ErrorKind::Replaced, why))
    }
}
