//! What the second host finds, and what the log says in the end.

use crate::{
    common::{self, PERSONAS, council, folded, in_words},
    host::{Host, QUESTION, ROUNDS, mary},
    named::Named,
};
use party_launch::{
    ErrorKind, Party,
    bus::{
        Batch, Bus, BusAdmin, BusExt, Classes, ErrorKind as BusErrorKind, Follow, LeaseOp, MemoryBus, Scope,
        SessionQuery,
    },
    core::{BatchId, CloseReason, Event, LeaseTaken, NewRecord, Offset, Record, SessionId, Timestamp},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use test_support::postgres::Cluster;
use tokio::time::{sleep, timeout};

/// For how long a driver takes its lease, and how often it renews it.
const TERM: Duration = Duration::from_secs(10);
const RENEWAL: Duration = Duration::from_millis(3_334);

/// For what needs no waiting.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a206_killed_in_mid_round_a_host_is_replaced_by_another_within_the_lease_time() {
    let (mut host, mut second) = two_hosts("killed").await;
    second.sees_all_but_mary().await;
    host.kill().await;
    let killed = Instant::now();
    assert_eq!(second.resume().await.unwrap_err().kind(), ErrorKind::Busy, "a dead host's lease holds");
    assert_eq!(second.driver().await.as_deref(), Some("host-a"));
    second.until_due().await;
    let party = second.resume().await.unwrap();
    assert!(host.before.elapsed() >= TERM, "taken over after {:?}", host.before.elapsed());
    assert!(killed.elapsed() < TERM + RENEWAL, "taken over after {:?}", killed.elapsed());
    second.finishes(party).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a206_let_go_by_a_host_that_lives_on_a_party_is_taken_over_at_once() {
    let (mut host, mut second) = two_hosts("let go").await;
    second.sees_all_but_mary().await;
    assert_eq!(second.resume().await.unwrap_err().kind(), ErrorKind::Busy, "the first host drives it");
    host.let_go().await;
    assert_eq!(second.driver().await, None);
    let party = second.resume().await.unwrap();
    second.finishes(party).await;
}

async fn two_hosts(schema: &str) -> (Host, Second) {
    let url = tokio::task::spawn_blocking(|| Cluster::shared().url()).await.unwrap();
    let host = timeout(SOON, Host::start(&url, schema)).await.unwrap();
    let store = Named::open("host-b", &url, schema).await;
    let bus: Arc<dyn Bus> = store.clone();
    let follow = Arc::clone(&bus).follow(host.session, Offset::START);
    let second = Second { session: host.session, store, bus, follow, seen: Vec::new() };
    (host, second)
}

/// The second host, which follows the session all the time.
struct Second {
    session: SessionId,
    store: Arc<Named>,
    bus: Arc<dyn Bus>,
    follow: Follow,
    seen: Vec<Arc<Record>>,
}

impl Second {
    async fn resume(&self) -> party_launch::Result<Party> {
        common::builder(Arc::clone(&self.bus), mary(false)).resume(self.session).await
    }

    /// Follows until so many records that `fit` have come.
    async fn sees(&mut self, times: usize, fit: impl Fn(&Record) -> bool) {
        let seen = async {
            while self.seen.iter().filter(|record| fit(record)).count() < times {
                self.seen.push(Arc::clone(self.follow.next().await.unwrap()));
            }
        };
        timeout(SOON, seen).await.unwrap();
    }

    async fn sees_all_but_mary(&mut self) {
        self.sees(2 * PERSONAS.len() - 1, |record| record.kind == "turnEnded").await;
    }

    async fn driver(&self) -> Option<String> {
        let found = self.bus.sessions(SessionQuery::one(self.session)).await.unwrap();
        found.entries[0].driver.as_ref().map(|driver| driver.host.clone())
    }

    async fn until_due(&self) {
        let is_due = async || {
            let due = self.bus.sessions(SessionQuery::due(10)).await.unwrap();
            due.entries.iter().any(|info| info.session == self.session)
        };
        assert!(!is_due().await, "it is driven");
        let waiting = async {
            while !is_due().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, waiting).await.unwrap();
    }

    /// The party goes on to its end, and the log is whole.
    async fn finishes(mut self, party: Party) {
        assert_eq!(timeout(SOON, party.finished()).await.unwrap().unwrap(), CloseReason::Finished);
        let (said, log) = undisturbed().await;
        assert_eq!(feed(&party).await, said, "each opinion once");
        party.shutdown().await.unwrap();
        let folded = folded(self.bus.as_ref(), self.session).await;
        assert_eq!(in_words(self.session, &folded), log);
        assert!(turns(&folded).values().all(|ended| *ended == 1), "{:?}", turns(&folded));

        let every = self.bus.read_to_end(self.session, Offset::START, Classes::ALL).await.unwrap();
        self.sees(every.len(), |_| true).await;
        assert_eq!(self.seen, every, "who followed has seen all, once");
        let report = self.store.inner.verify(Scope::Store).await.unwrap();
        assert_eq!((report.sessions, report.problems), (1, Vec::new()));
        self.fences_the_first(&every).await;
    }

    async fn fences_the_first(&self, records: &[Arc<Record>]) {
        let mut taken = records.iter().filter_map(|record| match record.event().unwrap() {
            Event::LeaseTaken(taken) => Some(taken),
            _ => None,
        });
        let taken = taken.next_back().unwrap();
        assert_eq!(taken.fencing_token, 2);
        let (session, fencing_token) = (self.session, 1);
        let renew = LeaseOp::Renew { session, fencing_token, term: TERM };
        assert_eq!(self.bus.lease(renew).await.unwrap(), None);
        let late = LeaseTaken { owner: "host-a".into(), fencing_token };
        let late = NewRecord::new(Timestamp::default(), &late.into());
        let head = records.last().unwrap().offset;
        let late = Batch::driver(session, BatchId::derive(&[b"late"]), head, fencing_token, vec![late]);
        assert_eq!(self.bus.append(late).await.unwrap_err().kind(), BusErrorKind::Fenced);
    }
}

/// What is said, and the log in words, where nobody is killed.
async fn undisturbed() -> (Vec<String>, Vec<String>) {
    let bus = Arc::new(MemoryBus::new());
    let party = council(bus.clone(), mary(false), ROUNDS).start(QUESTION).await.unwrap();
    party.finished().await.unwrap();
    let (said, session) = (feed(&party).await, party.session());
    party.shutdown().await.unwrap();
    assert_eq!(said.len(), 2 + 2 * PERSONAS.len());
    (said, in_words(session, &folded(bus.as_ref(), session).await))
}

async fn feed(party: &Party) -> Vec<String> {
    let (mut feed, mut said) = (party.feed(), Vec::new());
    while let Some(item) = feed.next().await.unwrap() {
        said.push(format!("{}: {}", item.author, item.text()));
    }
    said
}

/// How often each turn that began has ended.
fn turns(records: &[Arc<Record>]) -> BTreeMap<Offset, usize> {
    let mut turns = BTreeMap::new();
    for record in records {
        match record.event().unwrap() {
            Event::TurnStarted(_) => drop(turns.insert(record.offset, 0)),
            Event::TurnEnded(ended) => *turns.get_mut(&ended.turn.0).unwrap() += 1,
            _ => {}
        }
    }
    turns
}
