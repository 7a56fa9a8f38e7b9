//! Cases about branches.

use super::{
    sample::{Sample, delivery, say},
    stage::{Played, Stage},
    talk::new_thread,
    writing::refused,
};
use crate::{Bus, ErrorKind, ThreadQuery, Window};
use party_core::{Author, MOST_LEVELS, Op, Origin, ThreadId, ThreadKind};
use std::sync::Arc;

/// Both see what was said before, and neither what the other one says after.
pub async fn a040_a_branch_shares_its_beginning_and_goes_its_own_way(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(1..=5).await;
    let branch = sample.branch(feed, 3).await;
    sample.say(&[branch], "other").await;
    sample.say(&[feed], "on").await;
    assert_eq!(sample.shown(branch).await, "1:1 2:2 3:3 4:other");
    assert_eq!(sample.shown(feed).await, "1:1 2:2 3:3 4:4 5:5 6:on");
    let (own, theirs) = (Window::last(sample.session, branch, 9), Window::last(sample.session, feed, 9));
    let (own, theirs) = (bus.window(own).await.expect("it"), bus.window(theirs).await.expect("it"));
    assert_eq!(own.entries[..3], theirs.entries[..3], "shared by reference");
    sample.stands().await;
    Ok(())
}

/// Three levels down, wherever each of them began.
pub async fn a041_a_branch_of_branches_reads_through_all_of_them(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a", "b", "c"]).await;
    let one = sample.branch(feed, 2).await;
    sample.say_all(&[one], ["d", "e"]).await;
    let two = sample.branch(one, 3).await;
    sample.say(&[two], "f").await;
    let three = sample.branch(two, 4).await;
    sample.say(&[three], "g").await;
    let short = sample.branch(two, 1).await;
    for level in [feed, one, two] {
        sample.say(&[level], "later").await;
    }
    assert_eq!(sample.shown(three).await, "1:a 2:b 3:d 4:f 5:g");
    assert_eq!(sample.texts(Window::before(sample.session, three, 5, 3)).await, "2:b 3:d 4:f");
    assert_eq!(sample.texts(Window::after(sample.session, three, 1, 2)).await, "2:b 3:d");
    assert_eq!(sample.shown(short).await, "1:a");
    sample.stands().await;
    Ok(())
}

/// Also before the first one, of a thread that ended, and not where there is no entry.
pub async fn a_branch_begins_at_any_entry(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a", "b", "c"]).await;
    sample.decide([Op::Close { thread: feed }]).await.expect("it is open");
    for (after, shown) in [(0, ""), (1, "1:a"), (2, "1:a 2:b"), (3, "1:a 2:b 3:c")] {
        let branch = sample.branch(feed, after).await;
        assert_eq!(sample.shown(branch).await, shown);
        let listed = bus.threads(ThreadQuery::one(sample.session, branch)).await.expect("a list");
        assert_eq!(listed.entries[0].origin, Some(Origin { parent: feed, after }));
        assert_eq!(listed.entries[0].head, after);
    }
    let (thread, kind) = (new_thread(), ThreadKind::Private);
    for branch in [
        Op::Branch { thread, kind: kind.clone(), from: feed, after: 4 },
        Op::Branch { thread, kind: kind.clone(), from: new_thread(), after: 0 },
        Op::Branch { thread: feed, kind, from: feed, after: 1 },
        Op::Branch { thread, kind: ThreadKind::Tangent, from: feed, after: 1 },
    ] {
        refused(sample.decide([branch]).await, ErrorKind::Invalid);
    }
    sample.stands().await;
    Ok(())
}

/// A branch sees the summaries that ended before it and were made before it, and no others.
pub async fn a_branch_of_what_was_compacted_sees_what_its_parent_showed(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a", "b", "c", "d", "e"]).await;
    let before = sample.branch(feed, 5).await;
    sample.compact(feed, 2, 4, "b-d").await.expect("a range");
    for (after, shown) in
        [(1, "1:a"), (2, "1:a 2:b"), (3, "1:a 2:b 3:c"), (4, "1:a 4:b-d"), (5, "1:a 4:b-d 5:e")]
    {
        let branch = sample.branch(feed, after).await;
        assert_eq!(sample.shown(branch).await, shown, "after {after}");
        sample.say(&[branch], "own").await;
        assert_eq!(sample.shown(branch).await, format!("{shown} {}:own", after + 1));
    }
    assert_eq!(sample.shown(before).await, "1:a 2:b 3:c 4:d 5:e");
    let later = sample.branch(before, 5).await;
    assert_eq!(sample.shown(later).await, "1:a 2:b 3:c 4:d 5:e", "it descends from one that sees no summary");
    sample.stands().await;
    Ok(())
}

/// It begins where its parent was, however far that has come since.
pub async fn a_parent_that_goes_on_does_not_change_its_branches(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a", "b"]).await;
    let early = sample.branch(feed, 2).await;
    sample.say_all(&[feed], ["c", "d", "e"]).await;
    let late = sample.branch(feed, 4).await;
    sample.say_all(&[feed, early, late], ["x"]).await;
    let child = sample.branch(early, 3).await;
    assert_eq!(sample.shown(early).await, "1:a 2:b 3:x");
    assert_eq!(sample.shown(late).await, "1:a 2:b 3:c 4:d 5:x");
    assert_eq!(sample.shown(child).await, "1:a 2:b 3:x");
    sample.stands().await;
    Ok(())
}

/// Windows reach through many levels; more than the limit are refused.
pub async fn branches_of_branches_have_a_limit(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let mut threads = vec![sample.thread(["root"]).await];
    let item = sample.say(&threads, "level").await;
    let mut ops = Vec::new();
    for after in 2..2 + u64::from(MOST_LEVELS) {
        let (from, thread) = (threads[threads.len() - 1], new_thread());
        ops.push(Op::Branch { thread, kind: ThreadKind::Private, from, after });
        ops.extend(delivery(&item, &[thread]).ops);
        threads.push(thread);
    }
    sample.decide(ops).await.expect("so many levels");
    let deepest = threads[threads.len() - 1];
    let last = u64::from(MOST_LEVELS) + 2;
    let page = bus.window(Window::last(sample.session, deepest, 100)).await.expect("a window");
    let found: Vec<u64> = page.entries.iter().map(|entry| entry.position).collect();
    assert_eq!(found, (last - 99..=last).collect::<Vec<_>>());
    assert_eq!(sample.texts(Window::after(sample.session, deepest, 0, 2)).await, "1:root 2:level");
    let too_deep = Op::Branch { thread: new_thread(), kind: ThreadKind::Private, from: deepest, after: last };
    refused(sample.decide([too_deep]).await, ErrorKind::Invalid);
    Ok(())
}

/// The same name in two sessions names two threads.
pub async fn threads_are_named_within_their_session(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let (mut one, mut other) = (Sample::opened(&bus).await, Sample::opened(&bus).await);
    let (feed, child) = (new_thread(), new_thread());
    for (sample, text) in [(&mut one, "here"), (&mut other, "there")] {
        let open = Op::Open { thread: feed, kind: ThreadKind::Feed };
        sample.decide([open]).await.expect("it is new to the session");
        sample.say(&[feed], text).await;
    }
    let branch = Op::Branch { thread: child, kind: ThreadKind::Private, from: feed, after: 1 };
    one.decide([branch]).await.expect("a branch");
    one.compact(feed, 1, 1, "short").await.expect("a range");
    assert_eq!(other.shown(feed).await, "1:there");
    assert_eq!((one.shown(feed).await, one.shown(child).await), ("1:short".into(), "1:here".into()));
    refused(bus.window(Window::last(other.session, child, 1)).await, ErrorKind::NotFound);
    let shared = say(&Author::System, "everywhere");
    for sample in [&mut one, &mut other] {
        sample.write([delivery(&shared, &[feed])]).await.expect("one item in two sessions");
        sample.stands().await;
    }
    let nowhere: Vec<ThreadId> = vec![child];
    refused(other.write([delivery(&shared, &nowhere)]).await, ErrorKind::Invalid);
    Ok(())
}
