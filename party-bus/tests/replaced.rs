//! What becomes of a store whose file is deleted, moved or replaced while it is open.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{
    Bus, BusAdmin as _, BusExt as _, Classes, Error, ErrorKind, SqliteBus,
    conformance::{Sample, note},
};
use party_core::{Offset, RecordClass};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

struct Store {
    folder: TempDir,
    bus: Arc<SqliteBus>,
    sample: Sample,
}

impl Store {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bus = Arc::new(SqliteBus::open(folder.path().join("store.db")).await.unwrap());
        let shared: Arc<dyn Bus> = Arc::<SqliteBus>::clone(&bus);
        let sample = Sample::opened(&shared).await;
        Self { folder, bus, sample }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    async fn append(&mut self) -> Result<(), Error> {
        let batch = self.sample.batch([note(RecordClass::Report, "said")]);
        self.sample.head = self.bus.append(batch).await?.last;
        Ok(())
    }

    /// Every way to use the store, and what each is told.
    async fn is_refused_everywhere(&mut self, why: &str) {
        let backup = self.folder.path().join("backup.db");
        let told = [
            self.append().await.unwrap_err(),
            self.bus.read_to_end(self.sample.session, Offset::START, Classes::ALL).await.unwrap_err(),
            self.bus.head(self.sample.session).await.unwrap_err(),
            self.bus.backup(&backup).await.unwrap_err(),
            self.bus.close().await.unwrap_err(),
        ];
        for error in told {
            assert_eq!(error.kind(), ErrorKind::Replaced, "{error}");
            assert_eq!(error.to_string(), format!("{} {why} while it was open", self.path().display()));
        }
        assert!(!backup.exists());
    }
}

fn moved(path: &Path) -> PathBuf {
    path.with_extension("moved")
}

#[tokio::test]
async fn a_store_whose_file_is_deleted_is_refused_and_not_made_anew() {
    let mut store = Store::open().await;
    fs::remove_file(store.path()).unwrap();
    store.is_refused_everywhere("was deleted").await;
    assert!(!store.path().exists());
}

#[tokio::test]
async fn a_store_whose_file_is_replaced_is_refused_and_the_other_file_left_alone() {
    let mut store = Store::open().await;
    let other = store.folder.path().join("other.db");
    SqliteBus::open(&other).await.unwrap().close().await.unwrap();
    let before = fs::read(&other).unwrap();
    fs::rename(&other, store.path()).unwrap();
    store.is_refused_everywhere("was replaced by another file").await;
    assert!(fs::read(store.path()).unwrap() == before, "the other file was changed");
}

#[tokio::test]
async fn a_store_whose_file_comes_back_goes_on() {
    let mut store = Store::open().await;
    let path = store.path();
    fs::rename(&path, moved(&path)).unwrap();
    assert_eq!(store.append().await.unwrap_err().kind(), ErrorKind::Replaced);
    fs::rename(moved(&path), &path).unwrap();
    store.append().await.unwrap();
    store.bus.close().await.unwrap();
    let bus = SqliteBus::open_existing(&path).await.unwrap();
    assert_eq!(bus.head(store.sample.session).await.unwrap(), store.sample.head);
}

#[tokio::test]
async fn one_who_follows_is_told_that_the_file_is_gone() {
    let store = Store::open().await;
    let mut follow = Arc::clone(&store.bus).follow(store.sample.session, store.sample.head);
    let waiting = tokio::spawn(async move { follow.next().await.unwrap_err() });
    tokio::task::yield_now().await;
    fs::remove_file(store.path()).unwrap();
    let told = tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it ends").unwrap();
    assert_eq!(told.kind(), ErrorKind::Replaced);
}
