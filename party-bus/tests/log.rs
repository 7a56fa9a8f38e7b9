//! What the write-ahead log may grow to: it is moved into the file beside the writing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use party_bus::{
    Bus, SqliteBus,
    conformance::{Sample, note, say},
};
use party_core::{Author, RecordClass};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

const MIB: u64 = 1 << 20;
/// What the log's file keeps once it begins anew.
const KEPT: u64 = 64 * MIB;

struct Store {
    folder: tempfile::TempDir,
    sample: Sample,
}

impl Store {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(folder.path().join("store.db")).await.unwrap());
        Self { folder, sample: Sample::opened(&bus).await }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    fn log(&self) -> u64 {
        size(&self.folder.path().join("store.db-wal"))
    }

    /// Writes so many batches of so many bytes.
    async fn write(&mut self, batches: u32, bytes: usize) {
        for _ in 0..batches {
            let item = say(&Author::System, &"x".repeat(bytes));
            let batch = self.sample.batch([note(RecordClass::Trace, "big").with_item(item)]).buffered();
            self.sample.head = self.sample.bus.append(batch).await.unwrap().last;
        }
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// How far it gets ahead of what is moved is a matter of the disk; that it is cut back is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_moved_beside_the_writing_and_cut_back_by_little_writes() {
    let mut store = Store::open().await;
    store.write(120, 1 << 20).await;
    let cut_back = async {
        while store.log() > KEPT + MIB {
            store.write(1, 1 << 10).await;
        }
    };
    timeout(Duration::from_secs(60), cut_back).await.expect("the log is cut back");
    // The log may have begun anew before, and hold the rest.
    assert!(size(&store.path()) > 50 * MIB, "nothing was moved");
}
