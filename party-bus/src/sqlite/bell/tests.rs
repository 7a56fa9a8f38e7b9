//! Where sweeps would hide what is not heard, they come once an hour.

use super::{
    Bell, Listener, Ringer, Watcher,
    door::Door,
    ear::{Ear, Heard},
};
use crate::sqlite::{connect::connect, standing::Standing};
use rusqlite::Connection;
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(30);

/// A store, another process that writes to it, and the bells of both.
struct House {
    folder: TempDir,
    bell: Arc<Bell>,
    ringer: Ringer,
    other: Connection,
    other_ringer: Ringer,
    watcher: Option<JoinHandle<()>>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store.db");
        let made = Connection::open(&store).unwrap();
        made.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE said (id INTEGER)").unwrap();
        let [bell, other] = [Bell::new(&store).unwrap(), Bell::new(&store).unwrap()];
        let (ringer, other_ringer) = (Ringer::new(Arc::clone(&bell)), Ringer::new(other));
        Self { folder, bell, ringer, other: connect(&store).unwrap(), other_ringer, watcher: None }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db.bell")
    }

    fn watch(&mut self) {
        let store: Arc<Path> = self.folder.path().join("store.db").into();
        let standing = Standing::of(&store).unwrap();
        self.watcher = Some(Watcher::start(Arc::clone(&self.bell), store, standing, HOUR).unwrap());
    }

    /// The other process writes, and rings.
    fn write(&mut self) {
        self.write_silently();
        self.other_ringer.ring();
    }

    fn write_silently(&self) {
        self.other.execute("INSERT INTO said VALUES (1)", []).unwrap();
    }

    /// A listener for whom the watcher is at its post.
    async fn listen(&self) -> Listener<'_> {
        let before = self.bell.sweeps();
        let mut listener = self.bell.listen();
        // The first sweep does not know what was there before.
        hear(&mut listener).await;
        assert_eq!(self.bell.sweeps(), before + 1);
        listener
    }

    fn sleeps(&self) -> bool {
        self.bell.state().asleep
    }

    fn end(mut self) {
        self.bell.close();
        let watcher = self.watcher.take().unwrap();
        until("the watcher ends", || watcher.is_finished());
        watcher.join().unwrap();
    }
}

async fn hear(listener: &mut Listener<'_>) {
    tokio::time::timeout(PATIENCE, listener.heard()).await.expect("nothing is heard");
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_ear_tells_its_own_ring_from_others_and_from_what_is_none() {
    let House { folder: _folder, bell, mut ringer, mut other_ringer, .. } = House::new();
    let ear = Ear::open(&bell.path).unwrap();
    let heard = || ear.hear(bell.mark);
    ringer.ring();
    assert_eq!(heard(), Heard::Own);
    other_ringer.ring();
    assert_eq!(heard(), Heard::Other);
    for _ in 0..100 {
        ringer.ring();
        other_ringer.ring();
    }
    assert_eq!(heard(), Heard::Other);
    fs::set_permissions(&bell.path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(heard(), Heard::Unsure);
    assert!(ear.is_at(&bell.path));
    fs::remove_file(&bell.path).unwrap();
    assert_eq!(heard(), Heard::Unsure);
    assert!(!ear.is_at(&bell.path));
    ringer.ring();
    assert!(bell.path.exists() && !ear.is_at(&bell.path), "made again, and another");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_ring_of_another_is_heard_without_a_sweep() {
    let mut house = House::new();
    house.watch();
    let mut other = Ringer::new(Arc::clone(&house.other_ringer.bell));
    let mut listener = house.listen().await;
    let sweeps = house.bell.sweeps();
    for _ in 0..100 {
        other.ring();
        hear(&mut listener).await;
    }
    assert_eq!(house.bell.sweeps(), sweeps);
    drop(listener);
    house.end();
}

#[tokio::test]
async fn a_bell_that_goes_away_is_watched_again() {
    let mut house = House::new();
    house.watch();
    let (path, bell) = (house.path(), Arc::clone(&house.bell));
    let away = house.folder.path().join("away");
    let mut listener = bell.listen();
    for mishap in 0..12 {
        match mishap % 3 {
            0 => fs::write(&path, "").unwrap(),
            1 => fs::remove_file(&path).unwrap(),
            _ => fs::rename(&path, &away).unwrap(),
        }
        // More often than wakings could be left over.
        for _ in 0..10 {
            house.write();
            hear(&mut listener).await;
        }
    }
    drop(listener);
    house.end();
}

#[tokio::test]
async fn where_no_bell_can_be_had_the_store_is_asked() {
    let mut house = House::new();
    fs::create_dir(house.path()).unwrap();
    house.watch();
    let mut listener = house.listen().await;
    for _ in 0..5 {
        house.write_silently();
        hear(&mut listener).await;
    }
    drop(listener);
    house.end();
}

#[test]
fn a_file_of_somebody_else_is_no_bell_and_stays_as_it_is() {
    let mut house = House::new();
    let (path, theirs) = (house.path(), house.folder.path().join("theirs"));
    fs::write(&path, "longer than a bell").unwrap();
    house.other_ringer.ring();
    assert!(Door::open(&path).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "longer than a bell");

    fs::rename(&path, &theirs).unwrap();
    fs::write(&theirs, "").unwrap();
    symlink(&theirs, &path).unwrap();
    house.other_ringer.ring();
    assert!(Door::open(&path).is_err());
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "");

    fs::remove_file(&path).unwrap();
    house.other_ringer.ring();
    assert_eq!(fs::metadata(&path).unwrap().len(), 8);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn while_nobody_listens_nothing_is_watched_and_nothing_is_missed() {
    let mut house = House::new();
    // Where the store is asked every 25 ms, the watcher is soon done.
    fs::create_dir(house.path()).unwrap();
    house.watch();
    until("the watcher sleeps", || house.sleeps());
    assert_eq!(house.bell.sweeps(), 0);
    drop(house.listen().await);
    until("the watcher sleeps", || house.sleeps());
    let sweeps = house.bell.sweeps();
    fs::remove_dir(house.path()).unwrap();
    house.write();
    assert!(house.sleeps());
    assert_eq!(house.bell.sweeps(), sweeps);
    // What was written meanwhile is found by the sweep that comes with the next listener.
    drop(house.listen().await);
    house.end();
}

#[tokio::test]
async fn closing_ends_the_watcher_at_once_whether_anybody_listens_or_not() {
    let mut house = House::new();
    house.watch();
    until("the watcher sleeps", || house.sleeps());
    house.end();
    let mut house = House::new();
    house.watch();
    let bell = Arc::clone(&house.bell);
    let mut listener = bell.listen();
    hear(&mut listener).await;
    house.end();
    hear(&mut listener).await;
}
