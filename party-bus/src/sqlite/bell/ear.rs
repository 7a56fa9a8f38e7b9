//! Hears who writes to the bell's file, by inotify.

use super::door::{Door, Mark};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::{
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::fs::FileExt as _,
    },
    path::Path,
};

#[derive(Debug)]
pub(super) struct Ear {
    door: Door,
    inotify: OwnedFd,
}

/// Who rang.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Only this bell, whose listeners know.
    Own,
    Other,
    /// Perhaps nobody: the file went away or changed its mode, or there was too much to hear.
    Unsure,
}

impl Ear {
    /// Hears every ring from now on.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let door = Door::open(path)?;
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // The path may name another file by now.
        let opened = format!("/proc/self/fd/{}", door.file.as_raw_fd());
        let events =
            WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        inotify::add_watch(&inotify, opened, events)?;
        Ok(Self { door, inotify })
    }

    /// Whether it hears those who ring at `path`.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.door.stands_at(path)
    }

    /// Becomes readable when there is something to [`hear`](Self::hear).
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Takes in what there is to hear.
    pub(super) fn hear(&self, own: Mark) -> Heard {
        let mut buffer = [MaybeUninit::uninit(); 1_024];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match events.next() {
                Ok(event) if event.events() == ReadFlags::MODIFY => {}
                _ => return Heard::Unsure,
            }
            if events.is_buffer_empty() {
                break;
            }
        }
        // A later ring is a later event. An earlier one by another, which our mark has replaced, is
        // of a commit that our listeners find, as they are woken only after the mark was written.
        let mut last = Mark::default();
        match self.door.file.read_exact_at(&mut last, 0) {
            Ok(()) if last == own => Heard::Own,
            _ => Heard::Other,
        }
    }
}
