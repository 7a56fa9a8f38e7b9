//! A store that a crash left half written opens again with all that was acknowledged.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{
    Bus, BusExt as _, Classes, ErrorKind, SqliteBus,
    conformance::{Sample, note},
};
use party_core::{Offset, RecordClass, SessionId};
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

const STORE: &str = "PARTY_BUS_TEST_STORE";
/// The size of a page of a store.
const PAGE: usize = 8192;

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// This program again, for one of its tests only, behind the arguments of `wrapper`.
fn child(wrapper: &[&str], test: &str, path: &Path) -> Command {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(STORE, path);
    command
}

fn some_nanos(below: u32) -> u32 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos() % below
}

/// Appends `count` batches of `bytes` each.
async fn fill(sample: &mut Sample, count: usize, bytes: usize) {
    for _ in 0..count {
        sample.write([note(RecordClass::Report, &"x".repeat(bytes))]).await.unwrap();
    }
}

/// All that was acknowledged is there, and nothing else is missing in between.
async fn check(bus: &Arc<dyn Bus>, session: SessionId, acknowledged: Offset) {
    let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap();
    let offsets: Vec<u64> = records.iter().map(|record| record.offset.0).collect();
    assert_eq!(offsets, (1..=records.len() as u64).collect::<Vec<_>>());
    assert!(records.len() as u64 >= acknowledged.0, "{session}: {} of {acknowledged}", records.len());
}

#[tokio::test]
async fn a_half_done_checkpoint_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let mut sample = Sample::opened(&bus).await;
    fill(&mut sample, 8, 2 * PAGE).await;
    let (before, log) = (fs::read(&path).unwrap(), fs::read(beside(&path, "-wal")).unwrap());
    let other = Connection::open(&path).unwrap();
    other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    let after = fs::read(&path).unwrap();
    assert!(after.len() > before.len());
    // Cut within a page too: a full disk does.
    for written in (0..=after.len()).step_by(PAGE / 2) {
        let path = folder.path().join(format!("{written}.db"));
        let rest = before.get(written..).unwrap_or_default();
        fs::write(&path, [&after[..written], rest].concat()).unwrap();
        fs::write(beside(&path, "-wal"), &log).unwrap();
        let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
        check(&bus, sample.session, Offset(9)).await;
        bus.close().await.unwrap();
    }
}

/// The process that makes a store, and may be killed while it does.
#[tokio::test]
async fn child_process_that_makes_a_store() {
    let Ok(path) = std::env::var(STORE) else { return };
    let store = SqliteBus::open(path).await.unwrap();
    println!("\nmade");
    store.close().await.unwrap();
}

/// Makes a store in a process that is killed where a file gets longer than `size`; whether the
/// process lived.
fn make_limited(path: &Path, size: usize) -> bool {
    // The shell counts blocks of 512 bytes.
    let limit = format!("ulimit -c 0; ulimit -f {}; exec \"$@\"", size / 512);
    let mut child = child(&["sh", "-c", &limit, "sh"], "child_process_that_makes_a_store", path);
    child.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

async fn is_usable(path: &Path) {
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(path).await.unwrap());
    let sample = Sample::opened(&bus).await;
    assert_eq!(bus.head(sample.session).await.unwrap(), Offset(1));
    bus.close().await.unwrap();
}

#[tokio::test]
async fn a_store_whose_making_was_cut_short_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut half_made = 0;
    for size in (512..40 * PAGE).step_by(PAGE - 512) {
        let path = folder.path().join(format!("{size}.db"));
        if make_limited(&path, size) {
            break;
        }
        half_made += usize::from(fs::metadata(&path).unwrap().len() > 0);
        is_usable(&path).await;
    }
    assert!(half_made > 5, "{half_made}");
}

/// After a power failure the journal is on the disk, and of the file perhaps only its length.
#[tokio::test]
async fn a_half_made_store_without_its_header_is_made_anew_and_a_text_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    assert!(!make_limited(&path, 8 * PAGE));
    let half = fs::read(&path).unwrap();
    let journal = fs::read(beside(&path, "-journal")).unwrap();
    let text = vec![b'x'; 2 * PAGE];
    for text in [&text[..], &text[..100]] {
        fs::write(&path, text).unwrap();
        assert_eq!(SqliteBus::open(&path).await.unwrap_err().kind(), ErrorKind::NotAStore);
        assert_eq!(fs::read(&path).unwrap(), text);
        assert_eq!(fs::read(beside(&path, "-journal")).unwrap(), journal);
    }
    for start in [&half[..10], &half[..100], &half[..600], &vec![0; 3 * PAGE], &[0; 100], &[]] {
        fs::write(&path, start).unwrap();
        fs::write(beside(&path, "-journal"), &journal).unwrap();
        is_usable(&path).await;
        fs::remove_file(&path).unwrap();
    }
    // Without a journal nothing says that the file was ever to be a store.
    fs::write(&path, vec![0; 3 * PAGE]).unwrap();
    assert_eq!(SqliteBus::open(&path).await.unwrap_err().kind(), ErrorKind::NotAStore);
}

#[tokio::test]
async fn a_process_killed_at_its_first_opening_leaves_what_opens() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..25 {
        let path = folder.path().join(format!("{round}.db"));
        let mut command = child(&["env"], "child_process_that_makes_a_store", &path);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        while !path.exists() && child.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
        thread::sleep(Duration::from_nanos(some_nanos(8_000_000).into()));
        child.kill().unwrap();
        child.wait().unwrap();
        is_usable(&path).await;
    }
}

/// The process that is killed during checkpoints: large bodies, and a checkpoint at each closing.
#[tokio::test]
async fn child_process_that_writes_much() {
    let Ok(path) = std::env::var(STORE) else { return };
    loop {
        let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
        let mut sample = Sample::opened(&bus).await;
        fill(&mut sample, 4, 1 << 20).await;
        println!("\nacknowledged {} {}", sample.session, sample.head);
        bus.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_process_killed_during_a_checkpoint_leaves_what_opens() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..15 {
        let path = folder.path().join(format!("{round}.db"));
        let mut command = child(&["env"], "child_process_that_writes_much", &path);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = BTreeMap::new();
        let mut collect = |line: String| {
            if let ["acknowledged", session, head] = line.split(' ').collect::<Vec<_>>()[..] {
                acknowledged.insert(session.parse().unwrap(), Offset(head.parse().unwrap()));
            }
            !acknowledged.is_empty()
        };
        while !collect(lines.next().unwrap().unwrap()) {}
        // The checkpoint begins now.
        thread::sleep(Duration::from_nanos(some_nanos(12_000_000).into()));
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            collect(line);
        }
        child.wait().unwrap();
        let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
        for (session, head) in acknowledged {
            check(&bus, session, head).await;
        }
        bus.close().await.unwrap();
        fs::remove_file(&path).unwrap();
    }
}
