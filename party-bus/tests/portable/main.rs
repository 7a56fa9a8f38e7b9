//! A session as one file: out, in again, whole or not at all.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod edit;
mod sessions;

use edit::{resealed, with};
use party_bus::{
    Bus, BusExt as _, Classes, CopyOptions, Error, ErrorKind, Fault, FaultyBus, Label, LeaseOp, MemoryBus,
    Owner, Read, SessionInfo, SessionQuery, SqliteBus, Wake, Window, conformance::input,
};
use party_core::{Item, Offset, SessionId};
use proptest::prelude::*;
use serde_json::{Value, json};
use sessions::{Step, Written, exported, step};
use std::{os::unix::fs::PermissionsExt as _, sync::Arc, time::Duration};

fn memory() -> Arc<dyn Bus> {
    Arc::new(MemoryBus::new())
}

async fn import(bus: &Arc<dyn Bus>, file: &[u8]) -> Result<party_bus::Copied, Error> {
    bus.import(file, CopyOptions::default()).await
}

async fn info(bus: &Arc<dyn Bus>, session: SessionId) -> Option<SessionInfo> {
    bus.sessions(SessionQuery::one(session)).await.unwrap().entries.into_iter().next()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Some of everything.
fn all() -> Vec<Step> {
    let mut steps = vec![
        Step::Say(true, "Hello.".into()),
        Step::Add(vec![0, 1], "Hi.".into()),
        Step::Borrow(0),
        Step::Borrow(1),
        Step::Later(1),
        Step::Newer(0),
        Step::Say(false, "And I?".into()),
        Step::Compact(0, 1, 2),
        Step::Branch(0, 2),
        Step::Tangent(0, 1),
        Step::Resolve,
        Step::Trace("Hm.".into()),
    ];
    steps.extend((0..6).map(|_| Step::Add(vec![0], "x".repeat(400_000))));
    steps
}

#[tokio::test]
async fn an_import_is_the_same_session_with_all_that_it_refers_to() {
    let written = Written::of(&all()).await;
    let (session, other) = (written.session, memory());
    let file = exported(&written.bus, session).await;
    let copied = import(&other, &file).await.unwrap();
    let before = info(&written.bus, session).await.unwrap();
    assert_eq!((copied.session, copied.head, copied.written), (session, before.head, before.head.0));
    let after = info(&other, session).await.unwrap();
    let expected = SessionInfo { wake: Wake::Idle, driver: None, ..before.clone() };
    assert_eq!((after, before.label.is_some()), (expected, true));
    let read =
        async |bus: &Arc<dyn Bus>| bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap();
    for (ours, theirs) in read(&written.bus).await.into_iter().zip(read(&other).await) {
        assert_eq!((ours.body.get(), &ours.ops, ours.v), (theirs.body.get(), &theirs.ops, theirs.v));
        // The first record that refers to the other session's item brings it here.
        assert!(ours == theirs || theirs.items.len() == 1 && ours.items.is_empty());
    }
    assert_eq!(exported(&other, session).await, file);
    other.append(input(session, "It goes on.")).await.unwrap();
}

#[tokio::test]
async fn a_session_moves_to_a_file_of_sqlite_and_is_forked_there() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Bus> = Arc::new(SqliteBus::open(folder.path().join("store.db")).await.unwrap());
    let written = Written::of(&all()).await;
    let session = written.session;
    let file = exported(&written.bus, session).await;
    let mut follower = Arc::clone(&store).follow(session, Offset::START);
    assert!(futures::FutureExt::now_or_never(follower.next()).is_none());
    import(&store, &file).await.unwrap();
    assert_eq!(exported(&store, session).await, file);
    let (fork, head) = (SessionId::derive(&[b"fork"]), store.head(session).await.unwrap());
    store.fork(session, head, fork, CopyOptions::default()).await.unwrap();
    for record in store.read_to_end(session, Offset::START, Classes::ALL).await.unwrap() {
        assert_eq!(follower.next().await.unwrap(), &record);
    }
    for thread in &written.threads {
        let shown = async |session| store.window(Window::last(session, *thread, 100)).await.unwrap();
        assert_eq!(shown(session).await, shown(fork).await);
    }
}

#[tokio::test]
async fn the_same_content_again_writes_nothing_and_other_content_is_refused() {
    let written = Written::of(&all()).await;
    let file = exported(&written.bus, written.session).await;
    // Where it comes from, and where it was brought; also once it has gone on.
    let other = memory();
    import(&other, &file).await.unwrap();
    for bus in [&written.bus, &other] {
        assert_eq!(import(bus, &file).await.unwrap().written, 0);
        bus.append(input(written.session, "more")).await.unwrap();
        assert_eq!(import(bus, &file).await.unwrap().written, 0);
    }
    let changed = with(&file, 4, "kind", json!("retold"));
    let error = import(&other, &changed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().starts_with("line 4: "), "{error}");
    let longer = exported(&other, written.session).await;
    let third = memory();
    import(&third, &file).await.unwrap();
    assert_eq!(import(&third, &longer).await.unwrap_err().kind(), ErrorKind::Conflict);
    let renamed = CopyOptions::default().labelled(Label { kind: "a".into(), key: "b".into(), parent: None });
    assert_eq!(other.import(&file[..], renamed).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn an_import_that_broke_is_run_again_and_goes_on() {
    let written = Written::of(&all()).await;
    let file = exported(&written.bus, written.session).await;
    let faultless = Arc::new(FaultyBus::new(memory(), Fault::none()));
    import(&(Arc::clone(&faultless) as _), &file).await.unwrap();
    assert!(faultless.appends() > 3, "several batches");
    assert_eq!(faultless.synced_appends(), 1);
    for append in 1..=faultless.appends() {
        for fault in [Fault::crash_before(append), Fault::crash_after(append)] {
            let inner = memory();
            let faulty: Arc<dyn Bus> = Arc::new(FaultyBus::new(Arc::clone(&inner), fault));
            import(&faulty, &file).await.unwrap_err();
            if let Some(there) = info(&inner, written.session).await {
                assert_eq!(there.partial, fault != Fault::crash_after(faultless.appends()));
            }
            import(&inner, &file).await.unwrap();
            assert_eq!(exported(&inner, written.session).await, file);
        }
    }
}

#[tokio::test]
async fn a_session_that_somebody_drives_is_refused() {
    let written = Written::of(&all()).await;
    let (file, other) = (exported(&written.bus, written.session).await, memory());
    let (session, term) = (written.session, Duration::from_secs(60));
    let acquire = LeaseOp::Acquire { session, owner: Owner::this_process(), term };
    let lease = other.lease(acquire).await.unwrap().unwrap();
    let error = import(&other, &file).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    other.lease(LeaseOp::Release { session, fencing_token: lease.fencing_token }).await.unwrap();
    import(&other, &file).await.unwrap();
    assert!(info(&other, session).await.unwrap().driver.is_none());
}

#[tokio::test]
async fn what_no_import_takes_is_refused_and_the_line_is_named() {
    let written = Written::of(&all()).await;
    let file = exported(&written.bus, written.session).await;
    let refused = async |file: &[u8]| {
        let bus = memory();
        let error = import(&bus, file).await.unwrap_err();
        assert!(info(&bus, written.session).await.is_none_or(|info| info.partial));
        (error.kind(), error.to_string())
    };
    let with = |line: usize, field: &str, value: Value| with(&file, line, field, value);
    let cases: [(Vec<u8>, ErrorKind, &str); 10] = [
        (b"".into(), ErrorKind::Invalid, "line 1 is cut"),
        (b"{}\n".into(), ErrorKind::Invalid, "line 1 cannot be read"),
        (with(1, "format", json!("tar")), ErrorKind::Invalid, "line 1 is of no exported"),
        (with(1, "version", json!(2)), ErrorKind::NewerVersion, "line 1 version 2 is newer"),
        (with(1, "head", json!(3)), ErrorKind::Invalid, "line "),
        (with(5, "offset", json!(9)), ErrorKind::Invalid, "line 5 holds record 9, and 4 comes next"),
        (
            with(4, "ops", json!([{ "op": "rotate", "by": 90 }])),
            ErrorKind::NewerVersion,
            "line 4 has a change of topology of a newer version: `rotate`",
        ),
        (with(3, "author", Value::Null), ErrorKind::Invalid, "line 3 is an input without an author"),
        (with(4, "class", json!("rumour")), ErrorKind::Invalid, "line 4 cannot be read"),
        ([&file[..], b"{}\n"].concat(), ErrorKind::Invalid, "line "),
    ];
    for (file, kind, starts) in cases {
        let (found, why) = refused(&file).await;
        assert!(found == kind && why.starts_with(starts), "{found:?} {why}, not {kind:?} {starts}");
    }
}

#[tokio::test]
async fn an_erased_item_stays_a_tombstone() {
    let written = Written::of(&all()).await;
    let file = exported(&written.bus, written.session).await;
    let page = written.bus.read(Read::new(written.session, Offset(1)).limit(1)).await.unwrap();
    let item: &Item = &page.entries[0].items[0];
    let json = |item: &Item| serde_json::to_string(item).unwrap();
    let erased = resealed(&file, 3, |line| line.replace(&json(item), &json(&item.erased())));
    let bus = memory();
    import(&bus, &erased).await.unwrap();
    assert_eq!(exported(&bus, written.session).await, erased);
    // The original is the same session, and does not bring back what was erased.
    assert_eq!(import(&bus, &file).await.unwrap().written, 0);
    assert!(!String::from_utf8(exported(&bus, written.session).await).unwrap().contains("Hello."));
}

#[tokio::test]
async fn a_file_is_private_whole_and_checked_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.ndjson");
    let written = Written::of(&all()).await;
    let session = written.session;
    std::fs::write(&path, "old").unwrap();
    written.bus.export_file(session, &path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read(&path).unwrap(), exported(&written.bus, session).await);
    let bus = memory();
    bus.import_file(&path, CopyOptions::default().waking(Wake::Now)).await.unwrap();
    assert_eq!(info(&bus, session).await.unwrap().wake, Wake::Now);
    // A part is neither left behind by an export nor taken by an import.
    let nobody = SessionId::derive(&[b"nobody"]);
    assert_eq!(bus.export_file(nobody, &path).await.unwrap_err().kind(), ErrorKind::NotFound);
    drop(Box::pin(bus.export_file(session, &folder.path().join("dropped"))));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 1);
    std::fs::write(&path, bytes).unwrap();
    let empty = memory();
    let error = empty.import_file(&path, CopyOptions::default()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("session.ndjson"), "{error}");
    assert!(info(&empty, session).await.is_none());
    let missing =
        empty.import_file(&folder.path().join("missing"), CopyOptions::default()).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_not_whole_is_not_exported() {
    let written = Written::of(&all()).await;
    let file = exported(&written.bus, written.session).await;
    let bus = memory();
    import(&bus, &file[..file.len() - 1]).await.unwrap_err();
    assert!(info(&bus, written.session).await.unwrap().partial);
    assert_eq!(bus.export(written.session, Vec::new()).await.unwrap_err().kind(), ErrorKind::Invalid);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn out_in_and_out_again_is_the_same_file(steps in prop::collection::vec(step(400_000), 0..40)) {
        block_on(async {
            let (written, other) = (Written::of(&steps).await, memory());
            let file = exported(&written.bus, written.session).await;
            import(&other, &file).await.unwrap();
            assert_eq!(exported(&other, written.session).await, file);
        });
    }

    #[test]
    fn a_file_that_is_cut_or_changed_never_becomes_a_whole_session(
        steps in prop::collection::vec(step(100), 0..12),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..9_u8), 1..20),
    ) {
        block_on(async {
            let written = Written::of(&steps).await;
            let file = exported(&written.bus, written.session).await;
            for (place, bit) in changes {
                let place = place.index(file.len());
                let mut damaged = file.clone();
                match bit {
                    8 => damaged.truncate(place),
                    bit => damaged[place] ^= 1 << bit,
                }
                let bus = memory();
                let error = import(&bus, &damaged).await.expect_err("a damaged file");
                assert!(error.to_string().starts_with("line "), "{error}");
                let sessions = bus.sessions(SessionQuery::newest()).await.unwrap().entries;
                assert!(sessions.iter().all(|info| info.partial), "{error}");
            }
        });
    }
}
