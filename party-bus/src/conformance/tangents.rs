//! Cases about tangents, and about threads that end.

use super::{
    sample::{Sample, delivery, say},
    stage::{Played, Stage},
    talk::new_thread,
    writing::refused,
};
use crate::{Bus, ErrorKind, ThreadInfo, ThreadQuery, Window};
use party_core::{Author, How, Op, Origin, ThreadId, ThreadKind, ThreadState};
use std::sync::Arc;

async fn listed(sample: &Sample, thread: ThreadId) -> ThreadInfo {
    let page = sample.bus.threads(ThreadQuery::one(sample.session, thread)).await.expect("a list");
    page.entries.into_iter().next().expect("it was opened")
}

/// It sees what stands up to its anchor, and its parent does not see it.
pub async fn a044_a_tangent_keeps_its_anchor_and_leaves_its_parent_as_it_is(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a", "b", "c"]).await;
    let tangent = sample.tangent(feed, 2).await;
    sample.say_all(&[tangent], ["why", "because"]).await;
    assert_eq!(sample.shown(tangent).await, "1:a 2:b 3:why 4:because");
    assert_eq!(sample.shown(feed).await, "1:a 2:b 3:c");
    let expected = ThreadInfo {
        thread: tangent,
        kind: ThreadKind::Tangent,
        state: ThreadState::Open,
        origin: Some(Origin { parent: feed, after: 2 }),
        head: 4,
    };
    assert_eq!(listed(&sample, tangent).await, expected);
    for (parent, anchor) in [(feed, 0), (feed, 4), (new_thread(), 1)] {
        let nowhere = Op::Tangent { thread: new_thread(), parent, anchor };
        refused(sample.decide([nowhere]).await, ErrorKind::Invalid);
    }
    sample.stands().await;
    Ok(())
}

/// One entry per result, by reference, with the anchor; a second time is refused.
pub async fn a045_a_tangent_resolves_into_its_parent_once(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a", "b"]).await;
    let tangent = sample.tangent(feed, 1).await;
    let results = [sample.say(&[tangent], "one").await, sample.say(&[tangent], "two").await];
    sample.say(&[feed], "meanwhile").await;
    let resolve = Op::Resolve { thread: tangent, items: results.iter().map(|item| item.id).collect() };
    let receipt = sample.decide([resolve.clone()]).await.expect("it is open");

    assert_eq!(sample.shown(feed).await, "1:a 2:b 3:meanwhile 4:one 5:two");
    let entries = bus.window(Window::last(sample.session, feed, 2)).await.expect("a window").entries;
    for (index, (entry, result)) in (0..).zip(entries.iter().zip(&results)) {
        assert_eq!(entry.how, How::Resolved { tangent, anchor: 1 });
        assert_eq!((entry.offset, entry.index, &entry.item), (receipt.first, index, result));
    }
    assert_eq!(listed(&sample, tangent).await.state, ThreadState::Resolved);
    for late in [resolve, Op::Abandon { thread: tangent }] {
        refused(sample.decide([late]).await, ErrorKind::Invalid);
    }
    assert_eq!(listed(&sample, feed).await.head, 5);
    sample.stands().await;
    Ok(())
}

/// And nothing comes of it later.
pub async fn a191_an_abandoned_tangent_leaves_its_parent_as_it_was(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a", "b"]).await;
    let tangent = sample.tangent(feed, 2).await;
    let result = sample.say(&[tangent], "never mind").await;
    sample.decide([Op::Abandon { thread: tangent }]).await.expect("it is open");
    assert_eq!(sample.shown(feed).await, "1:a 2:b");
    assert_eq!(sample.shown(tangent).await, "1:a 2:b 3:never mind");
    assert_eq!(listed(&sample, tangent).await.state, ThreadState::Abandoned);
    let resolve = Op::Resolve { thread: tangent, items: vec![result.id] };
    for late in [resolve, Op::Abandon { thread: tangent }] {
        refused(sample.decide([late]).await, ErrorKind::Invalid);
    }
    assert_eq!(sample.shown(feed).await, "1:a 2:b");
    sample.stands().await;
    Ok(())
}

/// What comes of the inner one reaches the outer one, and their parent only through it.
pub async fn a191_a_tangent_of_a_tangent_resolves_into_that_one_only(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a"]).await;
    let outer = sample.tangent(feed, 1).await;
    sample.say(&[outer], "b").await;
    let inner = sample.tangent(outer, 2).await;
    let result = sample.say(&[inner], "c").await;
    let resolve = Op::Resolve { thread: inner, items: vec![result.id] };
    sample.decide([resolve]).await.expect("it is open");
    assert_eq!(sample.shown(inner).await, "1:a 2:b 3:c");
    assert_eq!(sample.shown(outer).await, "1:a 2:b 3:c");
    assert_eq!(sample.shown(feed).await, "1:a");
    let resolve = Op::Resolve { thread: outer, items: vec![result.id] };
    sample.decide([resolve]).await.expect("it is open");
    assert_eq!(sample.shown(feed).await, "1:a 2:c");
    sample.stands().await;
    Ok(())
}

/// However it ended, and although others of the same record would.
pub async fn a_thread_that_ended_takes_no_entries(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a"]).await;
    let (closed, resolved, abandoned) =
        (sample.thread(["b"]).await, sample.tangent(feed, 1).await, sample.tangent(feed, 1).await);
    let result = sample.say(&[resolved], "c").await;
    let orphan = sample.tangent(closed, 1).await;
    let ends = [
        Op::Close { thread: closed },
        Op::Resolve { thread: resolved, items: vec![result.id] },
        Op::Abandon { thread: abandoned },
    ];
    sample.decide(ends).await.expect("all are open");
    let item = say(&Author::System, "late");
    for thread in [closed, resolved, abandoned] {
        refused(sample.write([delivery(&item, &[feed, thread])]).await, ErrorKind::Invalid);
        let tangent = Op::Tangent { thread: new_thread(), parent: thread, anchor: 1 };
        refused(sample.decide([tangent]).await, ErrorKind::Invalid);
    }
    let into_closed = Op::Resolve { thread: orphan, items: vec![result.id] };
    refused(sample.decide([into_closed]).await, ErrorKind::Invalid);
    sample.decide([Op::Abandon { thread: orphan }]).await.expect("it is open still");
    assert_eq!(sample.shown(feed).await, "1:a 2:c");
    refused(bus.items(&[item.id]).await, ErrorKind::NotFound);
    sample.stands().await;
    Ok(())
}

/// Only tangents are resolved and abandoned, and only others are opened and closed.
pub async fn each_kind_of_thread_ends_in_its_own_way(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a"]).await;
    let tangent = sample.tangent(feed, 1).await;
    let result = sample.say(&[tangent], "b").await;
    let how = How::Resolved { tangent, anchor: 1 };
    for op in [
        Op::Open { thread: new_thread(), kind: ThreadKind::Tangent },
        Op::Close { thread: tangent },
        Op::Close { thread: new_thread() },
        Op::Resolve { thread: feed, items: vec![result.id] },
        Op::Resolve { thread: tangent, items: vec![] },
        Op::Abandon { thread: feed },
        Op::Add { threads: vec![feed], item: result.id, how },
        Op::Add { threads: vec![feed], item: result.id, how: How::Summary { first: 1, last: 1 } },
    ] {
        refused(sample.decide([op]).await, ErrorKind::Invalid);
    }
    sample.decide([Op::Close { thread: feed }]).await.expect("it is open");
    refused(sample.decide([Op::Close { thread: feed }]).await, ErrorKind::Invalid);
    sample.stands().await;
    Ok(())
}

/// Oldest first, by parent and by kind, page by page.
pub async fn threads_are_listed_oldest_first(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let feed = sample.thread(["a", "b"]).await;
    let guest = new_thread();
    let kind = ThreadKind::Other("lobby".into());
    let both = [Op::Open { thread: guest, kind: kind.clone() }, Op::Close { thread: guest }];
    sample.decide(both).await.expect("opened and closed at once");
    let (branch, tangent) = (sample.branch(feed, 1).await, sample.tangent(feed, 2).await);
    let of_branch = sample.branch(branch, 1).await;
    let list = async |query: ThreadQuery| {
        let page = bus.threads(query).await.expect("a list");
        let threads: Vec<ThreadId> = page.entries.iter().map(|info| info.thread).collect();
        (threads, page.scanned_to, page.more)
    };
    let all = ThreadQuery::all(sample.session);
    assert_eq!(list(all.clone()).await, (vec![feed, guest, branch, tangent, of_branch], 5, false));
    let children = ThreadQuery::children(sample.session, feed);
    assert_eq!(list(children).await, (vec![branch, tangent], 2, false));
    let mut query = all.clone();
    query.kind = Some(kind.clone());
    assert_eq!(list(query).await, (vec![guest], 1, false));
    let mut query = all;
    (query.skip, query.limit) = (1, 2);
    assert_eq!(list(query).await, (vec![guest, branch], 3, true));
    let info = ThreadInfo { thread: guest, kind, state: ThreadState::Closed, origin: None, head: 0 };
    assert_eq!(listed(&sample, guest).await, info);
    let nowhere = ThreadQuery::all(party_core::SessionId::derive(&[b"nowhere"]));
    assert_eq!(list(nowhere).await, (vec![], 0, false));
    assert_eq!(list(ThreadQuery::one(sample.session, new_thread())).await.0, []);
    Ok(())
}
