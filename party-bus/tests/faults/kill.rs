//! `kill -9` at any moment leaves what was acknowledged, and nothing half.

use crate::{
    check,
    child::{self, Running, tell},
    random::Random,
    script::{Acknowledged, Script, post},
};
use party_bus::{Batch, Bus, BusExt as _, ErrorKind, LeaseOp, Owner, SessionQuery, SqliteBus};
use party_core::{Offset, SessionId};
use std::{collections::BTreeMap, path::Path, sync::Arc, thread, time::Duration};

/// How many rounds; more make it a test for a night.
const ROUNDS: &str = "PARTY_TEST_KILL_ROUNDS";
/// Each round has so many drivers, and somebody who posts to all of their sessions.
const DRIVERS: u64 = 4;
/// A session is driven for so many rounds, by a process each.
const LIFE: u64 = 4;
/// The rounds are shared out among so many stores beside each other: a process mostly waits for its disk.
const STORES: u64 = 4;

fn sessions(round: u64) -> Vec<SessionId> {
    let first = round / LIFE * DRIVERS;
    (first..first + DRIVERS).map(|number| SessionId::derive(&[b"killed", &number.to_be_bytes()])).collect()
}

/// The process that is killed. It says what was acknowledged before it goes on, and closes and opens
/// its store now and then.
#[tokio::test]
async fn child_that_is_killed() {
    let Some(path) = child::store() else { return };
    let (round, seed) =
        child::argument().split_once(' ').map(|(round, seed)| (round.to_owned(), seed.to_owned())).unwrap();
    let (round, mut random) = (round.parse().unwrap(), Random::seeded(seed.parse().unwrap()));
    loop {
        let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
        tell("open");
        let mut work = tokio::task::JoinSet::new();
        for session in sessions(round) {
            work.spawn(drive(Arc::clone(&bus), session, Random::seeded(random.next())));
        }
        work.spawn(post_to(Arc::clone(&bus), sessions(round), Random::seeded(random.next())));
        while let Some(done) = work.join_next().await {
            done.unwrap();
        }
        tell("closing");
        bus.close().await.unwrap();
    }
}

async fn drive(bus: Arc<dyn Bus>, session: SessionId, mut random: Random) {
    let mut script = Script::take(&bus, session, Random::seeded(random.next())).await;
    tell(&format!("lease {session} {}", script.token));
    for _ in 0..10 + random.below(30) {
        let written = script.write().await.unwrap();
        tell(&format!("wrote {}", serde_json::to_string(&written).unwrap()));
    }
    script.release().await.unwrap();
}

async fn post_to(bus: Arc<dyn Bus>, sessions: Vec<SessionId>, mut random: Random) {
    for _ in 0..20 {
        let batch = post(*random.of(&sessions).unwrap(), &mut random);
        match bus.append(batch.clone()).await {
            Ok(receipt) => {
                let written = Acknowledged::new(batch, receipt);
                tell(&format!("wrote {}", serde_json::to_string(&written).unwrap()));
            }
            // Its driver has not begun it.
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        }
    }
}

/// What a process has said.
#[derive(Debug, Default)]
struct Heard {
    acknowledged: Vec<Acknowledged>,
    tokens: BTreeMap<SessionId, u64>,
    closing: bool,
}

impl Heard {
    fn take(&mut self, line: &str) {
        // The kill may tear the last line.
        match line.split_once(' ') {
            Some(("wrote", text)) => self.acknowledged.extend(serde_json::from_str::<Acknowledged>(text)),
            Some(("lease", text)) => {
                let Some((session, token)) = text.split_once(' ') else { return };
                if let (Ok(session), Ok(token)) = (session.parse(), token.parse()) {
                    self.tokens.insert(session, token);
                }
            }
            _ => self.closing |= line == "closing",
        }
    }
}

/// Runs a process for a while, and kills it: while it opens, or after some acknowledgements.
fn killed(path: &Path, round: u64, random: &mut Random) -> Heard {
    let running = Running::start("kill::child_that_is_killed", path, format!("{round} {}", random.next()));
    let mut heard = Heard::default();
    if random.happens(8) {
        thread::sleep(random.duration(Duration::from_millis(25)));
    } else if random.happens(8) {
        while !heard.closing {
            heard.take(&running.line().expect("the process lives until it is killed"));
        }
        thread::sleep(random.duration(Duration::from_millis(8)));
    } else {
        let wanted = 1 + random.below(40);
        while heard.acknowledged.len() < wanted {
            heard.take(&running.line().expect("the process lives until it is killed"));
        }
        thread::sleep(random.duration(Duration::from_millis(4)));
    }
    running.kill().iter().for_each(|line| heard.take(line));
    heard
}

/// The rest of the store: each session of earlier rounds is as long as it was.
async fn same_heads(bus: &Arc<dyn Bus>, heads: &BTreeMap<SessionId, Offset>) {
    let mut query = SessionQuery::newest();
    let mut found = BTreeMap::new();
    loop {
        let page = bus.sessions(query.clone()).await.unwrap();
        found.extend(page.entries.iter().map(|info| (info.session, info.head)));
        if !page.more {
            break assert_eq!(&found, heads);
        }
        query.skip = page.scanned_to;
    }
}

#[test]
fn a084_what_was_acknowledged_survives_kill_minus_nine_at_any_moment() {
    let rounds: u64 = std::env::var(ROUNDS).map_or(200, |rounds| rounds.parse().unwrap());
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(one_store(rounds.div_ceil(STORES)));
    };
    let stores: Vec<_> = (0..STORES).map(|_| thread::spawn(run)).collect();
    for store in stores {
        store.join().unwrap();
    }
}

/// A store whose processes are killed so many times, one after the other.
async fn one_store(rounds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (mut random, mut heads, mut count) = (Random::new(), BTreeMap::new(), 0);
    // A store that somebody else has open recovers in another way than one that nobody has.
    let mut kept: Option<Arc<dyn Bus>> = None;
    for round in 0..rounds {
        let heard = killed(&path, round, &mut random);
        count += heard.acknowledged.len();
        let bus = match kept.take() {
            Some(bus) => bus,
            None => Arc::new(SqliteBus::open(&path).await.unwrap()),
        };
        assert_eq!(bus.info().epoch, 1, "the machine did not stop");
        check::known(&bus, &heard.acknowledged).await;
        for session in sessions(round) {
            let records = check::session(&bus, session).await;
            if !records.is_empty() {
                heads.insert(session, Offset(records.len() as u64));
            }
            take_over(&bus, session, heard.tokens.get(&session)).await;
        }
        same_heads(&bus, &heads).await;
        match random.below(3) {
            0 => bus.close().await.unwrap(),
            1 => drop(bus),
            _ => kept = Some(bus),
        }
    }
    check::integrity(&path);
    println!("{rounds} rounds, {count} acknowledged batches, {} sessions", heads.len());
}

/// The dead process's lease is free at once, and is left free.
async fn take_over(bus: &Arc<dyn Bus>, session: SessionId, last: Option<&u64>) {
    let (owner, term) = (Owner::this_process(), Duration::from_secs(600));
    let lease = bus.lease(LeaseOp::Acquire { session, owner, term }).await.unwrap();
    let fencing_token = lease.expect("a dead driver is taken over at once").fencing_token;
    assert!(last.is_none_or(|last| fencing_token > *last), "{session}: {fencing_token} after {last:?}");
    if let Some(last) = last {
        let stale = Batch::driver(
            session,
            party_core::BatchId::derive(&[b"stale"]),
            bus.head(session).await.unwrap(),
            *last,
            vec![party_bus::conformance::note(party_core::RecordClass::Report, "stale")],
        );
        assert_eq!(bus.append(stale).await.unwrap_err().kind(), ErrorKind::Fenced);
    }
    bus.lease(LeaseOp::Release { session, fencing_token }).await.unwrap();
}
