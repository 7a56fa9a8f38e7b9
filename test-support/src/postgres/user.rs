//! As whom PostgreSQL runs, which refuses root.

use std::{ffi::OsStr, io, os::unix, path::Path, process::Command};

use super::server::output;

/// The user and its group, where it is not oneself.
#[derive(Clone, Copy, Debug)]
pub(super) struct User(Option<(u32, u32)>);

impl User {
    /// Oneself; the first that there is of `postgres` and `nobody` where one is root.
    pub(super) fn find() -> io::Result<Self> {
        if id(&["-u"])? != 0 {
            return Ok(Self(None));
        }
        let name = if id(&["-u", "postgres"]).is_ok() { "postgres" } else { "nobody" };
        Ok(Self(Some((id(&["-u", name])?, id(&["-g", name])?))))
    }

    /// A program that runs as the user, with nothing of the environment.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self.0 {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={user}"), format!("--regid={group}")]);
                command.args(["--clear-groups", "--"]).arg(program);
                command
            }
        };
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
        command
    }

    /// Makes the user the owner of a folder of oneself.
    pub(super) fn give(&self, folder: &Path) -> io::Result<()> {
        match self.0 {
            None => Ok(()),
            Some((user, group)) => unix::fs::chown(folder, Some(user), Some(group)),
        }
    }
}

fn id(arguments: &[&str]) -> io::Result<u32> {
    let text = output(Command::new("id").args(arguments))?;
    text.trim().parse().map_err(|_| io::Error::other(format!("id: not a number: {}", text.trim())))
}
