//! The work whose syncs are counted, in phases that the traced program marks.

use futures::future::join_all;
use party_benches::Driven;
use party_bus::{Bus as _, Read, SessionQuery, SqliteBus, ThreadQuery, Window};
use party_core::{ItemId, Offset};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the traced program works.
pub(crate) const FOLDER: &str = "PARTY_BENCH_COUNTED";
/// What a phase looks up, which is nowhere: a call that nothing else makes.
pub(crate) const MARK: &str = "/party-bench-phase/";
/// So few that the log is not moved into the file meanwhile.
const BATCHES: u64 = 200;
const WRITERS: u64 = 64;
const BATCHES_OF_EACH: u64 = 10;
const READS_OF_EACH: u64 = 40;
/// So many that it is.
const LONG: u64 = 1_600;

pub(crate) fn told() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

pub(crate) async fn all(folder: &Path) {
    let bus = SqliteBus::open(folder.join("alone.db")).await.expect("a store opens");
    let mut driven = Driven::open(&bus, 0).await.expect("a session opens");
    mark("alone", BATCHES);
    write(&bus, &mut driven, BATCHES).await;
    mark("reads", 6 * READS_OF_EACH);
    read(&bus, &driven).await;
    // The first one notes on the disk that from now on something may be lost.
    bus.append(driven.trace()).await.expect("the batch is right");
    mark("traces", BATCHES);
    for _ in 0..BATCHES {
        bus.append(driven.trace()).await.expect("the batch is right");
    }
    mark("", 0);
    bus.close().await.expect("the store closes");
    crowd(&folder.join("crowd.db")).await;
    let bus = SqliteBus::open(folder.join("long.db")).await.expect("a store opens");
    let mut driven = Driven::open(&bus, 0).await.expect("a session opens");
    mark("long", LONG);
    write(&bus, &mut driven, LONG).await;
    mark("", 0);
    bus.close().await.expect("the store closes");
}

/// Begins a phase in which so much is done.
fn mark(phase: &str, done: u64) {
    drop(fs::metadata(format!("{MARK}{phase}/{done}")));
}

async fn write(bus: &SqliteBus, driven: &mut Driven, batches: u64) {
    for _ in 0..batches {
        bus.append(driven.batch()).await.expect("the batch is right");
    }
}

async fn read(bus: &SqliteBus, driven: &Driven) {
    let (session, thread) = (driven.session(), driven.thread());
    let item: ItemId = driven.last_item();
    for _ in 0..READS_OF_EACH {
        bus.window(Window::last(session, thread, 100)).await.expect("the thread is there");
        bus.read(Read::new(session, Offset::START)).await.expect("the session is there");
        bus.items(&[item]).await.expect("the item is there");
        bus.sessions(SessionQuery::newest()).await.expect("sessions are listed");
        bus.threads(ThreadQuery::all(session)).await.expect("threads are listed");
        bus.sessions(SessionQuery::one(session)).await.expect("the session is found");
    }
}

/// Many writers at once, whose batches make groups; the groups are what a sync is for.
async fn crowd(store: &Path) {
    let bus = Arc::new(SqliteBus::open(store).await.expect("a store opens"));
    let mut sessions = Vec::new();
    for number in 0..WRITERS {
        sessions.push(Driven::open(&*bus, number).await.expect("a session opens"));
    }
    let before = bus.stats().commits;
    mark("crowd", 0);
    let writers = sessions.into_iter().map(|mut session| {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move { write(&bus, &mut session, BATCHES_OF_EACH).await })
    });
    join_all(writers).await.into_iter().for_each(|ended| ended.expect("the writer ends"));
    // Only now it is known how many groups there were.
    mark("groups", bus.stats().commits - before);
    mark("", 0);
    bus.close().await.expect("the store closes");
}
