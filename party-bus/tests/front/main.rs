//! A bus on a Unix socket, as its clients see it.
#![expect(clippy::unwrap_used, reason = "test code")]

mod admission;
mod client;
mod following;
mod hostile;
mod reading;
mod writing;

use client::Client;
use party_bus::{
    Bus, MemoryBus,
    conformance::Sample,
    front::{Front, FrontOptions},
};
use std::{path::PathBuf, sync::Arc};

/// A front over a store in memory with one session, in a folder of its own.
struct Stage {
    folder: tempfile::TempDir,
    bus: Arc<dyn Bus>,
    sample: Sample,
    front: Option<Front>,
}

impl Stage {
    async fn new() -> Self {
        Self::with(FrontOptions::owner("ann")).await
    }

    async fn with(options: FrontOptions) -> Self {
        Self::on(Arc::new(MemoryBus::new()), options).await
    }

    async fn on(bus: Arc<dyn Bus>, options: FrontOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::opened(&bus).await;
        let front = Front::bind(Arc::clone(&bus), folder.path().join("party.sock"), options).await.unwrap();
        Self { folder, bus, sample, front: Some(front) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("party.sock")
    }

    async fn client(&self) -> Client {
        Client::connect(&self.path()).await
    }
}
