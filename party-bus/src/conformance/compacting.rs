//! Cases about compaction.

use super::{
    sample::Sample,
    stage::{Played, Stage},
    writing::refused,
};
use crate::{Bus, BusExt as _, Classes, ErrorKind, Window};
use party_core::{Author, How, Offset, ThreadId, Topology};
use std::sync::Arc;

/// The summary stands at the end of its range; what it stands for stays in the archive, by its authors.
pub async fn a042_a_compaction_shows_a_summary_and_keeps_the_originals(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let threads = sample.open_threads(2).await;
    let (feed, private) = (threads[0], threads[1]);
    sample.say_all(&threads, ["a", "b", "c", "d", "e"]).await;
    let first = sample.say(&threads, "f").await;
    let receipt = sample.compact(feed, 2, 4, "b-d").await.expect("a range");

    assert_eq!(sample.shown(feed).await, "1:a 4:b-d 5:e 6:f");
    assert_eq!(sample.archive(feed).await, "1:a 2:b 3:c 4:d 5:e 6:f");
    assert_eq!(sample.shown(private).await, "1:a 2:b 3:c 4:d 5:e 6:f");
    let shown = bus.window(Window::last(sample.session, feed, 9)).await.expect("a window").entries;
    let summary = &shown[1];
    assert_eq!((summary.offset, summary.index), (receipt.first, 0));
    assert_eq!(summary.how, How::Summary { first: 2, last: 4 });
    assert_eq!(summary.item.author, Author::agent("Scribe"));
    let archive = bus.window(Window::last(sample.session, feed, 9).archive()).await.expect("a window");
    assert!(archive.entries.iter().all(|entry| entry.item.author == Author::agent("Mary")));
    assert_eq!(bus.items(&[archive.entries[5].item.id]).await.expect("it stays"), [first]);
    sample.say(&[feed], "on").await;
    assert_eq!(sample.shown(feed).await, "1:a 4:b-d 5:e 6:f 7:on");
    sample.stands().await;
    Ok(())
}

/// A driver that summarised what it had read writes the summary of that, whatever came meanwhile.
pub async fn a043_what_comes_while_a_summary_is_made_is_neither_lost_nor_covered(
    stage: &dyn Stage,
) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a", "b", "c"]).await;
    let read = bus.window(Window::last(sample.session, feed, 9)).await.expect("a window").entries;
    let head = sample.head;
    sample.say(&[feed], "meanwhile").await;
    sample.head = head;
    refused(sample.compact(feed, 1, read.len() as u64, "a-c").await, ErrorKind::Conflict);
    sample.head = bus.head(sample.session).await.expect("a head");
    sample.compact(feed, 1, read.len() as u64, "a-c").await.expect("a range");
    assert_eq!(sample.shown(feed).await, "3:a-c 4:meanwhile");
    assert_eq!(sample.archive(feed).await, "1:a 2:b 3:c 4:meanwhile");
    sample.stands().await;
    Ok(())
}

/// One may cover others whole, also the very same range; none cuts through another.
pub async fn compactions_nest_and_never_cross(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(1..=9).await;
    sample.compact(feed, 4, 6, "small").await.expect("a range");
    for (first, last) in
        [(5, 7), (1, 4), (5, 5), (4, 5), (6, 9), (0, 3), (3, 2), (8, 10), (u64::MAX, u64::MAX)]
    {
        refused(sample.compact(feed, first, last, "cut").await, ErrorKind::Invalid);
    }
    assert_eq!(sample.shown(feed).await, "1:1 2:2 3:3 6:small 7:7 8:8 9:9");
    sample.compact(feed, 4, 6, "again").await.expect("the same range");
    sample.compact(feed, 8, 9, "apart").await.expect("a range apart");
    assert_eq!(sample.shown(feed).await, "1:1 2:2 3:3 6:again 7:7 9:apart");
    sample.compact(feed, 3, 7, "larger").await.expect("a range that covers one");
    assert_eq!(sample.shown(feed).await, "1:1 2:2 7:larger 9:apart");
    sample.compact(feed, 1, 9, "all").await.expect("a range that covers all");
    assert_eq!(sample.shown(feed).await, "9:all");
    assert_eq!(sample.archive(feed).await, "1:1 2:2 3:3 4:4 5:5 6:6 7:7 8:8 9:9");
    sample.stands().await;
    Ok(())
}

/// Its parent, its siblings and those that left it before show what they showed.
pub async fn a_branch_compacts_what_it_inherits_for_itself(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a", "b", "c", "d"]).await;
    sample.compact(feed, 2, 3, "b-c").await.expect("a range");
    let (branch, sibling) = (sample.branch(feed, 4).await, sample.branch(feed, 4).await);
    sample.say_all(&[branch, sibling], ["e"]).await;
    let early = sample.branch(branch, 5).await;
    refused(sample.compact(branch, 3, 5, "cut").await, ErrorKind::Invalid);
    sample.compact(branch, 2, 5, "b-e").await.expect("a range that covers an inherited one");
    let late = sample.branch(branch, 5).await;
    assert_eq!(sample.shown(branch).await, "1:a 5:b-e");
    assert_eq!(sample.shown(late).await, "1:a 5:b-e");
    assert_eq!(sample.shown(feed).await, "1:a 3:b-c 4:d");
    for untouched in [sibling, early] {
        assert_eq!(sample.shown(untouched).await, "1:a 3:b-c 4:d 5:e");
    }
    sample.compact(feed, 1, 4, "a-d").await.expect("a range");
    assert_eq!(sample.shown(branch).await, "1:a 5:b-e");
    assert_eq!(sample.shown(sibling).await, "1:a 3:b-c 4:d 5:e");
    for thread in [branch, sibling, early, late] {
        assert_eq!(sample.archive(thread).await, "1:a 2:b 3:c 4:d 5:e");
    }
    sample.stands().await;
    Ok(())
}

/// Whatever part is asked for, of either layer: last, before and after each position, of any size.
pub async fn a_window_at_every_position_equals_the_fold(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(1..=7).await;
    sample.compact(feed, 3, 4, "3-4").await.expect("a range");
    let branch = sample.branch(feed, 5).await;
    sample.say_all(&[branch], 6..=9).await;
    sample.compact(branch, 2, 6, "2-6").await.expect("a range");
    sample.compact(branch, 8, 9, "8-9").await.expect("a range");
    let leaf = sample.branch(branch, 8).await;
    sample.say(&[leaf], "9").await;
    let topology = folded(&sample).await;
    for thread in [feed, branch, leaf] {
        for limit in (0..=10).chain([u32::MAX]) {
            every_side(&sample, &topology, thread, limit).await;
        }
    }
    Ok(())
}

async fn every_side(sample: &Sample, topology: &Topology, thread: ThreadId, limit: u32) {
    let sides = (0..=11).chain([u64::MAX]).flat_map(|position| {
        [
            Window::before(sample.session, thread, position, limit),
            Window::after(sample.session, thread, position, limit),
        ]
    });
    for window in sides.chain([Window::last(sample.session, thread, limit)]) {
        for window in [window, window.archive()] {
            equals(sample, topology, window).await;
        }
    }
}

/// The window is what the ops make of it.
pub(super) async fn equals(sample: &Sample, topology: &Topology, window: Window) {
    let page = sample.bus.window(window).await.expect("a window of a thread");
    assert_eq!(crate::verify::differs(topology, &window, &page), None, "{window:?}");
}

/// What the session's log makes.
pub(super) async fn folded(sample: &Sample) -> Topology {
    let mut topology = Topology::default();
    let records = sample.bus.read_to_end(sample.session, Offset::START, Classes::ALL).await;
    for record in records.expect("the log") {
        topology.apply(record.offset, &record.ops).expect("the store took these ops");
    }
    topology
}
