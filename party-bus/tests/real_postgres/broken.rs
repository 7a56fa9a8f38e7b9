//! Connections that break, in every phase of a commit, and servers that go away.

use super::stage::{Look, OwnSchema};
use party_bus::{
    Bus, BusExt as _, Classes, ErrorKind, Receipt, Scope, Watch,
    conformance::{Sample, input, note, say},
};
use party_core::{Author, Offset, RecordClass, SessionId};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use test_support::postgres::Cluster;
use tokio::{task::JoinHandle, time::timeout};

const SOON: Duration = Duration::from_secs(60);

/// Writes one input that has to wait for a lock which `sql` takes, ends the connection while it waits, and
/// gives the lock back.
async fn broken_while_waiting(
    stage: &OwnSchema,
    bus: &Arc<dyn Bus>,
    session: SessionId,
    sql: &str,
) -> Receipt {
    let (holder, look) = (stage.look().await, stage.look().await);
    holder.run(&format!("BEGIN; {sql}")).await;
    let appending = tokio::spawn({
        let (bus, batch) = (Arc::clone(bus), input(session, sql));
        async move { bus.append(batch).await }
    });
    look.wait_for(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE NOT granted AND application_name = replace(current_setting('application_name'), 'look at ', '')",
    )
    .await;
    assert_eq!(look.terminate(stage, "wait_event_type = 'Lock'").await, 1);
    holder.run("ROLLBACK").await;
    timeout(SOON, appending).await.unwrap().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_cut_off_before_the_commit_writes_once() {
    let stage = OwnSchema::new("cut off");
    let bus = stage.bus().await;
    let sample = Sample::opened(&bus).await;
    let phases = [
        "LOCK TABLE session IN EXCLUSIVE MODE",
        "LOCK TABLE record IN EXCLUSIVE MODE",
        "LOCK TABLE batch IN EXCLUSIVE MODE",
    ];
    for (phase, sql) in (2..).zip(phases) {
        let receipt = broken_while_waiting(&stage, &bus, sample.session, sql).await;
        assert_eq!((receipt.first, receipt.repeated), (Offset(phase), false), "{sql}");
    }
    let records = bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.unwrap();
    assert_eq!(records.len(), 4);
}

/// Waiting for a standby that is not there, the commit stands already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_cut_off_behind_the_commit_writes_once() {
    let cluster = Cluster::start().unwrap();
    let stage = OwnSchema::on(&cluster, "cut off");
    let bus = stage.bus().await;
    let sample = Sample::opened(&bus).await;
    let look = stage.look().await;
    look.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    look.run("SELECT pg_reload_conf()").await;
    // The server's processes learn it one after the other.
    look.wait_for(
        "SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = 'nobody'",
    )
    .await;
    let appending = loop {
        let appending = tokio::spawn({
            let (bus, batch) = (Arc::clone(&bus), input(sample.session, "hi"));
            async move { bus.append(batch).await }
        });
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let waits = timeout(Duration::from_secs(2), look.wait_for(waiting)).await.is_ok();
        if waits {
            break appending;
        }
        appending.await.unwrap().unwrap();
    };
    assert_eq!(look.terminate(&stage, "wait_event = 'SyncRep'").await, 1);
    look.run("ALTER SYSTEM RESET synchronous_standby_names").await;
    look.run("SELECT pg_reload_conf()").await;
    let receipt = timeout(SOON, appending).await.unwrap().unwrap().unwrap();
    let records = bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.unwrap();
    assert_eq!((receipt.last, receipt.repeated), (Offset(records.len() as u64), false));
}

/// Writers, each with a session of its own; what was acknowledged to each.
struct Crowd {
    writing: Vec<JoinHandle<(SessionId, Vec<String>)>>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    async fn start(bus: &Arc<dyn Bus>, count: usize) -> (Self, Vec<SessionId>) {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut writing, mut sessions) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (bus, session, stop) =
                (Arc::clone(bus), Sample::opened(bus).await.session, Arc::clone(&stop));
            sessions.push(session);
            writing.push(tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let batch = input(session, &number.to_string());
                    // The same batch again settles it.
                    while let Err(error) = bus.append(batch.clone()).await {
                        assert!(error.is_retryable(), "{error:?}");
                    }
                    acknowledged.push(number.to_string());
                }
                (session, acknowledged)
            }));
        }
        (Self { writing, stop }, sessions)
    }

    async fn stop(self) -> BTreeMap<SessionId, Vec<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        for writing in self.writing {
            all.extend([timeout(SOON, writing).await.unwrap().unwrap()]);
        }
        all
    }
}

/// The texts of a session's inputs.
async fn texts(bus: &Arc<dyn Bus>, session: SessionId) -> Vec<String> {
    let records = bus.read_to_end(session, Offset(1), Classes::ALL).await.unwrap();
    let text = |body: &str| {
        serde_json::from_str::<serde_json::Value>(body).unwrap()["text"].as_str().unwrap().to_owned()
    };
    records.iter().map(|record| text(record.body.get())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_at_any_time_lose_nothing_and_write_nothing_twice() {
    let stage = OwnSchema::new("terminated");
    let store = stage.store().await;
    let bus: Arc<dyn Bus> = store.clone();
    let (crowd, _) = Crowd::start(&bus, 8).await;
    let look = stage.look().await;
    let mut broken = 0;
    let until = tokio::time::Instant::now() + seconds();
    let phases = [
        "true",
        "query LIKE 'BEGIN%'",
        "query LIKE 'INSERT%'",
        "query = 'COMMIT'",
        "query LIKE '%FOR UPDATE'",
        "wait_event_type = 'IO'",
    ];
    for phase in phases.into_iter().cycle() {
        broken += look.terminate(&stage, &format!("state <> 'idle' AND {phase}")).await;
        tokio::time::sleep(Duration::from_millis(3)).await;
        if tokio::time::Instant::now() > until && broken > 5 {
            break;
        }
    }
    for (session, acknowledged) in crowd.stop().await {
        assert_eq!(texts(&bus, session).await, acknowledged);
    }
    let report = party_bus::BusAdmin::verify(&*store, Scope::Store).await.unwrap();
    assert_eq!(report.problems, []);
    eprintln!("{broken} connections were cut off");
}

/// A few; `PARTY_TEST_SECONDS` says how many.
pub(crate) fn seconds() -> Duration {
    let seconds = std::env::var("PARTY_TEST_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_started_again_has_all_that_was_acknowledged() {
    let mut cluster = Cluster::start().unwrap();
    let stage = OwnSchema::on(&cluster, "killed");
    let (bus, other) = (stage.bus().await, stage.bus().await);
    let (crowd, sessions) = Crowd::start(&bus, 4).await;
    let mut follow = Arc::clone(&other).follow(sessions[0], Offset::START);
    let (told, mut seen) = tokio::sync::watch::channel(Offset::START);
    let following = tokio::spawn(async move {
        loop {
            match follow.next().await {
                Ok(record) => {
                    assert_eq!(record.offset, told.borrow().plus(1));
                    told.send_replace(record.offset);
                }
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
    });
    for _ in 0..3 {
        let far = seen.borrow_and_update().plus(20);
        timeout(SOON, seen.wait_for(|offset| *offset >= far)).await.unwrap().unwrap();
        tokio::task::block_in_place(|| {
            cluster.kill().unwrap();
            cluster.start_again().unwrap();
        });
    }
    for (session, acknowledged) in crowd.stop().await {
        assert_eq!(texts(&bus, session).await, acknowledged);
        if session == sessions[0] {
            let all = Offset(acknowledged.len() as u64 + 1);
            timeout(SOON, seen.wait_for(|offset| *offset == all)).await.unwrap().unwrap();
        }
    }
    following.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bell_that_is_not_heard_is_made_up_for() {
    let stage = OwnSchema::new("deaf");
    let (bus, other) = (stage.bus().await, stage.bus().await);
    let sample = Sample::opened(&bus).await;
    let look = stage.look().await;
    // Nobody rings at all.
    let ringing =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query LIKE '%pg_notify%'";
    look.wait_for(ringing).await;
    for number in 2..5 {
        let watch = Watch::Session { session: sample.session, after: Offset(number - 1) };
        let waiting = tokio::spawn({
            let other = Arc::clone(&other);
            async move { other.changed(watch).await }
        });
        look.terminate(
            &stage,
            "query LIKE 'LISTEN%' OR query LIKE '%pg_notify%' OR query LIKE 'SELECT uid, head%'",
        )
        .await;
        bus.append(input(sample.session, "hi")).await.unwrap();
        let changed = timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
        assert_eq!(changed.head_of(sample.session), Some(Offset(number)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_outlast_a_server_that_is_away_for_as_long_as_their_patience() {
    let mut cluster = Cluster::start().unwrap();
    let mut stage = OwnSchema::on(&cluster, "away");
    stage.options = stage.options.patience(Duration::from_millis(300));
    let bus = stage.bus().await;
    let mut sample = Sample::opened(&bus).await;
    cluster.stop_fast().unwrap();
    let error = sample.write([note(RecordClass::Report, "nobody there")]).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
    let error = bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    cluster.start_again().unwrap();
    sample.write([note(RecordClass::Report, "there again")]).await.unwrap();
    assert_eq!(sample.head, Offset(2));
    cluster.stop_fast().unwrap();
    timeout(SOON, bus.close()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_somebody_holds_for_too_long_is_busy_and_keeps_no_other() {
    let mut stage = OwnSchema::new("held");
    stage.options = stage.options.patience(Duration::from_millis(300));
    let bus = stage.bus().await;
    let (held, free) = (Sample::opened(&bus).await, Sample::opened(&bus).await);
    let look = stage.look().await;
    look.run("BEGIN").await;
    look.client
        .query("SELECT FROM session WHERE uid = $1 FOR UPDATE", &[&&held.session.as_bytes()[..]])
        .await
        .unwrap();
    let error = bus.append(input(held.session, "hi")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Busy, true), "{error}");
    bus.append(input(free.session, "hi")).await.unwrap();
    look.run("ROLLBACK").await;
    bus.append(input(held.session, "hi")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_session_that_somebody_holds_keeps_nobody_else_waiting() {
    let stage = OwnSchema::new("waits");
    let bus = stage.bus().await;
    let (held, mut free) = (Sample::opened(&bus).await, Sample::opened(&bus).await);
    let look = stage.look().await;
    look.run("BEGIN").await;
    let lock = "SELECT FROM session WHERE uid = $1 FOR UPDATE";
    look.client.query(lock, &[&&held.session.as_bytes()[..]]).await.unwrap();
    let mut waiting = futures::future::join_all((0..3).map(|number| {
        let (bus, batch) = (Arc::clone(&bus), input(held.session, &number.to_string()));
        async move { bus.append(batch).await }
    }));
    for _ in 0..20 {
        let others = async {
            bus.append(input(free.session, "hi")).await.unwrap();
            Sample::opened(&bus).await
        };
        tokio::select! {
            biased;
            done = &mut waiting => panic!("{done:?}"),
            sample = others => free = sample,
        }
    }
    look.run("COMMIT").await;
    for written in timeout(SOON, waiting).await.unwrap() {
        assert!(!written.unwrap().repeated);
    }
    assert_eq!(texts(&bus, held.session).await, ["0", "1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_two_bring_at_once_is_stored_once() {
    let stage = OwnSchema::new("same item");
    let (one, two) = (stage.bus().await, stage.bus().await);
    let (mut ones, mut twos) = (Sample::opened(&one).await, Sample::opened(&two).await);
    let look: Look = stage.look().await;
    for number in 0..50 {
        let item = say(&Author::System, &number.to_string());
        let record = || note(RecordClass::Report, "said").with_item(Arc::clone(&item));
        let (first, second) = futures::join!(ones.write([record()]), twos.write([record()]));
        first.unwrap();
        second.unwrap();
    }
    assert_eq!(look.number("SELECT count(*) FROM item").await, 50);
    assert_eq!(look.number("SELECT count(*) FROM shared").await, 50);
}
