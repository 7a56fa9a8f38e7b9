//! A session that begins as a copy of another.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "portable/sessions.rs"]
mod sessions;

use party_bus::{
    Bus, BusExt as _, Classes, CopyOptions, ErrorKind, Fault, FaultyBus, Label, PRUNED, SessionInfo,
    SessionQuery, Wake, Window, conformance::input,
};
use party_core::{Event, Forked, Offset, Op, Record, RecordClass, SessionId, Topology};
use proptest::prelude::*;
use sessions::{Step, Written, exported, step};
use std::sync::Arc;

fn copy() -> SessionId {
    SessionId::derive(&[b"the fork"])
}

async fn records(bus: &Arc<dyn Bus>, session: SessionId) -> Vec<Arc<Record>> {
    bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap()
}

async fn info(bus: &Arc<dyn Bus>, session: SessionId) -> Option<SessionInfo> {
    bus.sessions(SessionQuery::one(session)).await.unwrap().entries.into_iter().next()
}

fn some() -> Vec<Step> {
    let mut steps = vec![
        Step::Say(true, "Hello.".into()),
        Step::Add(vec![0, 1], "Hi.".into()),
        Step::Trace("Hm.".into()),
        Step::Say(false, "And I?".into()),
        Step::Branch(0, 1),
        Step::Newer(2),
    ];
    steps.extend((0..6).map(|_| Step::Add(vec![0], "x".repeat(400_000))));
    steps
}

#[tokio::test]
async fn a_fork_has_the_same_records_at_the_same_places_without_what_trace_said() {
    let written = Written::of(&some()).await;
    let (bus, session) = (&written.bus, written.session);
    let copied = bus.fork(session, Offset(5), copy(), CopyOptions::default()).await.unwrap();
    assert_eq!((copied.session, copied.head, copied.written), (copy(), Offset(6), 6));
    let (ours, theirs) = (records(bus, session).await, records(bus, copy()).await);
    for (one, other) in ours.iter().zip(&theirs).take(5) {
        if one.class == RecordClass::Trace {
            assert_eq!((other.kind.as_str(), other.body.get(), other.turn), (PRUNED, "{}", one.turn));
        } else {
            assert_eq!(Record { session, ..Record::clone(other) }, **one);
        }
    }
    let forked = Event::Forked(Forked { from: session, at: Offset(5) });
    assert_eq!(
        (theirs.len(), theirs[5].event().unwrap(), theirs[5].class),
        (6, forked, RecordClass::Decision)
    );
    let (original, copy) = (info(bus, session).await.unwrap(), info(bus, copy()).await.unwrap());
    let label = Label { key: copy.session.to_string(), ..original.label.unwrap() };
    assert_eq!((copy.label, copy.wake, copy.driver, copy.partial), (Some(label), Wake::Idle, None, false));
    // Each goes on by itself.
    bus.append(input(copy.session, "What if?")).await.unwrap();
    assert_eq!(bus.head(session).await.unwrap(), original.head);
}

#[tokio::test]
async fn a_fork_that_cannot_be_is_refused() {
    let written = Written::of(&some()).await;
    let (bus, session) = (&written.bus, written.session);
    let head = bus.head(session).await.unwrap();
    let nobody = SessionId::derive(&[b"nobody"]);
    for (from, at, to, kind) in [
        (session, head.plus(1), copy(), ErrorKind::Invalid),
        (session, Offset::START, copy(), ErrorKind::Invalid),
        (session, head, session, ErrorKind::Invalid),
        (nobody, Offset(1), copy(), ErrorKind::NotFound),
    ] {
        let error = bus.fork(from, at, to, CopyOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(info(bus, copy()).await.is_none());
    }
    bus.fork(session, Offset(2), copy(), CopyOptions::default()).await.unwrap();
    let error = bus.fork(session, Offset(3), copy(), CopyOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(bus.fork(session, Offset(2), copy(), CopyOptions::default()).await.unwrap().written, 0);
}

#[tokio::test]
async fn a_fork_that_broke_is_run_again_and_goes_on() {
    let count = {
        let written = Written::of(&some()).await;
        let counted = Arc::new(FaultyBus::new(written.bus, Fault::none()));
        let head = counted.head(written.session).await.unwrap();
        counted.fork(written.session, head, copy(), CopyOptions::default()).await.unwrap();
        counted.appends()
    };
    assert!(count > 3, "several batches");
    for append in 1..=count {
        for fault in [Fault::crash_before(append), Fault::crash_after(append)] {
            let written = Written::of(&some()).await;
            let head = written.bus.head(written.session).await.unwrap();
            let faulty = FaultyBus::new(Arc::clone(&written.bus), fault);
            faulty.fork(written.session, head, copy(), CopyOptions::default()).await.unwrap_err();
            let options = CopyOptions::default();
            let copied = written.bus.fork(written.session, head, copy(), options).await.unwrap();
            assert_eq!(copied.head, head.plus(1));
            let theirs = records(&written.bus, copy()).await;
            assert_eq!(theirs.len() as u64, head.0 + 1);
            assert!(!info(&written.bus, copy()).await.unwrap().partial);
        }
    }
}

#[tokio::test]
async fn a_fork_may_have_another_name_and_be_due_and_is_exported_as_any_other() {
    let written = Written::of(&some()).await;
    let (bus, label) = (&written.bus, Label { kind: "what-if".into(), key: "1".into(), parent: None });
    let options = CopyOptions::default().labelled(label.clone()).waking(Wake::Now);
    bus.fork(written.session, Offset(3), copy(), options).await.unwrap();
    let made = info(bus, copy()).await.unwrap();
    assert_eq!((made.label, made.wake), (Some(label), Wake::Now));
    assert_eq!(exported(bus, copy()).await.split(|byte| *byte == b'\n').count(), 1 + 4 + 1 + 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_fork_shows_the_same_windows_up_to_its_place(
        steps in prop::collection::vec(step(1_000), 0..40),
        at in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let written = Written::of(&steps).await;
            let (bus, session) = (&written.bus, written.session);
            let ours = records(bus, session).await;
            let at = Offset(at.index(ours.len()) as u64 + 1);
            bus.fork(session, at, copy(), CopyOptions::default()).await.unwrap();
            // What the original showed then is the fold of its records up to there.
            let mut then = Topology::default();
            for record in &ours[..at.0 as usize] {
                then.apply(record.offset, &record.ops as &[Op]).unwrap();
            }
            let tree = bus.tree(copy()).await.unwrap();
            assert_eq!(tree.threads().len(), then.outline().threads().count());
            for info in tree.threads() {
                for window in [Window::last(copy(), info.thread, 1_000), Window::last(copy(), info.thread, 1_000).archive()] {
                    let page = bus.window(window).await.unwrap();
                    let (shown, _) = then.view(info.thread, window.layer, window.side, window.limit).unwrap();
                    let shown: Vec<_> = shown.into_iter().map(|(position, reference)| (position, reference.item)).collect();
                    let found: Vec<_> = page.entries.iter().map(|entry| (entry.position, entry.item.id)).collect();
                    assert_eq!(found, shown);
                }
            }
        });
    }
}
