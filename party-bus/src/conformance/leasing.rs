//! Cases about leases.

use super::{
    sample::{Sample, note},
    stage::{Played, Stage},
};
use crate::{Bus, ErrorKind, Lease, LeaseOp, Owner, SessionQuery};
use party_core::{RecordClass, SessionId};
use std::{sync::Arc, time::Duration};

const TERM: Duration = Duration::from_secs(60);

async fn acquire(bus: &dyn Bus, session: SessionId, owner: &Owner, term: Duration) -> Option<u64> {
    let lease = bus.lease(LeaseOp::Acquire { session, owner: owner.clone(), term }).await;
    lease.expect("a lease works").map(|lease| lease.fencing_token)
}

/// Who holds the session keeps it and is shown; another comes to nothing.
pub async fn a_held_session_is_refused_to_another(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    assert_eq!(acquire(&*bus, sample.session, &Owner::this_process(), TERM).await, None);
    let renew = LeaseOp::Renew { session: sample.session, fencing_token: sample.token, term: TERM };
    let renewed = Lease { session: sample.session, fencing_token: sample.token, term: TERM };
    assert_eq!(bus.lease(renew).await.expect("a renewal"), Some(renewed));
    sample.write([note(RecordClass::Report, "still here")]).await.expect("the lease holds");
    let listed = bus.sessions(SessionQuery::one(sample.session)).await.expect("a list");
    assert_eq!(listed.entries[0].driver.as_ref().map(|owner| owner.pid), Some(std::process::id()));
    Ok(())
}

/// An older token neither writes nor renews nor releases, and tokens grow.
pub async fn a_stale_token_is_fenced(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let (session, fencing_token) = (sample.session, sample.token);
    bus.lease(LeaseOp::Release { session, fencing_token }).await.expect("a release");
    let next = acquire(&*bus, session, &Owner::this_process(), TERM).await;
    assert_eq!(next, Some(fencing_token + 1));

    let error = sample.write([note(RecordClass::Report, "late")]).await.expect_err("a fence");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(
        bus.lease(LeaseOp::Renew { session, fencing_token, term: TERM }).await.expect("an answer"),
        None
    );
    assert_eq!(bus.lease(LeaseOp::Release { session, fencing_token }).await.expect("an answer"), None);
    sample.token = fencing_token + 1;
    sample.write([note(RecordClass::Report, "in time")]).await.expect("the new lease holds");
    Ok(())
}

/// Expiry alone fences nobody: it only lets another in.
pub async fn an_expired_lease_holds_until_it_is_taken(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let (session, fencing_token) = (sample.session, sample.token);
    let expire = LeaseOp::Renew { session, fencing_token, term: Duration::ZERO };
    bus.lease(expire).await.expect("an answer").expect("it is held");
    let listed = bus.sessions(SessionQuery::one(session)).await.expect("a list");
    assert_eq!(listed.entries[0].driver, None);
    sample.write([note(RecordClass::Report, "nobody else wants it")]).await.expect("it still holds");

    assert_eq!(acquire(&*bus, session, &Owner::this_process(), TERM).await, Some(fencing_token + 1));
    let error = sample.write([note(RecordClass::Report, "late")]).await.expect_err("a fence");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    Ok(())
}

/// Nobody writes under a released lease.
pub async fn a_release_frees_the_session_at_once(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let release = LeaseOp::Release { session: sample.session, fencing_token: sample.token };
    assert!(bus.lease(release).await.expect("an answer").is_some());
    let error = sample.write([note(RecordClass::Report, "after all")]).await.expect_err("a fence");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let nobodys = LeaseOp::Release { session: SessionId::derive(&[b"nobody's"]), fencing_token: 1 };
    assert_eq!(bus.lease(nobodys).await.expect("an answer"), None);
    Ok(())
}

/// A holder whose process is gone, or whose process id is another's now.
pub async fn a_dead_process_of_this_host_is_taken_over_at_once(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let living = Owner::this_process();
    let gone = Owner { pid: 999_999_999, ..Owner::this_process() };
    for (number, dead) in
        [gone.clone(), Owner { boot: "another boot".into(), ..gone }].into_iter().enumerate()
    {
        let session = Sample::opened(&bus).await.session;
        let held = LeaseOp::Release { session, fencing_token: 1 };
        bus.lease(held).await.expect("a release");
        acquire(&*bus, session, &dead, TERM).await.expect("it is free");
        // Of another boot only its expiry is known.
        let taken = acquire(&*bus, session, &living, TERM).await;
        assert_eq!(taken, [Some(3), None][number], "{dead:?}");
    }
    Ok(())
}
