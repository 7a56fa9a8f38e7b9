//! A store with one long thread.

use party_benches::{Driven, median};
use party_bus::{Bus as _, SqliteBus, Window};
use party_core::ThreadId;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use tokio::runtime::Runtime;

/// How many entries a window shows.
pub(crate) const SHOWN: u32 = 100;
/// Small ones, so that a million take less than a gigabyte.
const ITEM: usize = 220;
/// Records of one batch while it is built.
const AT_ONCE: u64 = 5_000;

pub(crate) struct Long {
    pub(crate) path: PathBuf,
    pub(crate) bus: Arc<SqliteBus>,
    pub(crate) driven: Driven,
    pub(crate) entries: u64,
}

impl Long {
    pub(crate) async fn build(folder: &Path, name: &str, entries: u64) -> Self {
        let path = folder.join(name).with_extension("db");
        let bus = SqliteBus::open(&path).await.expect("a store opens");
        let mut driven = Driven::open(&bus, 0).await.expect("a session opens").with_items_of(ITEM);
        let mut left = entries;
        while left > 0 {
            let batch = driven.batch_of(left.min(AT_ONCE));
            left -= left.min(AT_ONCE);
            // The last one brings all of them to the disk.
            let batch = if left > 0 { batch.buffered() } else { batch };
            bus.append(batch).await.expect("the batch is right");
        }
        Self { path, bus: Arc::new(bus), driven, entries }
    }

    /// Its last entries.
    pub(crate) fn last(&self) -> Window {
        self.last_of(self.driven.thread())
    }

    pub(crate) fn last_of(&self, thread: ThreadId) -> Window {
        Window::last(self.driven.session(), thread, SHOWN)
    }

    /// The median time that each of the windows takes, in microseconds.
    pub(crate) fn show(&self, runtime: &Runtime, windows: Vec<Window>) -> f64 {
        let bus = Arc::clone(&self.bus);
        on_a_worker(runtime, async move {
            let mut times = Vec::with_capacity(windows.len());
            for window in windows {
                let begun = Instant::now();
                let page = bus.window(window).await.expect("the thread is there");
                times.push(micros(begun));
                assert_eq!(page.entries.len(), SHOWN as usize, "the window is full");
            }
            median(&times)
        })
    }

    pub(crate) async fn close(self) -> PathBuf {
        self.bus.close().await.expect("the store closes");
        self.path
    }
}

/// Opens a store and shows the end of its long thread; how long that took, in microseconds.
pub(crate) async fn open(path: &Path) -> f64 {
    let begun = Instant::now();
    let bus = SqliteBus::open_existing(path).await.expect("the store opens");
    let thread = Driven::first_thread(Driven::id(0));
    let page = bus.window(Window::last(Driven::id(0), thread, SHOWN)).await.expect("the thread is there");
    let time = micros(begun);
    assert_eq!(page.entries.len(), SHOWN as usize, "the window is full");
    bus.close().await.expect("the store closes");
    time
}

/// As a task: the main thread of a runtime is woken in another way than its workers.
pub(crate) fn on_a_worker<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    runtime.block_on(runtime.spawn(work)).expect("the task ends")
}

pub(crate) fn micros(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6
}
