//! A folder for a server that tests start, which outlives neither the tests nor their death.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const SCRIPT: &str = include_str!("postgres/keeper.sh");

/// A new folder for its owner only. When it is dropped, and soon after its process ends, however it ends,
/// all processes that work in it are killed and it is removed.
#[derive(Debug)]
pub struct KeptFolder {
    path: PathBuf,
    keeper: Child,
}

impl KeptFolder {
    /// Makes a folder whose name begins with `prefix`.
    ///
    /// # Errors
    /// If there is no place for it, or no shell.
    pub fn new(prefix: &str) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir()?;
        // As processes see it whose working folder it is.
        let path = folder.path().canonicalize()?;
        let mut keeper = Command::new("sh");
        keeper.args(["-c", SCRIPT, "keeper", "keep"]).arg(&path).current_dir("/");
        keeper.env_clear().env("PATH", "/usr/bin:/bin");
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let keeper = keeper.spawn()?;
        let _ = folder.keep();
        Ok(Self { path, keeper })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for KeptFolder {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
