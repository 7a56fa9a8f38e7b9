//! Opening files: what is made, and what is refused and left alone.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{Bus, BusExt as _, ErrorKind, SqliteBus, conformance::Sample, conformance::note};
use party_core::{Offset, RecordClass};
use rusqlite::Connection;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

/// Every file of the folder with its content.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

async fn refused(path: &Path, kind: ErrorKind, message: &str) {
    for outcome in [SqliteBus::open(path).await, SqliteBus::open_existing(path).await] {
        let error = outcome.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(path.to_str().unwrap()) && text.contains(message), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}

#[tokio::test]
async fn a_new_store_and_its_companions_are_for_the_owner_only() {
    let (folder, path) = folder();
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    Sample::opened(&bus).await;
    let files = contents(folder.path());
    assert_eq!(files.len(), 4, "store, log, shared memory and bell");
    for (file, _) in files {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_store_made_in_an_empty_file_of_looser_mode_is_for_the_owner_only() {
    let (folder, path) = folder();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    Sample::opened(&bus).await;
    for (file, _) in contents(folder.path()) {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn an_existing_store_only_is_opened_where_none_may_be_made() {
    let (folder, path) = folder();
    let error = SqliteBus::open_existing(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), format!("there is no store at {}", path.display()));
    fs::write(&path, "").unwrap();
    assert_eq!(SqliteBus::open_existing(&path).await.unwrap_err().kind(), ErrorKind::NotAStore);
    assert_eq!(contents(folder.path()), [(path.clone(), vec![])]);
    SqliteBus::open(&path).await.unwrap().close().await.unwrap();
    SqliteBus::open_existing(&path).await.unwrap();
}

#[tokio::test]
async fn a_folder_is_refused() {
    let (folder, _) = folder();
    refused(folder.path(), ErrorKind::NotAStore, "is a folder").await;
}

#[tokio::test]
async fn a_missing_parent_folder_is_named() {
    let (folder, _) = folder();
    let parent = folder.path().join("missing");
    let error = SqliteBus::open(parent.join("store.db")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), format!("folder {} does not exist", parent.display()));
    assert!(!parent.exists());
}

#[tokio::test]
async fn a_place_where_nothing_may_be_written_is_refused() {
    let path = Path::new("/proc/self/store.db");
    let error = SqliteBus::open(path).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Io, "cannot create /proc/self/store.db")
    );

    let (folder, path) = folder();
    SqliteBus::open(&path).await.unwrap().close().await.unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        return; // To the superuser nothing is read-only.
    }
    let before = contents(folder.path());
    refused(&path, ErrorKind::Io, "is not writable").await;
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_refused_in_plain_words() {
    let (_folder, path) = folder();
    SqliteBus::open(&path).await.unwrap().close().await.unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        return; // The superuser may read everything.
    }
    let error = SqliteBus::open(&path).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Io, format!("cannot read {}", path.display())));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("ermission denied") && !source.contains("file:"), "{source}");
}

#[tokio::test]
async fn files_of_others_are_refused_and_left_alone() {
    let (folder, path) = folder();
    for text in
        ["x", "not a database, but a text that is longer than the header of a database would be, and more"]
    {
        fs::write(&path, text).unwrap();
        refused(&path, ErrorKind::NotAStore, "is not a Party store").await;
        assert_eq!(contents(folder.path()), [(path.clone(), text.as_bytes().to_vec())]);
    }
    fs::remove_file(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (id); PRAGMA journal_mode = wal").unwrap();
    other.close().unwrap();
    let before = contents(folder.path());
    refused(&path, ErrorKind::NotAStore, "is a database of another application").await;
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn a_newer_store_is_refused_and_left_alone() {
    let (folder, path) = folder();
    SqliteBus::open(&path).await.unwrap().close().await.unwrap();
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 7).unwrap();
    newer.close().unwrap();
    let before = contents(folder.path());
    refused(&path, ErrorKind::NewerVersion, "newer version of Party (schema 7, this one has 2)").await;
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn an_older_store_is_refused_by_name_and_left_alone() {
    let (folder, path) = folder();
    SqliteBus::open(&path).await.unwrap().close().await.unwrap();
    let older = Connection::open(&path).unwrap();
    older.pragma_update(None, "user_version", 1).unwrap();
    older.close().unwrap();
    let before = contents(folder.path());
    refused(&path, ErrorKind::OlderVersion, "older version of Party (schema 1, this one has 2)").await;
    assert_eq!(contents(folder.path()), before);
}

#[tokio::test]
async fn a_newer_store_is_recognised_while_its_version_is_only_in_the_log() {
    let (_folder, path) = folder();
    SqliteBus::open(&path).await.unwrap().close().await.unwrap();
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 7).unwrap();
    refused(&path, ErrorKind::NewerVersion, "newer version of Party").await;
}

/// As a crash of the newer version leaves it.
#[tokio::test]
async fn a_newer_version_in_an_orphaned_log_is_refused_and_left_alone() {
    let (other, path) = folder();
    SqliteBus::open(&path).await.unwrap().close().await.unwrap();
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 7).unwrap();
    let (folder, copy) = folder();
    for (file, bytes) in contents(other.path()) {
        fs::write(folder.path().join(file.file_name().unwrap()), bytes).unwrap();
    }
    // What the shared memory holds is worked out from the log again, by whoever comes first.
    let files = || contents(folder.path()).into_iter().filter(|(file, _)| !file.ends_with("store.db-shm"));
    let before: Vec<_> = files().collect();
    assert_eq!(before.len(), 2, "store and log");
    refused(&copy, ErrorKind::NewerVersion, "newer version of Party").await;
    let link = other.path().join("link.db");
    std::os::unix::fs::symlink(&copy, &link).unwrap();
    refused(&link, ErrorKind::NewerVersion, "newer version of Party").await;
    assert!(files().eq(before), "store or log was changed");
    assert_eq!(contents(folder.path()).len(), 3);
}

#[tokio::test]
async fn a_damaged_store_is_refused_and_nothing_is_left_beside_it() {
    let (folder, path) = folder();
    SqliteBus::open(&path).await.unwrap().close().await.unwrap();
    let half = fs::read(&path).unwrap()[..5 * 8192].to_vec();
    fs::write(&path, half).unwrap();
    let before = contents(folder.path());
    refused(&path, ErrorKind::Corrupt, "it is damaged").await;
    assert!(contents(folder.path()) == before, "the folder was changed");
}

#[tokio::test]
async fn rows_that_make_no_sense_are_an_error_and_no_panic() {
    let (_folder, path) = folder();
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let sample = Sample::opened(&bus).await;
    let vandal = Connection::open(&path).unwrap();
    for damage in [
        "UPDATE piece SET body = '{'",
        "UPDATE piece SET class = 9",
        "UPDATE piece SET class = 0, items = x'80'",
        "UPDATE piece SET items = x'7f'",
        "UPDATE piece SET items = x'ffffffffffffffffffffff'",
        "UPDATE piece SET items = NULL, ops = x'09'",
        "UPDATE piece SET ops = x'007f'",
        "UPDATE piece SET ops = x'01ffffff7f'",
        "UPDATE piece SET ops = x'010001'",
        "UPDATE piece SET ops = NULL, kind = 99",
        "UPDATE piece SET kind = 1, v = -1",
        "UPDATE piece SET v = 1, \"offset\" = 2; UPDATE session SET head = 2",
        "UPDATE session SET head = -1",
    ] {
        vandal.execute_batch(damage).unwrap();
        let read = bus.read_to_end(sample.session, Offset::START, party_bus::Classes::ALL).await;
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{damage}");
        assert!(
            damage.contains("session SET head") || error.to_string().contains("record 1"),
            "{damage}: {error}"
        );
    }
}

async fn epoch(path: &Path) -> u64 {
    let bus = SqliteBus::open(path).await.unwrap();
    let epoch = bus.info().epoch;
    bus.close().await.unwrap();
    epoch
}

#[tokio::test]
async fn the_epoch_is_raised_when_another_boot_left_buffered_records() {
    let (_folder, path) = folder();
    let store = SqliteBus::open(&path).await.unwrap();
    let name = store.info().store.clone();
    let bus: Arc<dyn Bus> = Arc::new(store);
    let mut sample = Sample::opened(&bus).await;
    let trace = sample.batch([note(RecordClass::Trace, "thinking")]).buffered();
    sample.head = bus.append(trace).await.unwrap().last;
    assert_eq!(epoch(&path).await, 1, "the machine did not stop");

    let trace = sample.batch([note(RecordClass::Trace, "thinking on")]).buffered();
    bus.append(trace).await.unwrap();
    let other_boot = Connection::open(&path).unwrap();
    assert_eq!(other_boot.execute("UPDATE store SET boot = 'another' WHERE clean = 0", []).unwrap(), 1);
    assert_eq!(epoch(&path).await, 2);
    assert_eq!(epoch(&path).await, 2, "once");
    assert_eq!(SqliteBus::open(&path).await.unwrap().info().store, name);
}
