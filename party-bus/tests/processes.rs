//! Several processes: `kill -9` at any moment leaves what was acknowledged, and nothing half; those
//! that make one store at once agree on it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and their children that report")]

use party_bus::{
    Bus, BusExt as _, Classes, LeaseOp, Owner, SqliteBus, Window,
    conformance::{Sample, note, say},
};
use party_core::{Author, How, Offset, Op, Record, RecordClass, SessionId, ThreadId};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

const STORE: &str = "PARTY_BUS_TEST_STORE";
const ROUNDS: usize = 10;

/// The process that is killed: writes until then, and says what was acknowledged. By itself, as a
/// test among others, it does nothing.
#[tokio::test]
async fn child_process_that_writes() {
    let Ok(path) = std::env::var(STORE) else { return };
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(path).await.unwrap());
    let writers = (0..4).map(|_| tokio::spawn(write_for_ever(Arc::clone(&bus))));
    futures::future::try_join_all(writers).await.unwrap();
}

async fn write_for_ever(bus: Arc<dyn Bus>) {
    let mut sample = Sample::opened(&bus).await;
    let thread = sample.open_threads(1).await[0];
    loop {
        let item = say(&Author::agent("Mary"), "still here");
        let add = Op::Add { threads: vec![thread], item: item.id, how: How::Said };
        let trace = sample.batch([note(RecordClass::Trace, "thinking")]).buffered();
        sample.head = bus.append(trace).await.unwrap().last;
        let said = note(RecordClass::Report, "said").with_item(item).with_op(add);
        let head = sample.write([said]).await.unwrap().last;
        println!("\nacknowledged {} {head} {thread}", sample.session);
    }
}

/// Starts this program again, for one of its tests only.
fn child(test: &str, path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(STORE, path).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Starts the writer, kills it after some acknowledgements, and returns the last of each session.
fn kill_a_writer(path: &Path, after: usize) -> BTreeMap<SessionId, (Offset, ThreadId)> {
    let mut child = child("child_process_that_writes", path);
    let mut acknowledged = BTreeMap::new();
    let mut count = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        // The kill may tear the last line.
        if let ["acknowledged", session, head, thread] = words[..]
            && let Ok(thread) = thread.parse()
        {
            acknowledged.insert(session.parse().unwrap(), (Offset(head.parse().unwrap()), thread));
            count += 1;
            if count == after {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    assert!(count >= after, "the writer stopped by itself after {count} acknowledgements");
    acknowledged
}

async fn check(path: &Path, acknowledged: &BTreeMap<SessionId, (Offset, ThreadId)>) {
    let bus = SqliteBus::open(path).await.unwrap();
    for (session, (head, thread)) in acknowledged {
        let records = bus.read_to_end(*session, Offset::START, Classes::ALL).await.unwrap();
        let offsets: Vec<u64> = records.iter().map(|record| record.offset.0).collect();
        assert_eq!(offsets, (1..=records.len() as u64).collect::<Vec<_>>());
        assert!(records.len() as u64 >= head.0, "{session} lost what was acknowledged up to {head}");
        let said = |record: &Arc<Record>| record.items.first().cloned();
        let items: Vec<_> = records.iter().filter_map(said).collect();
        let window = bus.window(Window::last(*session, *thread, u32::MAX)).await.unwrap();
        let shown: Vec<_> = window.entries.iter().map(|entry| Arc::clone(&entry.item)).collect();
        assert_eq!(shown, items);
        let (owner, term) = (Owner::this_process(), Duration::from_secs(1));
        let taken = bus.lease(LeaseOp::Acquire { session: *session, owner, term }).await.unwrap();
        assert_eq!(taken.map(|lease| lease.fencing_token), Some(2), "a dead driver is taken over at once");
    }
    bus.close().await.unwrap();
}

#[tokio::test]
async fn a084_what_was_acknowledged_survives_kill_minus_nine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    for round in 1..=ROUNDS {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let after = 1 + now.subsec_nanos() as usize / 1_000 % 150;
        let acknowledged = kill_a_writer(&path, after);
        println!("round {round}: killed after {after} acknowledgements");
        check(&path, &acknowledged).await;
    }
}

/// The process that opens a store and names it.
#[tokio::test]
async fn child_process_that_opens() {
    let Ok(path) = std::env::var(STORE) else { return };
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(path).await.unwrap());
    Sample::opened(&bus).await;
    println!("\nstore {}", bus.info().store);
}

#[test]
fn processes_that_make_a_store_at_once_agree_on_it() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let path = folder.path().join(format!("{round}.db"));
        let children: Vec<Child> = (0..6).map(|_| child("child_process_that_opens", &path)).collect();
        let name = |child: Child| {
            let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
            let line = output.lines().find(|line| line.starts_with("store "));
            line.unwrap_or_else(|| panic!("no store was opened: {output}")).to_owned()
        };
        let names: BTreeSet<String> = children.into_iter().map(name).collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}
