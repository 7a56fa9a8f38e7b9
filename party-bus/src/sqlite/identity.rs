//! Which file is at a path.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

/// Tells a file from every other one: its device, and its number there.
pub(super) type Identity = (u64, u64);

/// That of an open file, or of what `Metadata` tells of.
pub(super) fn of(about: &Metadata) -> Identity {
    (about.dev(), about.ino())
}

/// That of the file at `path`; of a link itself, unless it `follows` links.
///
/// Its times are not asked for. Since Linux 6.13 the next write to a file whose times were looked at gets an
/// exact time, and then so does the next write to any other file, as none may seem older: with it each sync of
/// the log would have to bring the log's times to the disk as well, which makes it a third slower.
#[cfg(target_os = "linux")]
pub(super) fn at(path: &Path, follows: bool) -> io::Result<Identity> {
    use rustix::{
        fs::{AtFlags, CWD, StatxFlags, makedev, statx},
        io::Errno,
    };
    let flags = if follows { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    match statx(CWD, path, flags, StatxFlags::INO) {
        Ok(about) => Ok((makedev(about.stx_dev_major, about.stx_dev_minor), about.stx_ino)),
        Err(Errno::NOSYS) => by_metadata(path, follows),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn at(path: &Path, follows: bool) -> io::Result<Identity> {
    by_metadata(path, follows)
}

fn by_metadata(path: &Path, follows: bool) -> io::Result<Identity> {
    let about = if follows { fs::metadata(path) } else { fs::symlink_metadata(path) };
    about.map(|about| of(&about))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_told_alike_however_it_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "a").unwrap();
        symlink(&file, &link).unwrap();
        let known = of(&fs::metadata(&file).unwrap());
        assert_eq!(at(&file, true).unwrap(), known);
        assert_eq!(at(&file, false).unwrap(), known);
        assert_eq!(at(&link, true).unwrap(), known);
        assert_eq!(at(&link, false).unwrap(), of(&fs::symlink_metadata(&link).unwrap()));
        assert_eq!(by_metadata(&link, true).unwrap(), known);
        let missing = at(&folder.path().join("none"), true).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
