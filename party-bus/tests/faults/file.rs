//! A file of a store that is damaged: errors with a type, and what lies apart stays readable.

use crate::{
    check,
    child::{fast_folder, within},
    random::Random,
    script::{Script, post},
};
use party_bus::{
    Bus, BusExt as _, Classes, ErrorKind, LeaseOp, Owner, Result, SessionQuery, SqliteBus, ThreadQuery,
    Window,
    conformance::{Sample, note},
};
use party_core::{Offset, RecordClass, SessionId};
use rusqlite::Connection;
use std::{fs, path::Path, sync::Arc, time::Duration};

const PAGE: usize = 8192;

/// A closed store of two sessions.
async fn written(path: &Path) -> [SessionId; 2] {
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(path).await.unwrap());
    let sessions = [SessionId::derive(&[b"one"]), SessionId::derive(&[b"two"])];
    let mut random = Random::new();
    for session in sessions {
        let mut script = Script::take(&bus, session, Random::seeded(random.next())).await;
        for _ in 0..12 {
            script.write().await.unwrap();
        }
        script.release().await.unwrap();
        bus.append(post(session, &mut random)).await.unwrap();
    }
    bus.close().await.unwrap();
    sessions
}

/// Everything that a store can be asked; nothing may panic, which would look as if it were closed.
async fn used(path: &Path, sessions: [SessionId; 2]) -> Vec<ErrorKind> {
    let bus: Arc<dyn Bus> = match SqliteBus::open(path).await {
        Ok(bus) => Arc::new(bus),
        Err(error) => return vec![error.kind()],
    };
    let mut refused = Vec::new();
    let mut note = |outcome: Result<()>| refused.extend(outcome.err().map(|error| error.kind()));
    note(bus.sessions(SessionQuery::newest()).await.map(drop));
    for session in sessions {
        note(bus.read_to_end(session, Offset::START, Classes::ALL).await.map(drop));
        let threads = bus.threads(ThreadQuery::all(session)).await.map(|page| page.entries);
        for info in threads.as_deref().unwrap_or_default() {
            note(bus.window(Window::last(session, info.thread, u32::MAX)).await.map(drop));
            note(bus.window(Window::before(session, info.thread, 9, 3).archive()).await.map(drop));
        }
        note(threads.map(drop));
        let (owner, term) = (Owner::this_process(), Duration::from_secs(600));
        note(bus.lease(LeaseOp::Acquire { session, owner, term }).await.map(drop));
        note(bus.append(post(session, &mut Random::seeded(5))).await.map(drop));
    }
    note(bus.close().await);
    refused
}

/// Cut, flipped and zeroed; the first page, which says what the file is, the most.
fn variants(file: &[u8]) -> Vec<Vec<u8>> {
    let mut random = Random::new();
    let mut variants: Vec<_> = (0..file.len()).step_by(PAGE / 2).map(|end| file[..end].to_vec()).collect();
    for nth in 0..500 {
        let mut damaged = file.to_vec();
        let at = random.below(if nth % 5 == 0 { 100 } else { file.len() });
        match nth % 3 {
            0 => damaged[at] ^= 1 << random.below(8),
            1 => damaged[at / 512 * 512..].iter_mut().take(512).for_each(|byte| *byte = 0),
            _ => damaged[at / PAGE * PAGE..].iter_mut().take(PAGE).for_each(|byte| *byte = 0xA5),
        }
        variants.push(damaged);
    }
    variants
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_damaged_anywhere_gives_typed_errors_and_no_panic() {
    let folder = fast_folder();
    let path = folder.path().join("store.db");
    let sessions = written(&path).await;
    let file = fs::read(&path).unwrap();
    let mut corrupt = 0;
    for damaged in variants(&file) {
        let _ = fs::remove_file(crate::child::beside(&path, "-wal"));
        let _ = fs::remove_file(crate::child::beside(&path, "-shm"));
        fs::write(&path, &damaged).unwrap();
        let refused = within("a damaged store", used(&path, sessions)).await;
        for kind in &refused {
            let typed = matches!(
                kind,
                ErrorKind::Corrupt
                    | ErrorKind::NotAStore
                    | ErrorKind::NewerVersion
                    | ErrorKind::OlderVersion
                    // A damaged number or name is another number or name.
                    | ErrorKind::NotFound
                    | ErrorKind::Invalid
                    | ErrorKind::Io
                    | ErrorKind::Rewound
                    | ErrorKind::ItemConflict
            );
            assert!(typed, "{refused:?}");
        }
        corrupt += usize::from(refused.contains(&ErrorKind::Corrupt));
    }
    assert!(corrupt > 100, "{corrupt}");
}

#[tokio::test]
async fn a_session_on_sound_pages_is_read_and_written_beside_a_damaged_one() {
    let folder = fast_folder();
    let path = folder.path().join("store.db");
    let sessions = written(&path).await;
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let mut large = Sample::opened(&bus).await;
    large.write([note(RecordClass::Report, &"spoil".repeat(4 * PAGE))]).await.unwrap();
    bus.close().await.unwrap();

    let mut file = fs::read(&path).unwrap();
    let own: Vec<u8> = b"spoil".repeat(PAGE / 10);
    let page = file.chunks(PAGE).position(|page| page.windows(own.len()).any(|part| part == own)).unwrap();
    file[page * PAGE..][..PAGE].fill(0);
    fs::write(&path, file).unwrap();

    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let error = bus.read_to_end(large.session, Offset::START, Classes::ALL).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    for session in sessions {
        check::session(&bus, session).await;
        bus.append(post(session, &mut Random::new())).await.unwrap();
    }
    bus.close().await.unwrap();
}

#[tokio::test]
async fn a_file_with_tables_of_another_application_is_refused_and_left_alone() {
    let folder = fast_folder();
    let path = folder.path().join("store.db");
    for (application, version) in [(0, 0), (0, 1), (0x5072_7479, 0), (77, 1)] {
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE theirs (id)").unwrap();
        other.pragma_update(None, "application_id", application).unwrap();
        other.pragma_update(None, "user_version", version).unwrap();
        other.close().unwrap();
        let before = fs::read(&path).unwrap();
        let error = SqliteBus::open(&path).await.unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        println!("{application} {version}: {:?} {error}", error.kind());
        assert!(matches!(error.kind(), ErrorKind::NotAStore | ErrorKind::Corrupt), "{error:?}");
        assert!(fs::read(&path).unwrap() == before, "the file was changed");
        fs::remove_file(&path).unwrap();
    }
}
