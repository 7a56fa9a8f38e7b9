//! Cases about what sessions are called, when they are due, and copies that are not complete.

use super::{
    sample::{Sample, fresh, input, note},
    stage::{Played, Stage},
    writing::refused,
};
use crate::{
    Batch, Bus, BusExt as _, ErrorKind, Label, LeaseOp, Owner, Read, SessionInfo, SessionQuery, Wake,
};
use party_core::{Author, Offset, RecordClass, SessionId, Timestamp};
use std::{sync::Arc, time::Duration};

async fn info(bus: &dyn Bus, session: SessionId) -> SessionInfo {
    let page = bus.sessions(SessionQuery::one(session)).await.expect("a list");
    page.entries.into_iter().next().expect("it has records")
}

async fn due(bus: &dyn Bus) -> Vec<SessionId> {
    let page = bus.sessions(SessionQuery::due(1_000)).await.expect("a list");
    page.entries.into_iter().map(|info| info.session).collect()
}

/// A new session of one record that wants to be driven then.
async fn waking(bus: &Arc<dyn Bus>, wake: impl Into<Option<Wake>>) -> Sample {
    let mut sample = Sample::new(bus).await;
    let batch = Batch { wake: wake.into(), ..sample.batch([note(RecordClass::Decision, "opened")]) };
    sample.head = bus.append(batch).await.expect("a first batch").last;
    sample
}

/// By kind and by parent, with its first batch and for ever.
pub async fn a_session_is_found_by_what_it_is_called(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let parent = Sample::opened(&bus).await.session;
    let kind = format!("ledger {:?}", fresh());
    let label = |key: &str, parent| Label { kind: kind.clone(), key: key.into(), parent };
    let mut named = Vec::new();
    for label in [label("monday", None), label("tuesday", Some(parent))] {
        let mut sample = Sample::new(&bus).await;
        let batch = sample.batch([note(RecordClass::Decision, "opened")]).labelled(label.clone());
        sample.head = bus.append(batch).await.expect("a first batch").last;
        sample.write([note(RecordClass::Decision, "on")]).await.expect("a second batch");
        assert_eq!(info(&*bus, sample.session).await.label, Some(label));
        named.push(sample.session);
    }
    let found = async |query| -> Vec<SessionId> {
        let page = bus.sessions(query).await.expect("a list");
        page.entries.into_iter().map(|info| info.session).collect()
    };
    let mut of_kind = SessionQuery::newest();
    of_kind.kind = Some(kind.clone());
    let mut all = found(of_kind.clone()).await;
    all.sort_unstable();
    named.sort_by_key(|session| all.binary_search(session).expect("it is called so"));
    assert_eq!(all, named);
    of_kind.parent = Some(parent);
    let below = found(of_kind).await;
    assert_eq!(below.len(), 1);
    assert_eq!(info(&*bus, below[0]).await.label, Some(label("tuesday", Some(parent))));
    assert_eq!(info(&*bus, parent).await.label, None);
    Ok(())
}

/// By the store's clock, the longest due first; those that are driven, idle or not yet due are not.
pub async fn sessions_are_due_when_their_time_has_come_and_nobody_drives_them(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let at = |micros| Wake::At(Timestamp::from_micros(micros));
    let late = waking(&bus, at(2_000)).await;
    let early = waking(&bus, at(1_000)).await;
    let now = waking(&bus, Wake::Now).await;
    let driven = waking(&bus, Wake::Now).await;
    let others =
        [waking(&bus, Wake::Idle).await, waking(&bus, at(i64::MAX / 2)).await, waking(&bus, None).await];
    for sample in [&late, &early, &now].into_iter().chain(&others) {
        sample.release().await;
    }
    assert_eq!(due(&*bus).await, [now.session, early.session, late.session]);
    let page = bus.sessions(SessionQuery::due(2)).await.expect("a list");
    assert_eq!((page.entries.len(), page.more), (2, true));
    assert_eq!(info(&*bus, others[2].session).await.wake, Wake::Idle, "it never said when");

    driven.release().await;
    assert!(due(&*bus).await.contains(&driven.session));
    let (owner, term) = (Owner::this_process(), Duration::from_secs(60));
    let claim = LeaseOp::Acquire { session: driven.session, owner, term };
    bus.lease(claim).await.expect("an answer").expect("it is free");
    assert_eq!(due(&*bus).await, [now.session, early.session, late.session]);
    Ok(())
}

/// Others leave the time as it was, unless the driver says another.
pub async fn an_input_wakes_its_session_and_the_driver_says_when_next(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = waking(&bus, Wake::Idle).await;
    let session = sample.session;
    sample.head = bus.append(input(session, "wake up")).await.expect("an input").last;
    assert_eq!(info(&*bus, session).await.wake, Wake::Now);
    sample.write([note(RecordClass::Report, "at it")]).await.expect("a driver's batch");
    assert_eq!(info(&*bus, session).await.wake, Wake::Now);
    let later = Wake::At(Timestamp::from_micros(5));
    for wake in [later, Wake::Idle, Wake::Now, later] {
        let batch = sample.batch([note(RecordClass::Decision, "done")]).waking(wake);
        sample.head = bus.append(batch).await.expect("a driver's batch").last;
        assert_eq!(info(&*bus, session).await.wake, wake);
    }
    let mut stale = sample.batch([note(RecordClass::Decision, "stale")]).waking(Wake::Idle);
    stale.expect = crate::Expect::Driver { head: Offset(1), fencing_token: sample.token };
    refused(bus.append(stale).await, ErrorKind::Conflict);
    assert_eq!(info(&*bus, session).await.wake, later);
    Ok(())
}

/// A session that is due goes to one of those who ask for it.
pub async fn of_many_who_claim_a_session_one_gets_it(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let sample = waking(&bus, Wake::Now).await;
    sample.release().await;
    let claims = (0..8).map(|_| {
        let (owner, term) = (Owner::this_process(), Duration::from_secs(60));
        bus.lease(LeaseOp::Acquire { session: sample.session, owner, term })
    });
    let claims = futures::future::try_join_all(claims).await.expect("answers");
    let tokens: Vec<u64> = claims.into_iter().flatten().map(|lease| lease.fencing_token).collect();
    assert_eq!(tokens, [sample.token + 1]);
    Ok(())
}

/// Until its last batch it takes no inputs, and is due to nobody.
pub async fn a_copy_that_is_not_complete_takes_no_inputs_and_is_not_due(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::new(&bus).await;
    for text in ["first", "second"] {
        let records = [note(RecordClass::Decision, text), note(RecordClass::Input, "copied")];
        let batch = sample.batch(records).by(Author::human("ann")).waking(Wake::Now).partial();
        sample.head = bus.append(batch).await.expect("a part").last;
        assert!(info(&*bus, sample.session).await.partial);
        refused(bus.append(input(sample.session, "too early")).await, ErrorKind::Invalid);
    }
    sample.release().await;
    assert_eq!(due(&*bus).await, []);
    let (session, owner, term) = (sample.session, Owner::this_process(), Duration::from_secs(60));
    let lease = bus.lease(LeaseOp::Acquire { session, owner, term }).await.expect("an answer");
    sample.token = lease.expect("it is free").fencing_token;
    sample.write([note(RecordClass::Decision, "last")]).await.expect("the last part");
    sample.release().await;
    assert!(!info(&*bus, session).await.partial);
    assert_eq!(due(&*bus).await, [session]);
    bus.append(input(session, "in time")).await.expect("it is complete");
    Ok(())
}

/// A place that was learned in another epoch may be another place now.
pub async fn a_reader_of_another_epoch_is_rewound(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let sample = Sample::opened(&bus).await;
    let read = Read::new(sample.session, Offset::START);
    let epoch = bus.info().epoch;
    assert_eq!(bus.read(read.clone().in_epoch(epoch)).await.expect("a page").entries.len(), 1);
    for other in [epoch + 1, epoch.wrapping_sub(1)] {
        refused(bus.read(read.clone().in_epoch(other)).await, ErrorKind::Rewound);
    }
    assert_eq!(bus.head(sample.session).await.expect("a head"), Offset(1));
    Ok(())
}
