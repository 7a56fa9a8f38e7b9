//! Where parties are stored.

use crate::BadInput;
use party_bus::SqliteBus;
use std::{
    env, fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// The store in the user's data folder.
///
/// # Errors
/// Where the system names no such folder.
pub fn default_store() -> Result<PathBuf, BadInput> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = if cfg!(target_os = "macos") {
        named("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        named("XDG_DATA_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| named("HOME").map(|home| home.join(".local/share")))
    };
    let data = data.ok_or_else(|| BadInput::new("no data folder: set HOME, or give --store PATH"))?;
    Ok(data.join("party").join("party.db"))
}

/// Opens the store, and makes it where there is none; the default one with its folder.
///
/// # Errors
/// What is wrong with the path.
pub async fn open_store(path: &Path) -> Result<SqliteBus, BadInput> {
    if default_store().is_ok_and(|default| default == path)
        && let Some(folder) = path.parent()
    {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| BadInput::new(format!("cannot make the folder {}: {error}", folder.display())))?;
    }
    SqliteBus::open(path).await.map_err(|error| BadInput::from_error(&error))
}

/// Opens a store that is there.
///
/// # Errors
/// What is wrong with the path.
pub async fn open_existing(path: &Path) -> Result<SqliteBus, BadInput> {
    SqliteBus::open_existing(path).await.map_err(|error| BadInput::from_error(&error))
}
