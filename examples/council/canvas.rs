//! The file for the transcript: whether it can be written, before anything is.

use party_examples::BadInput;
use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// Checks that a canvas can be written to `file`, and leaves all as it is.
pub(crate) fn check(file: &Path, store: &Path) -> Result<(), BadInput> {
    let refuse = |why: &str| Err(BadInput::new(format!("--canvas {}: {why}", file.display())));
    if file.as_os_str().is_empty() {
        return Err(BadInput::new("--canvas: the path is empty"));
    }
    if located(file) == located(store) {
        return refuse("that is the store");
    }
    let opened = match fs::metadata(file) {
        Ok(found) if found.is_dir() => return refuse("is a folder"),
        Ok(found) if found.is_file() => OpenOptions::new().write(true).open(file).map(drop),
        // A pipe or a device: opening it may wait for a reader, or tell one that we are gone.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return check_new(file),
        Err(error) => Err(error),
    };
    opened.or_else(|error| refuse(&error.to_string()))
}

/// Only making a file shows whether it can be made.
fn check_new(file: &Path) -> Result<(), BadInput> {
    let refuse = |why: String| BadInput::new(format!("--canvas {}: {why}", file.display()));
    let folder = folder(file);
    if !folder.is_dir() {
        return Err(refuse(format!("there is no folder {}", folder.display())));
    }
    let made = OpenOptions::new().write(true).create_new(true).open(file);
    made.and_then(|_| fs::remove_file(file)).map_err(|error| refuse(error.to_string()))
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where a file is, or would be, by whatever way it is named.
fn located(file: &Path) -> Option<PathBuf> {
    fs::canonicalize(file).ok().or_else(|| Some(fs::canonicalize(folder(file)).ok()?.join(file.file_name()?)))
}
