//! Many writers, beside a raw loop.

use crate::peer::{Peer, Ready};
use party_benches::{Driven, Goal, Pairs, Row, median, scratch};
use party_bus::{Batch, Bus as _, PostgresBus, PostgresOptions};
use std::{
    cell::RefCell,
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use test_support::postgres::Cluster;
use tokio::{runtime::Runtime, task::JoinSet};

const PAIRS: usize = 16;
const BLOCK: Duration = Duration::from_millis(300);
const WRITERS: usize = 64;
/// Batches of each writer that lie ready before a block, more than it can write.
const READY: usize = 200;

type Writer = (Driven, VecDeque<Batch>);

pub(crate) fn beside_raw(runtime: &Runtime, cluster: &Cluster) -> Row {
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let (bus, mut writers) = runtime.block_on(opened(cluster, "ours"));
    // The same tables and sessions, in a schema that no store has open.
    let (other, mut twins) = runtime.block_on(opened(cluster, "raw"));
    let peer = runtime.block_on(async {
        other.close().await.expect("the store closes");
        RefCell::new(Peer::connect(cluster, "raw").await.expect("the server takes a connection"))
    });
    let waits = RefCell::new(Vec::new());
    let measured = Pairs::on_disk(PAIRS, folder.path()).run(
        || {
            let (rate, wait) = runtime.block_on(ours(&bus, &mut writers));
            waits.borrow_mut().push(wait);
            rate
        },
        || runtime.block_on(theirs(&mut peer.borrow_mut(), &mut twins)),
    );
    runtime.block_on(bus.close()).expect("the store closes");
    let (left, right) = measured.sides;
    let what = format!(
        "64 async writers ({left:.0}/s, p50 {:.1} ms to the ack) / a raw loop of the same checked statements for 64 \
         batches each ({right:.0}/s); {measured}",
        median(&waits.into_inner())
    );
    Row::timed("postgres_64_writers_vs_raw", Goal::AtLeast(0.8), &measured, what)
}

async fn opened(cluster: &Cluster, schema: &str) -> (Arc<PostgresBus>, Vec<Writer>) {
    let options = PostgresOptions::new(cluster.url()).schema(schema);
    let bus = PostgresBus::open(options).await.expect("a store opens");
    let mut writers = Vec::new();
    for number in 0..WRITERS as u64 {
        writers.push((Driven::open(&bus, number).await.expect("a session opens"), VecDeque::new()));
    }
    (Arc::new(bus), writers)
}

/// Acknowledged appends per second, and the median wait in milliseconds.
async fn ours(bus: &Arc<PostgresBus>, writers: &mut Vec<Writer>) -> (f64, f64) {
    for (session, ready) in writers.iter_mut() {
        ready.extend((ready.len()..READY).map(|_| session.batch()));
    }
    let (begun, mut tasks) = (Instant::now(), JoinSet::new());
    for (session, mut ready) in writers.drain(..) {
        let bus = Arc::clone(bus);
        tasks.spawn(async move {
            let mut waits = Vec::new();
            while begun.elapsed() < BLOCK
                && let Some(batch) = ready.pop_front()
            {
                let asked = Instant::now();
                bus.append(batch).await.expect("the batch is right");
                waits.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            (waits, (session, ready))
        });
    }
    let ended = tasks.join_all().await;
    let time = begun.elapsed().as_secs_f64();
    let waits: Vec<f64> = ended.iter().flat_map(|(waits, _)| waits).copied().collect();
    writers.extend(ended.into_iter().map(|(_, writer)| writer));
    (waits.len() as f64 / time, median(&waits))
}

/// The same of the raw loop: a batch of each session at once.
async fn theirs(peer: &mut Peer, twins: &mut [Writer]) -> f64 {
    let mut groups: VecDeque<Vec<Ready>> = VecDeque::new();
    for (session, ready) in twins.iter_mut() {
        ready.extend((ready.len()..READY).map(|_| session.batch()));
    }
    for place in 0..READY {
        groups.push_back(twins.iter().map(|(_, ready)| Ready::new(&ready[place])).collect());
    }
    let (begun, mut appends, mut written) = (Instant::now(), 0.0, 0);
    while begun.elapsed() < BLOCK
        && let Some(group) = groups.pop_front()
    {
        peer.write(&group).await.expect("the batches are right");
        appends += group.len() as f64;
        written += 1;
    }
    let time = begun.elapsed().as_secs_f64();
    twins.iter_mut().for_each(|(_, ready)| drop(ready.drain(..written)));
    appends / time
}
