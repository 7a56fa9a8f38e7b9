//! Many handles write to the same sessions while another reads all of it: what it misses, what it sees
//! twice.

use party_benches::{Driven, Goal, Row};
use party_bus::{Batch, Bus as _, PostgresBus, PostgresOptions, Read, Watch};
use party_core::{Author, BatchId, Item, ItemId, MessagePosted, NewRecord, Offset, SessionId, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use test_support::postgres::Cluster;
use tokio::{task::JoinSet, time::timeout};

const HANDLES: u64 = 4;
const WRITERS_OF_EACH: u64 = 4;
const SESSIONS: u64 = 4;
/// How long they write, in seconds, unless the variable says otherwise.
const SECONDS: u64 = 5;
const VARIABLE: &str = "PARTY_BENCH_POSTGRES_SECONDS";
/// So long the reader goes on without news once nobody writes any more.
const QUIET: Duration = Duration::from_secs(3);

type Place = (SessionId, Offset);

pub(crate) async fn count(cluster: &Cluster) -> [Row; 2] {
    let named = std::env::var(VARIABLE).ok().map(|text| text.parse().expect("seconds"));
    let time = Duration::from_secs(named.unwrap_or(SECONDS));
    let reader = Arc::new(handle(cluster).await);
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        sessions.push(Driven::open(&*reader, number).await.expect("a session opens").session());
    }
    let reading = tokio::spawn(read(Arc::clone(&reader), time));
    let written = write(cluster, &sessions, time).await;
    let seen = reading.await.expect("the reader ends");
    reader.close().await.expect("the store closes");
    let twice = seen.values().filter(|count| **count > 1).count();
    let missed = written.iter().filter(|place| !seen.contains_key(place)).count();
    let what = |of: &str| {
        format!(
            "of {} acknowledged records of {} writers with {HANDLES} handles on {SESSIONS} sessions in {} s, those that a \
             reader {of}",
            written.len(),
            HANDLES * WRITERS_OF_EACH,
            time.as_secs()
        )
    };
    assert!(!written.is_empty(), "something was written");
    [
        Row::counted("postgres_16_writers_missed", Goal::Counted(0.0), missed as f64, what("missed")),
        Row::counted("postgres_16_writers_twice", Goal::Counted(0.0), twice as f64, what("saw twice")),
    ]
}

async fn handle(cluster: &Cluster) -> PostgresBus {
    let options = PostgresOptions::new(cluster.url()).schema("gaps");
    PostgresBus::open(options).await.expect("the store opens")
}

/// Where all that was written went.
async fn write(cluster: &Cluster, sessions: &[SessionId], time: Duration) -> BTreeSet<Place> {
    let (until, mut writers, mut handles) = (Instant::now() + time, JoinSet::new(), Vec::new());
    for number in 0..HANDLES {
        let bus = Arc::new(handle(cluster).await);
        handles.push(Arc::clone(&bus));
        for writer in 0..WRITERS_OF_EACH {
            let (bus, name) = (Arc::clone(&bus), number * WRITERS_OF_EACH + writer);
            let sessions = sessions.to_vec();
            writers.spawn(async move {
                let mut places = Vec::new();
                for (count, session) in (0..).zip(sessions.into_iter().cycle()) {
                    if Instant::now() >= until {
                        break;
                    }
                    let receipt = bus.append(input(session, name, count)).await.expect("the input is right");
                    places.push((session, receipt.first));
                }
                places
            });
        }
    }
    let places = writers.join_all().await.into_iter().flatten().collect();
    for bus in handles {
        bus.close().await.expect("the store closes");
    }
    places
}

fn input(session: SessionId, writer: u64, count: u64) -> Batch {
    let name: [&[u8]; 3] = [session.as_bytes(), &writer.to_be_bytes(), &count.to_be_bytes()];
    let (item, at) = (ItemId::derive(&name), Timestamp::from_micros(count.cast_signed()));
    let author = Author::human("ann");
    let record = NewRecord::new(at, &MessagePosted { item }.into()).with_item(Item::message(
        item,
        author.clone(),
        at,
        "It is a fair question.",
    ));
    Batch::input(session, BatchId::derive(&name), author, vec![record])
}

/// How often each record was seen by one that follows all sessions.
async fn read(bus: Arc<PostgresBus>, time: Duration) -> BTreeMap<Place, u32> {
    let (begun, mut since) = (Instant::now(), 0);
    let (mut seen, mut known) = (BTreeMap::new(), BTreeMap::<SessionId, Offset>::new());
    loop {
        let Ok(changed) = timeout(QUIET, bus.changed(Watch::Any { since })).await else {
            if begun.elapsed() > time { break } else { continue }
        };
        let changed = changed.expect("the store can be watched");
        since = changed.mark;
        for (session, _) in changed.sessions {
            let after = known.entry(session).or_insert(Offset::START);
            loop {
                let page = bus.read(Read::new(session, *after)).await.expect("the session is read");
                for record in &page.entries {
                    *seen.entry((session, record.offset)).or_default() += 1;
                }
                *after = Offset(page.scanned_to);
                if !page.more {
                    break;
                }
            }
        }
    }
    seen
}
