//! How long a lone writer waits for each of its writes.

use crate::{Driven, Peer, Prepared, cpu_micros, median, peer_of};
use party_bus::{Batch, Bus as _, SqliteBus};
use std::{
    collections::VecDeque,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// A store and a raw peer with the same session, and batches that lie ready: making them is not measured.
#[derive(Debug)]
pub struct Alone {
    bus: Arc<SqliteBus>,
    ours: (Driven, VecDeque<Batch>),
    peer: Peer,
    theirs: (Driven, VecDeque<Prepared>),
    ready: usize,
    /// What each block's writes computed, in microseconds each.
    cpu: [Vec<f64>; 2],
}

impl Alone {
    /// Both in `folder`, with a session of so many threads; `ready` batches are more than a block can write.
    pub async fn new(folder: &Path, threads: u64, ready: usize) -> Self {
        let store = folder.join("store.db");
        let bus = SqliteBus::open(&store).await.expect("a store opens");
        let ours = Driven::open_with(&bus, 0, threads).await.expect("a session opens");
        let (peer, mut twins) =
            peer_of(&store, &folder.join("raw.db"), std::slice::from_ref(&ours)).expect("a peer opens");
        let twin = twins.pop().expect("a twin of each session");
        let (ours, theirs) = ((ours, VecDeque::new()), (twin, VecDeque::new()));
        Self { bus: Arc::new(bus), ours, peer, theirs, ready, cpu: [Vec::new(), Vec::new()] }
    }

    /// The median time from the call to the acknowledgement, in microseconds, over a block of that length.
    pub fn ours(&mut self, runtime: &Runtime, block: Duration) -> f64 {
        let (session, ready) = &mut self.ours;
        ready.extend((ready.len()..self.ready).map(|_| session.batch()));
        let (bus, mut batches) = (Arc::clone(&self.bus), std::mem::take(ready));
        let before = cpu_micros();
        // As a task: the main thread of a runtime is woken in another way than its workers.
        let writing = runtime.spawn(async move {
            let (until, mut times) = (Instant::now() + block, Vec::new());
            while Instant::now() < until
                && let Some(batch) = batches.pop_front()
            {
                let begun = Instant::now();
                bus.append(batch).await.expect("the batch is right");
                times.push(begun.elapsed().as_secs_f64() * 1e6);
            }
            (times, batches)
        });
        let (times, rest) = runtime.block_on(writing).expect("the writer ends");
        *ready = rest;
        self.cpu[0].push((cpu_micros() - before) / times.len() as f64);
        median(&times)
    }

    /// The same of the peer's commits.
    pub fn theirs(&mut self, block: Duration) -> f64 {
        let (session, ready) = &mut self.theirs;
        ready.extend((ready.len()..self.ready).map(|_| session.rows()));
        let (before, until, mut times) = (cpu_micros(), Instant::now() + block, Vec::new());
        while Instant::now() < until
            && let Some(batch) = ready.pop_front()
        {
            let begun = Instant::now();
            self.peer.write(std::slice::from_ref(&batch)).expect("the batch is right");
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        self.cpu[1].push((cpu_micros() - before) / times.len() as f64);
        median(&times)
    }

    /// What a write computes on either side.
    pub fn cpu(&self) -> String {
        let [ours, theirs] = [0, 1].map(|side| median(&self.cpu[side]));
        format!("{ours:.0} us of CPU / {theirs:.0} us")
    }

    /// Closes the store.
    pub async fn close(self) {
        self.bus.close().await.expect("the store closes");
    }
}
