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
};

const MIB: u64 = 1 << 20;

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

    /// Writes so many MiB, and gives the longest that the log was.
    async fn write(&mut self, mibs: u32) -> u64 {
        let mut longest = 0;
        for _ in 0..mibs {
            let item = say(&Author::System, &"x".repeat(1 << 20));
            let batch = self.sample.batch([note(RecordClass::Trace, "big").with_item(item)]).buffered();
            self.sample.head = self.sample.bus.append(batch).await.unwrap().last;
            longest = longest.max(self.log());
        }
        longest
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_short_however_much_is_written() {
    let mut store = Store::open().await;
    let longest = store.write(180).await;
    println!("the log came to {} MiB at most", longest / MIB);
    assert!(longest < 160 * MIB, "the log came to {} MiB", longest / MIB);
    assert!(size(&store.path()) > 40 * MIB, "nothing was moved");
}
