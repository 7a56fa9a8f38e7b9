//! The folder of a cluster, and the process that outlives its owner to remove it.

use std::{
    fs::Permissions,
    io,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{server::output, user::User};

const SCRIPT: &str = include_str!("keeper.sh");

/// A folder, and its keeper.
#[derive(Debug)]
pub(super) struct Keeper {
    folder: PathBuf,
    process: Child,
}

impl Keeper {
    pub(super) fn start(user: &User) -> io::Result<Self> {
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("party-postgres-").permissions(private).tempdir()?;
        user.give(folder.path())?;
        // As processes see it whose working folder it is.
        let path = folder.path().canonicalize()?;
        let mut command = script("keep", &path);
        // In a group of its own, or whoever interrupts the owner from a terminal would interrupt it too.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let process = command.spawn()?;
        let _ = folder.keep();
        Ok(Self { folder: path, process })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills all processes that work in the folder, and waits until none does.
    pub(super) fn kill_all(&self) -> io::Result<()> {
        output(&mut script("kill", &self.folder)).map(drop)
    }
}

impl Drop for Keeper {
    /// Has all killed and removed, and waits for it.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn script(task: &str, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "keeper", task]).arg(folder).current_dir("/");
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command
}
