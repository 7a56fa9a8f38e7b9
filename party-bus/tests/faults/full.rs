//! A disk that is full, or files that may not grow: a batch that does not fit is refused, reading and
//! following go on, and the same handle writes again once there is space.

use crate::{
    check,
    child::{self, Running, beside, tell, within},
    random::Random,
    script::{Acknowledged, Script, post, post_text},
};
use party_bus::{Bus, BusExt as _, ErrorKind, LeaseOp, SqliteBus};
use party_core::{Offset, SessionId};
use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{fs, io::Write as _, path::Path, process::Command, sync::Arc, time::Duration};
use tokio::sync::watch;

const DRIVERS: u64 = 3;

/// Drivers on one handle that fill the disk, somebody who follows them, and a way to get space.
async fn fill_and_go_on(path: &Path, kind: ErrorKind, more_space: impl FnOnce()) {
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(path).await.unwrap());
    let mut random = Random::new();
    let mut scripts = Vec::new();
    for number in 0..DRIVERS {
        let session = SessionId::derive(&[&number.to_be_bytes()]);
        scripts.push(Script::take(&bus, session, Random::seeded(random.next())).await);
    }
    let (seen, mut followed) = watch::channel(Offset::START);
    let mut follow = Arc::clone(&bus).follow(scripts[0].session, Offset::START);
    let follower = tokio::spawn(async move {
        while let Ok(record) = follow.next().await {
            seen.send_replace(record.offset);
        }
    });

    let mut acknowledged = fill(&mut scripts, kind).await;
    for script in &scripts {
        // The rest of a batch that was refused is nowhere.
        assert_eq!(check::session(&bus, script.session).await.len() as u64, script.head.0);
    }
    let head = scripts[0].head;
    within("the follower", followed.wait_for(|offset| *offset == head)).await.unwrap();
    let renewed = renew(&bus, &scripts, kind).await;
    tell(&format!("renewed {renewed}"));

    more_space();
    for script in &mut scripts {
        acknowledged.push(script.write().await.unwrap());
        bus.append(post(script.session, &mut random)).await.unwrap();
        let Script { session, token: fencing_token, .. } = *script;
        let renew = LeaseOp::Renew { session, fencing_token, term: Duration::from_secs(600) };
        assert!(bus.lease(renew).await.unwrap().is_some(), "its lease is its own still");
        acknowledged.push(script.write().await.unwrap());
    }
    let head = scripts[0].head;
    within("the follower", followed.wait_for(|offset| *offset == head)).await.unwrap();
    bus.close().await.unwrap();
    follower.await.unwrap();
    whole(path, &acknowledged).await;
    tell("done");
}

/// Writes until nobody's batch fits any more, not even a small one.
async fn fill(scripts: &mut [Script], kind: ErrorKind) -> Vec<Acknowledged> {
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    while refused < 20 {
        let writes = scripts.iter_mut().map(Script::write);
        for outcome in futures::future::join_all(writes).await {
            match outcome {
                Ok(written) => {
                    acknowledged.push(written);
                    refused = 0;
                }
                Err(error) => {
                    assert_eq!(error.kind(), kind, "{error:?}");
                    assert!(error.is_retryable());
                    refused += 1;
                }
            }
        }
    }
    acknowledged
}

/// How many of a few renewals still find space; the others are refused as what they are.
async fn renew(bus: &Arc<dyn Bus>, scripts: &[Script], kind: ErrorKind) -> usize {
    let mut renewed = 0;
    for script in scripts.iter().cycle().take(30) {
        let Script { session, token: fencing_token, .. } = *script;
        let renew = LeaseOp::Renew { session, fencing_token, term: Duration::from_secs(600) };
        match bus.lease(renew).await {
            Ok(lease) => renewed += usize::from(lease.is_some()),
            Err(error) => assert_eq!(error.kind(), kind, "{error:?}"),
        }
    }
    renewed
}

async fn whole(path: &Path, acknowledged: &[Acknowledged]) {
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(path).await.unwrap());
    check::known(&bus, acknowledged).await;
    for number in 0..DRIVERS {
        check::session(&bus, SessionId::derive(&[&number.to_be_bytes()])).await;
    }
    bus.close().await.unwrap();
    check::integrity(path);
}

/// The process that has a small disk of its own, which is gone with it.
#[tokio::test]
async fn child_with_a_small_disk() {
    let Some(path) = child::store() else { return };
    fill_and_go_on(&path, ErrorKind::Full, || assert!(mount(&path, "remount,size=64m"))).await;
}

/// Runs a child on a disk of `size`, and gives what it told; `None`, and a word that is not captured,
/// where no disk can be mounted.
fn on_a_small_disk(name: &str, size: &str) -> Option<Vec<String>> {
    let lines = try_small_disk(name, size);
    if lines.is_none() {
        let text = format!("{name}: no disk can be mounted here: the length of files is limited instead\n");
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    lines
}

fn try_small_disk(name: &str, size: &str) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" || exit 77; shift 2; exec \"$@\"";
    let place = folder.path().to_str().unwrap();
    let wrapper = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", size, place];
    let command = child::command(&wrapper, name, &folder.path().join("store.db"), "");
    let (status, lines) = Running::spawn(command).ok()?.end();
    // `unshare` may be forbidden, too, and says so with 1 before the child says anything.
    if status.code() == Some(77) || lines.is_empty() {
        return None;
    }
    assert!(status.success() && lines.iter().any(|line| line == "done"), "{size}: {lines:#?}");
    Some(lines)
}

fn mount(path: &Path, options: &str) -> bool {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path.parent().unwrap());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_refuses_batches_as_full_and_the_same_handle_works_once_it_has_space() {
    for size in ["800k", "940k", "1600k"] {
        let Some(lines) = on_a_small_disk("full::child_with_a_small_disk", size) else {
            return limited("full::child_with_a_limit", 800 << 10);
        };
        println!("{size}: {lines:?}");
    }
}

#[test]
fn a_batch_that_does_not_fit_takes_no_lease_and_no_small_batch_with_it() {
    if on_a_small_disk("full::child_with_a_batch_that_does_not_fit", "2m").is_none() {
        // By a limit, which is an error of the disk, all that came with the large batch is refused.
        limited("full::child_with_a_limit", 2 << 20);
    }
}

/// The process that closes its store while the disk is full.
#[tokio::test]
async fn child_that_closes_on_a_full_disk() {
    let Some(path) = child::store() else { return };
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let session = SessionId::derive(&[&0_u64.to_be_bytes()]);
    let mut script = Script::take(&bus, session, Random::new()).await;
    let (mut acknowledged, mut random) = (vec![script.write().await.unwrap()], Random::new());
    loop {
        let batch = post_text(session, &mut random, &"x".repeat(50_000));
        match bus.append(batch.clone()).await {
            Ok(receipt) => acknowledged.push(Acknowledged::new(batch, receipt)),
            Err(error) => break assert_eq!(error.kind(), ErrorKind::Full),
        }
    }
    // Closing cannot finish the checkpoint.
    let _ = bus.close().await;
    assert!(fs::metadata(beside(&path, "-wal")).unwrap().len() > 0);
    if let Err(error) = SqliteBus::open(&path).await {
        assert!(error.is_retryable(), "{error:?}");
    }
    assert!(mount(&path, "remount,size=64m"));
    whole(&path, &acknowledged).await;
    tell("done");
}

#[tokio::test]
async fn a_store_that_was_closed_on_a_full_disk_opens_once_it_has_space() {
    if on_a_small_disk("full::child_that_closes_on_a_full_disk", "1100k").is_none() {
        ends_full_and_opens(510).await;
    }
}

/// The process whose files may not grow, until it lets them.
#[tokio::test]
async fn child_with_a_limit() {
    let Some(path) = child::store() else { return };
    limit_files(Some(child::argument().parse().unwrap()));
    // SQLite takes this limit for an error of the disk, and only a full one for full.
    fill_and_go_on(&path, ErrorKind::Io, || limit_files(None)).await;
}

/// How long the files of this process may become; `None` is no limit of its own.
fn limit_files(length: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: length.or(maximum), maximum }).unwrap();
}

/// Runs a child whose files may become so long, as it is told by its argument.
fn limited(name: &str, limit: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    // Else the limit's signal ends the process.
    let wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    let (status, lines) = Running::spawn(child::command(&wrapper, name, &path, limit)).unwrap().end();
    assert!(status.success() && lines.iter().any(|line| line == "done"), "{limit}: {lines:#?}");
    println!("{limit}: {lines:?}");
}

#[test]
fn files_that_may_not_grow_refuse_batches_and_the_same_handle_works_once_they_may() {
    for limit in [500 << 10, 633_333, 900 << 10] {
        limited("full::child_with_a_limit", limit);
    }
}

/// The process whose lease and small batches come beside a batch that does not fit.
#[tokio::test]
async fn child_with_a_batch_that_does_not_fit() {
    let Some(path) = child::store() else { return };
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let mut random = Random::new();
    let mut script = Script::take(&bus, SessionId::derive(&[b"session"]), random.clone()).await;
    script.write().await.unwrap();
    let session = script.session;
    let renew = LeaseOp::Renew { session, fencing_token: script.token, term: Duration::from_secs(600) };
    let lock = Connection::open(&path).unwrap();
    for _ in 0..5 {
        let [before, after] = [(); 2].map(|()| post(session, &mut random));
        let large = post_text(session, &mut random, &"x".repeat(2 << 20));
        // The first waits for the lock, and the others in the queue behind it.
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut all = Box::pin(futures::future::join4(
            bus.append(before),
            bus.lease(renew.clone()),
            bus.append(after),
            bus.append(large),
        ));
        assert!(futures::poll!(&mut all).is_pending());
        lock.execute_batch("ROLLBACK").unwrap();
        let (before, renewed, after, refused) = all.await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(after.unwrap().last, before.unwrap().last.plus(1));
        assert!(renewed.unwrap().is_some());
    }
    tell("done");
}

/// The process that is full when it ends.
#[tokio::test]
async fn child_that_ends_full() {
    let Some(path) = child::store() else { return };
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let mut script = Script::take(&bus, SessionId::derive(&[&0_u64.to_be_bytes()]), Random::new()).await;
    for written in fill(std::slice::from_mut(&mut script), ErrorKind::Io).await {
        tell(&format!("wrote {}", serde_json::to_string(&written).unwrap()));
    }
    let _ = bus.close().await;
}

#[tokio::test]
async fn a_store_that_could_not_grow_opens_when_it_can() {
    for kibibytes in (500..700).step_by(25) {
        ends_full_and_opens(kibibytes).await;
    }
}

async fn ends_full_and_opens(kibibytes: u32) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", 2 * kibibytes);
    let wrapper = ["sh", "-c", &limit, "sh"];
    let (_, lines) =
        Running::spawn(child::command(&wrapper, "full::child_that_ends_full", &path, "")).unwrap().end();
    let told = lines.iter().filter_map(|line| line.strip_prefix("wrote "));
    let acknowledged: Vec<_> = told.map(|text| serde_json::from_str(text).unwrap()).collect();
    assert!(!acknowledged.is_empty(), "{lines:#?}");
    whole(&path, &acknowledged).await;
}
