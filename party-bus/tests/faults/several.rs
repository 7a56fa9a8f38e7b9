//! Processes that write, read, stop and die beside each other.

use crate::{
    check,
    child::{self, Running, beside, fast_folder, tell, until},
    random::Random,
    script::{Script, post},
};
use party_bus::{
    Bus, BusExt as _, Classes, ErrorKind, LeaseOp, Owner, SqliteBus,
    conformance::{Sample, input, note},
};
use party_core::{Offset, RecordClass, SessionId};
use rusqlite::Connection;
use rustix::process::{Signal, getpid, kill_process};
use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

async fn open(path: &PathBuf) -> Arc<dyn Bus> {
    Arc::new(SqliteBus::open(path).await.unwrap())
}

/// The process that opens a store and names it.
#[tokio::test]
async fn child_that_opens() {
    let Some(path) = child::store() else { return };
    let bus = open(&path).await;
    Sample::opened(&bus).await;
    tell(&format!("store {}", bus.info().store));
}

#[test]
fn processes_that_make_a_store_at_once_agree_on_it() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let path = folder.path().join(format!("{round}.db"));
        let children = [(); 6].map(|()| Running::start("several::child_that_opens", &path, ""));
        let names = children.map(|child| child.told("store"));
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    }
}

/// Two of these write one session until it is so long.
const LENGTH: u64 = 600;

#[tokio::test]
async fn child_that_posts_in_a_tight_loop() {
    let Some(path) = child::store() else { return };
    let (session, text) =
        child::argument().split_once(' ').map(|(id, text)| (id.to_owned(), text.to_owned())).unwrap();
    let (bus, session) = (open(&path).await, session.parse().unwrap());
    let mut longest = Duration::ZERO;
    loop {
        let since = Instant::now();
        let written = bus.append(input(session, &text)).await.unwrap();
        longest = longest.max(since.elapsed());
        if written.last >= Offset(LENGTH) {
            break;
        }
    }
    tell(&format!("longest {longest:?}"));
    bus.close().await.unwrap();
}

#[tokio::test]
async fn of_two_processes_that_write_in_tight_loops_both_get_on_and_none_is_told_busy() {
    let (_folder, path) = folder();
    let bus = open(&path).await;
    let session = Sample::opened(&bus).await.session;
    let start = |text| {
        Running::start("several::child_that_posts_in_a_tight_loop", &path, format!("{session} {text}"))
    };
    for child in ["left", "right"].map(start) {
        let (status, lines) = child.end();
        assert!(status.success(), "{lines:#?}");
        println!("{lines:?}");
    }
    let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap();
    let writers: Vec<bool> = records[1..].iter().map(|record| record.body.get().contains("left")).collect();
    // From where both are at it to where one is done.
    let begin = writers.windows(2).position(|pair| pair[0] != pair[1]).unwrap();
    let end = writers.windows(2).rposition(|pair| pair[0] != pair[1]).unwrap();
    let both = &writers[begin..=end + 1];
    let left = both.iter().filter(|left| **left).count();
    println!("left wrote {left} of {} of {}", both.len(), writers.len());
    assert!(both.len() > writers.len() / 2, "{begin} to {end} of {}", writers.len());
    assert!((both.len() / 5..=both.len() * 4 / 5).contains(&left), "{left} of {}", both.len());
    let wait = both.chunk_by(|before, after| before == after).map(<[bool]>::len).max().unwrap();
    assert!(wait < 200, "one waited for {wait} commits of the other");
}

/// A process that stops itself, is taken over, and goes on.
#[tokio::test]
async fn child_that_stops() {
    let Some(path) = child::store() else { return };
    let bus = open(&path).await;
    let session = child::argument().parse().unwrap();
    let (owner, term) = (Owner::this_process(), Duration::from_millis(50));
    let lease = bus.lease(LeaseOp::Acquire { session, owner, term }).await.unwrap().unwrap();
    let mut sample = Sample::new(&bus).await;
    (sample.session, sample.token) = (session, lease.fencing_token);
    sample.write([note(RecordClass::Decision, "mine")]).await.unwrap();
    tell(&format!("token {}", sample.token));
    kill_process(getpid(), Signal::STOP).unwrap();
    // Its threads do not stop all at once.
    until("going on", || beside(&path, ".go").exists());
    let late = sample.write([note(RecordClass::Report, "late")]).await.unwrap_err();
    sample.head = bus.head(session).await.unwrap();
    let again = sample.write([note(RecordClass::Report, "late again")]).await.unwrap_err();
    let renew = LeaseOp::Renew { session, fencing_token: sample.token, term };
    let renewed = bus.lease(renew).await.unwrap();
    tell(&format!("refused {:?} {:?} {renewed:?}", late.kind(), again.kind()));
}

#[tokio::test]
async fn a_stopped_process_whose_session_was_taken_over_cannot_write_when_it_goes_on() {
    let (_folder, path) = folder();
    let bus = open(&path).await;
    let session = SessionId::derive(&[b"stopped"]);
    let stopped = Running::start("several::child_that_stops", &path, session);
    let token: u64 = stopped.told("token").parse().unwrap();
    let stat = format!("/proc/{}/stat", stopped.child.id());
    until("stopping", || fs::read_to_string(&stat).unwrap().contains(") T "));
    let (owner, term) = (Owner::this_process(), Duration::from_secs(600));
    let acquire = LeaseOp::Acquire { session, owner, term };
    let deadline = Instant::now() + child::DEADLINE;
    let lease = loop {
        match bus.lease(acquire.clone()).await.unwrap() {
            Some(lease) => break lease,
            None => assert!(Instant::now() < deadline, "the lease does not expire"),
        }
    };
    assert!(lease.fencing_token > token);
    let mut sample = Sample::new(&bus).await;
    (sample.session, sample.token, sample.head) = (session, lease.fencing_token, Offset(1));
    sample.write([note(RecordClass::Decision, "taken over")]).await.unwrap();
    fs::write(beside(&path, ".go"), "").unwrap();
    stopped.signal(Signal::CONT);
    assert_eq!(stopped.told("refused"), "Fenced Fenced None");
    assert_eq!(bus.head(session).await.unwrap(), Offset(2));
    sample.write([note(RecordClass::Report, "on")]).await.unwrap();
}

/// The process that is killed within a transaction.
#[test]
fn child_that_locks() {
    let Some(path) = child::store() else { return };
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE; UPDATE session SET head = head + 1; PRAGMA cache_spill = 1")
        .unwrap();
    tell("locked");
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn a_process_that_dies_while_it_holds_the_lock_is_no_hindrance() {
    let (_folder, path) = folder();
    let bus = open(&path).await;
    let session = Sample::opened(&bus).await.session;
    for round in 0..5 {
        let locking = Running::start("several::child_that_locks", &path, "");
        locking.told("locked");
        let mut append = bus.append(input(session, "after it"));
        assert!(futures::poll!(&mut append).is_pending());
        assert_eq!(bus.head(session).await.unwrap(), Offset(1 + round), "reading goes on");
        locking.kill();
        assert_eq!(append.await.unwrap().last, Offset(2 + round));
    }
    check::integrity(&path);
}

#[tokio::test]
async fn a_reader_pinned_for_long_stops_no_writer_and_the_log_shrinks_once_it_is_gone() {
    let folder = fast_folder();
    let path = folder.path().join("store.db");
    let bus = open(&path).await;
    let mut sample = Sample::opened(&bus).await;
    let log = || fs::metadata(beside(&path, "-wal")).unwrap().len();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let count = |conn: &Connection| -> u64 {
        conn.query_row("SELECT count(*) FROM record", [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
    };
    assert_eq!(count(&reader), 1);
    let body = "x".repeat(2 << 20);
    let (before, mut written) = (log(), 0);
    while written < 70 << 20 {
        sample.write([note(RecordClass::Report, &body)]).await.unwrap();
        written += body.len() as u64;
    }
    assert_eq!(count(&reader), 1, "it reads what there was");
    let grown = log() - before;
    assert!(grown > written && grown < written / 4 * 5, "{grown} for {written}");
    reader.execute_batch("COMMIT").unwrap();
    // What has to be moved is moved beside the writing, and the log begins anew.
    let mut more = 0;
    while log() > 65 << 20 {
        sample.write([note(RecordClass::Report, &body)]).await.unwrap();
        more += 1;
        assert!(more < 200, "the log is {} bytes long", log());
    }
    println!("{grown} bytes of log for {written}; {more} batches later {}", log());
    assert_eq!(count(&reader), sample.head.0);
}

#[tokio::test]
async fn a_stale_token_is_refused_in_every_process() {
    let (_folder, path) = folder();
    let (here, there) = (open(&path).await, open(&path).await);
    let session = SessionId::derive(&[b"session"]);
    let mut script = Script::take(&here, session, Random::new()).await;
    script.write().await.unwrap();
    let stale = script.token;
    script.release().await.unwrap();
    let mut script = Script::take(&there, session, Random::new()).await;
    script.write().await.unwrap();
    for bus in [&here, &there] {
        let head = bus.head(session).await.unwrap();
        let id = party_core::BatchId::derive(&[b"late"]);
        let late =
            party_bus::Batch::driver(session, id, head, stale, vec![note(RecordClass::Report, "late")]);
        assert_eq!(bus.append(late).await.unwrap_err().kind(), ErrorKind::Fenced);
        bus.append(post(session, &mut Random::new())).await.unwrap();
    }
    script.write().await.unwrap();
}
