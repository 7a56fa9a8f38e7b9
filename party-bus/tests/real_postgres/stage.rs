//! Stores of their own, and a look behind their backs.

use party_bus::{Bus, BusAdmin, PostgresBus, PostgresOptions, async_trait, conformance::Stage};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use test_support::postgres::Cluster;
use tokio_postgres::{Client, NoTls};

/// A name for a schema that no other test has.
pub(crate) fn fresh(what: &str) -> String {
    static NAMES: AtomicU64 = AtomicU64::new(1);
    format!("{what} {}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// A new store.
pub(crate) struct OwnSchema {
    pub(crate) options: PostgresOptions,
}

impl OwnSchema {
    /// In the cluster that the tests share.
    pub(crate) fn new(what: &str) -> Self {
        Self::on(Cluster::shared(), what)
    }

    /// Its connections are named after its schema.
    pub(crate) fn on(cluster: &Cluster, what: &str) -> Self {
        let schema = fresh(what);
        let port = cluster.port();
        let url = format!(
            "host=127.0.0.1 port={port} user=party dbname=postgres application_name='{}'",
            schema.replace('\'', "\\'")
        );
        Self { options: PostgresOptions::new(url).schema(schema) }
    }

    pub(crate) async fn store(&self) -> Arc<PostgresBus> {
        Arc::new(PostgresBus::open(self.options.clone()).await.unwrap())
    }

    pub(crate) async fn bus(&self) -> Arc<dyn Bus> {
        self.store().await
    }

    /// A connection of the test's own, in the store's schema.
    pub(crate) async fn look(&self) -> Look {
        let url = self.options.url.replace("application_name='", "application_name='look at ");
        let look = Look::at(&url).await;
        let schema = self.options.schema.replace('"', "\"\"");
        look.client.batch_execute(&format!("SET search_path TO \"{schema}\"")).await.unwrap();
        look
    }
}

#[async_trait]
impl Stage for OwnSchema {
    async fn open(&self) -> Arc<dyn BusAdmin> {
        self.store().await
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(180)
    }
}

/// A connection of the test's own.
pub(crate) struct Look {
    pub(crate) client: Client,
    _task: tokio::task::JoinHandle<()>,
}

impl Look {
    pub(crate) async fn at(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let task = tokio::spawn(async move { drop(connection.await) });
        Self { client, _task: task }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// The first column of the first row.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Waits until `sql` gives more than 0.
    pub(crate) async fn wait_for(&self, sql: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.number(sql).await == 0 {
            assert!(Instant::now() < deadline, "never: {sql}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the connections of a store for which `which` holds; how many there were.
    pub(crate) async fn terminate(&self, stage: &OwnSchema, which: &str) -> i64 {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1 AND ({which})"
        );
        self.client.query_one(&sql, &[&stage.options.schema]).await.unwrap().get(0)
    }
}
