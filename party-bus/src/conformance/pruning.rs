//! Cases about giving space back.

use super::{
    sample::{Sample, body, delivery, input, note},
    stage::{Played, Stage, needs},
    writing::refused,
};
use crate::{
    Bus, BusExt as _, Classes, ErrorKind, LeaseOp, PRUNED, Prune, Pruned, Read, SessionQuery, ThreadQuery,
    Watch, Window,
};
use party_core::{Offset, RecordClass};
use std::{sync::Arc, time::Duration};

/// Bodies of trace go, places stay.
pub async fn pruned_trace_leaves_no_holes(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.prune, "prune", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut sample = Sample::opened(&bus).await;
    let classes = [RecordClass::Trace, RecordClass::Report, RecordClass::Trace, RecordClass::Trace];
    sample.write(classes.map(|class| note(class, "long"))).await.expect("records");
    let prune = |up_to| Prune::Trace { session: sample.session, up_to: Offset(up_to) };
    refused(admin.prune(prune(4)).await, ErrorKind::Conflict);
    sample.release().await;
    assert_eq!(admin.prune(prune(4)).await.expect("nobody drives it"), Pruned { records: 2, items: 0 });
    assert_eq!(admin.prune(prune(4)).await.expect("nothing is left"), Pruned::default());
    let records = bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.expect("the log");
    let found: Vec<_> = records.iter().map(|record| (record.offset.0, record.kind.as_str())).collect();
    assert_eq!(found, [(1, "noted"), (2, PRUNED), (3, "noted"), (4, PRUNED), (5, "noted")]);
    let bodies: Vec<_> = records.iter().map(|record| record.body.get()).collect();
    let (opened, long) = (body("opened"), body("long"));
    assert_eq!(bodies, [opened.get(), "{}", long.get(), "{}", long.get()]);
    sample.stands().await;
    Ok(())
}

/// With its threads, names and retries; items that another session refers to stay.
pub async fn a_pruned_session_is_gone_and_its_id_is_free(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.prune, "prune", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let (mut gone, mut stays) = (Sample::opened(&bus).await, Sample::opened(&bus).await);
    let (theirs, own) = (gone.thread(["only here"]).await, stays.open_threads(1).await);
    let shared = gone.say(&[theirs], "shared").await;
    stays.write([delivery(&shared, &own)]).await.expect("one item in two sessions");
    let only = bus.window(Window::last(gone.session, theirs, 9)).await.expect("a window").entries;
    let only = only[0].item.id;
    let posted = input(gone.session, "posted");
    gone.head = bus.append(posted.clone()).await.expect("an input").last;

    let prune = Prune::Sessions(vec![stays.session, gone.session]);
    refused(admin.prune(prune).await, ErrorKind::Conflict);
    gone.release().await;
    let pruned = admin.prune(Prune::Sessions(vec![gone.session])).await.expect("nobody drives it");
    assert_eq!(pruned, Pruned { records: gone.head.0, items: 1 });

    refused(bus.items(&[only]).await, ErrorKind::NotFound);
    assert_eq!(bus.items(&[shared.id]).await.expect("it stays"), [shared]);
    let query = SessionQuery::one(gone.session);
    assert_eq!(bus.sessions(query).await.expect("a list").entries, []);
    assert_eq!(bus.threads(ThreadQuery::all(gone.session)).await.expect("a list").entries, []);
    refused(bus.window(Window::last(gone.session, theirs, 9)).await, ErrorKind::NotFound);
    refused(bus.append(posted).await, ErrorKind::NotFound);
    stays.stands().await;

    let mut again = Sample { head: Offset::START, ..gone };
    again.acquire().await;
    again.write([note(RecordClass::Decision, "anew")]).await.expect("its id is free");
    assert_eq!(again.head, Offset(1));
    again.stands().await;
    Ok(())
}

/// Whoever followed it or drove it learns that it is another one now.
pub async fn a_pruned_session_is_not_taken_for_the_next_of_its_name(stage: &dyn Stage) -> Played {
    let admin = stage.open().await;
    needs(|can| can.prune, "prune", &*admin)?;
    let bus: Arc<dyn Bus> = admin.clone();
    let mut old = Sample::opened(&bus).await;
    old.write([note(RecordClass::Report, "more")]).await.expect("a report");
    let (session, fencing_token) = (old.session, old.token);
    let expire = LeaseOp::Renew { session, fencing_token, term: Duration::ZERO };
    bus.lease(expire).await.expect("an answer").expect("it is held");
    admin.prune(Prune::Sessions(vec![session])).await.expect("nobody drives it");
    let watch = Watch::Session { session, after: old.head };
    bus.changed(watch).await.expect("such a reader is told at once");
    refused(bus.read(Read::new(session, old.head)).await, ErrorKind::Rewound);

    let mut new = Sample { bus: Arc::clone(&bus), session, token: 0, head: Offset::START };
    new.acquire().await;
    assert!(new.token > old.token, "tokens never go back");
    new.write([note(RecordClass::Decision, "anew")]).await.expect("its id is free");
    old.head = new.head;
    refused(old.write([note(RecordClass::Report, "late")]).await, ErrorKind::Fenced);
    Ok(())
}
