//! The one gateway that the tests of a program share, with a fake model behind it.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]
#![allow(dead_code, reason = "each test program uses a part")]

use party_harness::openclaw::{GatewaySetup, OpenClaw};
use serde_json::Value;
use std::{path::Path, time::Duration};
use test_support::{FakeModel, KeptFolder, Scenario, openclaw_env, openclaw_models, openclaw_programs};
use tokio::sync::{Mutex, MutexGuard, OnceCell, Semaphore, SemaphorePermit, oneshot};

/// A gateway, and the model that its agents ask.
pub(crate) struct Shared {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) model: FakeModel,
}

impl Shared {
    /// A harness with keys of its own.
    pub(crate) fn harness(&self, keys: &Path) -> OpenClaw {
        let harness = OpenClaw::attach(&self.url, self.token.clone()).unwrap();
        harness.keys(keys).stop_patience(Duration::from_secs(20))
    }

    /// What the model was asked in whose requests this stands.
    pub(crate) fn asked(&self, marker: &str) -> Vec<Value> {
        let bodies = self.model.model_requests().into_iter().map(|request| request["body"].clone());
        bodies.filter(|body| body.to_string().contains(marker)).collect()
    }
}

/// What a gateway is started with whose model this is.
pub(crate) fn setup(model: &FakeModel, folder: &Path) -> GatewaySetup {
    let (node, openclaw) = openclaw_programs();
    let models = openclaw_models(model.base_url());
    GatewaySetup::new(node, openclaw, folder).config(models).env(openclaw_env())
}

/// The right to a gateway of one's own beside the shared one: two at once, for the sake of memory.
pub(crate) async fn own() -> SemaphorePermit<'static> {
    static PLACES: Semaphore = Semaphore::const_new(2);
    PLACES.acquire().await.unwrap()
}

/// The right to a node of the shared gateway that is new: while it approves one, it fails the calls of others.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// The gateway of this program, started at the first call. It has a thread with a runtime of its own,
/// because those of the tests end with them.
pub(crate) async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    SHARED.get_or_init(start).await
}

async fn start() -> Shared {
    let (ready, started) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = KeptFolder::new("party-openclaw-").unwrap();
            let model = FakeModel::start(Scenario::new()).await;
            let gateway = setup(&model, folder.path()).start().await.unwrap();
            let shared = Shared { url: gateway.url().to_owned(), token: gateway.token().to_owned(), model };
            assert!(ready.send(shared).is_ok());
            std::future::pending::<()>().await;
            drop((gateway, folder));
        });
    });
    started.await.expect("the gateway starts")
}
