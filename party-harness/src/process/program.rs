//! Which file a program is, and why it cannot be started.

use crate::{Environment, Error, ErrorKind};
use rustix::fs::{Access, access};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Where a name is looked up without a `PATH`, as the C library does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The file that a process with this `PATH` and working folder would execute.
///
/// # Errors
/// What `execvp` would say: not found, or permission denied where only such files were found.
pub(super) fn find(program: &Path, path: Option<&str>, cwd: &Path) -> io::Result<PathBuf> {
    let cwd = std::path::absolute(cwd)?;
    if program.components().count() != 1 || program.is_absolute() {
        let program = cwd.join(program);
        return executable(&program).map(|()| program);
    }
    let mut denied = None;
    for folder in path.unwrap_or(DEFAULT_PATH).split(':') {
        let candidate = cwd.join(folder).join(program);
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = Some(error),
            Err(_) => {}
        }
    }
    Err(denied.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

fn executable(path: &Path) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(access(path, Access::EXEC_OK)?)
}

/// What a program is asked in what it is: what the host set, or else where programs and their settings
/// lie. Nothing more of this process's environment, which may hold credentials.
pub(crate) fn probe_env(set: Option<&Environment>) -> Environment {
    let own = || {
        let named = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        ["PATH", "HOME"].into_iter().filter_map(named).collect()
    };
    set.cloned().unwrap_or_else(own)
}

/// Why a program could not be started.
pub(crate) fn refused(program: &Path, install: &str, error: io::Error) -> Error {
    let program = program.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::new(ErrorKind::Missing, format!("`{program}` was not found: {install}"))
        }
        io::ErrorKind::PermissionDenied => {
            Error::new(ErrorKind::Launch, format!("`{program}` is not executable")).with_source(error)
        }
        io::ErrorKind::ArgumentListTooLong => {
            Error::new(ErrorKind::Invalid, "the launch's arguments are too long").with_source(error)
        }
        _ => Error::new(ErrorKind::Launch, format!("`{program}` cannot be started: {error}"))
            .with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn a_name_is_found_as_the_process_would_find_it() {
        let root = tempfile::tempdir().unwrap();
        for (folder, mode) in [("plain", 0o644), ("good", 0o755), ("later", 0o755)] {
            fs::create_dir(root.path().join(folder)).unwrap();
            let file = root.path().join(folder).join("tool");
            fs::write(&file, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir_all(root.path().join("folder/tool")).unwrap();
        let found = |path: &str| find(Path::new("tool"), Some(path), root.path());
        let good = root.path().join("good/tool");
        assert_eq!(found("none:folder:plain:good:later").unwrap(), good, "relative to the working folder");
        assert_eq!(found("none:plain").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(found("none").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(find(Path::new("sh"), None, root.path()).is_ok(), "without PATH in the system's own folders");
        let local = find(Path::new("tool"), Some("x::y"), &root.path().join("good")).unwrap();
        assert_eq!(fs::canonicalize(local).unwrap(), fs::canonicalize(&good).unwrap(), "an empty entry");
        assert_eq!(find(Path::new("good/tool"), None, root.path()).unwrap(), good);
        assert_eq!(
            find(Path::new("/nowhere/x"), None, root.path()).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
