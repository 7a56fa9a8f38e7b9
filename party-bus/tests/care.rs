//! What the owner of a SQLite store does to it, as its files show.

use party_bus::{
    Bus, BusAdmin, BusExt as _, Classes, Erase, ErrorKind, Prune, Scope, Search, SqliteBus, conformance::*,
};
use party_core::{Author, Item, Offset, RecordClass};
use rusqlite::Connection;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

const SECRET: &str = "the launch code is zebra";

async fn store() -> (TempDir, PathBuf, Arc<SqliteBus>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let bus = SqliteBus::open(&path).await.expect("a store opens");
    (folder, path, Arc::new(bus))
}

async fn told(bus: &Arc<SqliteBus>, text: &str) -> (Sample, Arc<Item>) {
    let bus: Arc<dyn Bus> = bus.clone();
    let mut sample = Sample::opened(&bus).await;
    let item = say(&Author::agent("Mary"), text);
    sample.write([note(RecordClass::Report, "said").with_item(Arc::clone(&item))]).await.expect("an item");
    (sample, item)
}

/// Which files of the folder hold `text`.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).expect("a file");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    files.filter(holds).collect()
}

#[tokio::test]
async fn what_is_erased_is_in_no_file_of_the_store() {
    for text in [SECRET.to_owned(), SECRET.repeat(2_000)] {
        let (folder, path, bus) = store().await;
        let (sample, item) = told(&bus, &text).await;
        let found = bus.search(Search::new("zebra")).await.expect("an index");
        assert_eq!(found.entries[0].item, item.id);
        bus.close().await.expect("it closes");
        let bus = SqliteBus::open(&path).await.expect("it opens");
        assert!(!holding(folder.path(), "zebra").is_empty());
        let body = "{\"text\":\"[erased]\"}".to_owned();
        let body = serde_json::value::RawValue::from_string(body).expect("JSON");
        let erase = Erase { items: vec![item.id], bodies: vec![(sample.session, Offset(2), body)] };
        bus.erase(erase).await.expect("it is there");
        assert_eq!(holding(folder.path(), "zebra"), Vec::<PathBuf>::new());
        assert!(bus.items(&[item.id]).await.expect("a tombstone")[0].is_erased());
        assert_eq!(bus.search(Search::new("zebra")).await.expect("an index").entries, []);
    }
}

#[tokio::test]
async fn a_backup_holds_what_the_store_held_and_is_its_owners_alone() {
    let (folder, _, bus) = store().await;
    let (sample, _) = told(&bus, "hello").await;
    let to = folder.path().join("copy.db");
    bus.backup(&to).await.expect("a copy");
    assert_eq!(fs::metadata(&to).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(bus.backup(&to).await.expect_err("there is one").kind(), ErrorKind::Invalid);
    let nowhere = folder.path().join("no/copy.db");
    assert_eq!(bus.backup(&nowhere).await.expect_err("no folder").kind(), ErrorKind::NotFound);
    let copy = SqliteBus::open_existing(&to).await.expect("a store");
    let all = |bus: Arc<dyn Bus>| async move {
        bus.read_to_end(sample.session, Offset::START, Classes::ALL).await.expect("records")
    };
    let copy: Arc<SqliteBus> = Arc::new(copy);
    assert_eq!(all(copy.clone()).await, all(bus.clone()).await);
    // Places that readers of the original know mean nothing in a copy that takes its place.
    assert_eq!(
        (copy.info().store.clone(), copy.info().epoch),
        (bus.info().store.clone(), bus.info().epoch + 1)
    );
    assert_eq!(copy.verify(Scope::Store).await.expect("a report").problems, []);
}

#[tokio::test]
async fn a_backup_that_is_no_longer_waited_for_leaves_no_file() {
    let (folder, _, bus) = store().await;
    for _ in 0..50 {
        told(&bus, &"x".repeat(100_000)).await;
    }
    for number in 0..20 {
        let to = folder.path().join(format!("{number}.db"));
        let backup = Box::pin(bus.backup(&to));
        let begun = futures::future::select(backup, Box::pin(tokio::task::yield_now())).await;
        drop(begun);
        // The next one waits for a thread of the runtime; then the one before has ended.
        let gone = async {
            while to.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), gone).await.expect("the file goes");
    }
}

#[tokio::test]
async fn damage_to_the_file_is_a_problem_that_is_named() {
    let (_folder, path, bus) = store().await;
    let (sample, _) = told(&bus, "hello").await;
    assert_eq!(bus.verify(Scope::Store).await.expect("a report").problems, []);
    let raw = Connection::open(&path).expect("a database");
    raw.execute("DELETE FROM piece WHERE session IS NULL", []).expect("a statement");
    let report = bus.verify(Scope::Store).await.expect("a report");
    assert!(
        report.problems.iter().any(|problem| problem.what.contains("has a name and no body")),
        "{report:?}"
    );
    let report = bus.verify(Scope::Session(sample.session)).await.expect("a report");
    assert!(!report.problems.is_empty());
}

#[tokio::test]
async fn a_search_finds_what_came_after_sessions_were_pruned() {
    let (_folder, _, bus) = store().await;
    let (kept, shared) = told(&bus, "zebra one").await;
    let (mut gone, _) = told(&bus, "zebra two").await;
    gone.write([note(RecordClass::Report, "said").with_item(Arc::clone(&shared))])
        .await
        .expect("the same item");
    assert_eq!(bus.search(Search::new("zebra")).await.expect("an index").entries.len(), 2);
    for (sample, left) in [(gone, vec![kept.session]), (kept, vec![])] {
        let (session, fencing_token) = (sample.session, sample.token);
        bus.lease(party_bus::LeaseOp::Release { session, fencing_token }).await.expect("it is held");
        bus.prune(Prune::Sessions(vec![session])).await.expect("nobody drives it");
        let found = bus.search(Search::new("zebra")).await.expect("an index").entries;
        assert_eq!(found.iter().map(|found| found.session).collect::<Vec<_>>(), left);
    }
    // The rows of what is gone are given again.
    let (again, item) = told(&bus, "a third zebra").await;
    let found = bus.search(Search::new("ZEBRA third")).await.expect("an index").entries;
    assert_eq!(
        found.iter().map(|found| (found.session, found.item)).collect::<Vec<_>>(),
        [(again.session, item.id)]
    );
}
