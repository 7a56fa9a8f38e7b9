//! The socket's file: whose it is, who may open it, and that one server has it.

use crate::{Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use std::{
    fs::{self, File, Permissions},
    io::{Error as IoError, ErrorKind as IoErrorKind},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixSocket},
    time::{Instant, sleep},
};

/// The system keeps so many bytes for a path, of which the last is a zero.
const LONGEST_PATH: usize = 107;
/// How long a server waits for another one that looks for its place in the same folder.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many clients may wait to be let in.
const BACKLOG: u32 = 128;

/// The file of a socket that this process has made. Dropped, it is removed, where it is still that one.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Drop for Place {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Takes `path`, where no server that lives has it, and listens.
pub(super) async fn take(path: &Path) -> Result<(UnixListener, Place)> {
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        let why = format!(
            "the path of a socket has at most {LONGEST_PATH} bytes, not {length}: {}",
            path.display()
        );
        return Err(Error::new(ErrorKind::Invalid, why));
    }
    let _alone = alone_in(path).await?;
    clear(path).await?;
    let failed = |error| trouble("make the socket", path, error);
    let socket = UnixSocket::new_stream().map_err(failed)?;
    // On Linux the file gets the mode that the socket has before it has a file, so there is no moment at
    // which others may connect. Elsewhere this does nothing; there the credential alone keeps them out.
    let _ = fchmod(&socket, Mode::RUSR | Mode::WUSR);
    socket.bind(path).map_err(failed)?;
    let place =
        Place { path: std::path::absolute(path).map_err(failed)?, file: identity(path).map_err(failed)? };
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok((socket.listen(BACKLOG).map_err(failed)?, place))
}

/// Keeps all others that do this out of the path's folder, until it is dropped: of two that find a file
/// which nobody serves, the slower one would take the faster one's away.
async fn alone_in(path: &Path) -> Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let open = File::open(folder).map_err(|error| match error.kind() {
        IoErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, format!("folder {} does not exist", folder.display()))
        }
        _ => trouble("open the folder", folder, error),
    })?;
    let begun = Instant::now();
    loop {
        match flock(&open, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(open),
            Err(error) if error != rustix::io::Errno::WOULDBLOCK => {
                return Err(trouble("lock the folder", folder, error.into()));
            }
            Err(_) if begun.elapsed() > PATIENCE => {
                let why = format!("another process keeps the folder {} locked", folder.display());
                return Err(Error::new(ErrorKind::Busy, why));
            }
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Removes the socket of a server that is dead.
async fn clear(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(trouble("look at", path, error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{} is there, and is no socket", path.display()),
            ));
        }
        Ok(_) => {}
    }
    let socket = UnixSocket::new_stream().map_err(|error| trouble("make a socket for", path, error))?;
    match socket.connect(path).await.map_err(|error| (error.kind(), error)) {
        Err((IoErrorKind::ConnectionRefused, _)) => {
            tracing::debug!(path = %path.display(), "removing the socket of a server that is dead");
            fs::remove_file(path).map_err(|error| trouble("remove the dead socket", path, error))
        }
        Err((IoErrorKind::NotFound, _)) => Ok(()),
        // A server whose clients wait at the door lives, too.
        Ok(_) | Err((IoErrorKind::WouldBlock, _)) => {
            Err(Error::new(ErrorKind::Busy, format!("another server listens on {}", path.display())))
        }
        Err((_, error)) => Err(trouble("see whether a server lives on", path, error)),
    }
}

fn identity(path: &Path) -> Result<(u64, u64), IoError> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

fn trouble(act: &str, path: &Path, error: IoError) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {act} {}", path.display())).with_source(error)
}
