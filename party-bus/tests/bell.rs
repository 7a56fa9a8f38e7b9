//! What another process writes is seen at once, and soon where its ring is lost.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{
    Bus, BusExt as _, SqliteBus, Watch,
    conformance::{Sample, input},
};
use party_core::{Offset, SessionId};
use std::{
    fs,
    io::{BufRead as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

const STORE: &str = "PARTY_BUS_TEST_STORE";
const SESSION: &str = "PARTY_BUS_TEST_SESSION";
const PATIENCE: Duration = Duration::from_secs(30);

/// The process that says something for each line that it is given.
#[tokio::test]
async fn child_process_that_speaks() {
    let (Ok(path), Ok(session)) = (std::env::var(STORE), std::env::var(SESSION)) else { return };
    let bus = SqliteBus::open(path).await.unwrap();
    for line in std::io::stdin().lock().lines() {
        bus.append(input(session.parse().unwrap(), &line.unwrap())).await.unwrap();
    }
}

/// Starts this program again, for one of its tests only.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(STORE, path).stdout(Stdio::null());
    command
}

/// Another process, which writes to a session of this one's.
struct Speaker {
    process: Child,
    lines: ChildStdin,
    store: Arc<SqliteBus>,
    session: SessionId,
    head: Offset,
}

impl Speaker {
    async fn new(path: &Path) -> Self {
        let store = Arc::new(SqliteBus::open(path).await.unwrap());
        let bus: Arc<dyn Bus> = Arc::clone(&store) as _;
        let session = Sample::opened(&bus).await.session;
        let head = bus.head(session).await.unwrap();
        let mut process = child("child_process_that_speaks", path)
            .env(SESSION, session.to_string())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = process.stdin.take().unwrap();
        Self { process, lines, store, session, head }
    }

    /// Has it write, and waits until that is seen; gives how many sweeps that took.
    async fn is_seen(&mut self) -> u64 {
        let watch = Watch::Session { session: self.session, after: self.head };
        let before = self.store.stats().sweeps;
        self.lines.write_all(b"hi\n").unwrap();
        let changed = tokio::time::timeout(PATIENCE, self.store.changed(watch)).await.unwrap().unwrap();
        self.head = changed.head_of(self.session).unwrap();
        self.store.stats().sweeps - before
    }

    /// Whether some of many commits are seen without a sweep: never, unless the bell is heard.
    async fn is_heard(&mut self) -> bool {
        let mut heard = 0;
        for _ in 0..20 {
            heard += u64::from(self.is_seen().await == 0);
        }
        heard > 0
    }

    async fn end(self) {
        let Self { mut process, lines, store, session, head } = self;
        drop(lines);
        assert!(process.wait().unwrap().success());
        assert_eq!(store.head(session).await.unwrap(), head);
        store.close().await.unwrap();
    }
}

fn folder() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let bell = folder.path().join("store.db.bell");
    (folder, path, bell)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_commit_of_another_process_is_seen_without_a_sweep() {
    let (_folder, path, _) = folder();
    let mut speaker = Speaker::new(&path).await;
    assert!(speaker.is_heard().await, "each of its commits was seen by a sweep only");
    speaker.end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_bell_that_is_deleted_only_delays() {
    let (_folder, path, bell) = folder();
    let mut speaker = Speaker::new(&path).await;
    for _ in 0..3 {
        speaker.is_seen().await;
        fs::remove_file(&bell).unwrap();
        speaker.is_seen().await;
        assert!(speaker.is_heard().await, "the new bell is not heard");
    }
    speaker.end().await;
}

#[tokio::test]
async fn where_there_can_be_no_bell_commits_stand_and_are_seen() {
    let (_folder, path, bell) = folder();
    fs::create_dir(&bell).unwrap();
    let mut speaker = Speaker::new(&path).await;
    for _ in 0..5 {
        speaker.is_seen().await;
    }
    speaker.end().await;
}

#[tokio::test]
async fn a_bell_that_may_not_be_written_fails_no_commit() {
    let (_folder, path, bell) = folder();
    fs::write(&bell, "").unwrap();
    // To the superuser it is a bell like any other.
    fs::set_permissions(&bell, fs::Permissions::from_mode(0o400)).unwrap();
    let mut speaker = Speaker::new(&path).await;
    for _ in 0..5 {
        speaker.is_seen().await;
    }
    speaker.end().await;
}

#[tokio::test]
async fn a_bell_lies_beside_the_file_that_a_link_leads_to() {
    let (folder, path, bell) = folder();
    let link = folder.path().join("link.db");
    SqliteBus::open(&path).await.unwrap().close().await.unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&link).await.unwrap());
    Sample::opened(&bus).await;
    assert!(bell.exists() && !folder.path().join("link.db.bell").exists());
}

/// By itself, so that the files that it has open are those of its waits.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn child_process_that_waits_often() {
    let Ok(path) = std::env::var(STORE) else { return };
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let session = Sample::opened(&bus).await.session;
    let mut watch = Watch::Session { session, after: bus.head(session).await.unwrap() };
    let mut counts = Vec::new();
    for number in 0..1_000 {
        let mut changed = bus.changed(watch);
        assert!(futures::poll!(&mut changed).is_pending());
        // One in ten gets what it waits for, the others are dropped.
        if number % 10 == 0 {
            let (seen, receipt) = futures::join!(changed, bus.append(input(session, "hi")));
            assert_eq!(seen.unwrap().head_of(session), Some(receipt.as_ref().unwrap().last));
            watch = Watch::Session { session, after: receipt.unwrap().last };
        }
        counts.push(open_files());
        assert!(watches() <= 1);
    }
    let most = |counts: &[usize]| counts.iter().max().copied().unwrap();
    // By then each reader has had its connection.
    assert_eq!(most(&counts[500..]), most(&counts[..500]), "{counts:?}");
    bus.close().await.unwrap();
    assert_eq!(watches(), 0, "after the close");
}

#[cfg(target_os = "linux")]
fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[cfg(target_os = "linux")]
fn watches() -> usize {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    let target = |file: std::io::Result<fs::DirEntry>| fs::read_link(file.unwrap().path());
    files.filter_map(|file| target(file).ok()).filter(|target| target.ends_with("anon_inode:inotify")).count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_waits_leave_no_watch_behind() {
    let (_folder, path, _) = folder();
    assert!(child("child_process_that_waits_often", &path).status().unwrap().success());
}
