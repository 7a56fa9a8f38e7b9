//! Stores of their own on the server that all tests share.

use party_bus::{Bus, BusAdmin, PostgresBus, PostgresOptions, async_trait, conformance::Stage};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use test_support::postgres::Cluster;

/// A name for a schema that no other test has.
pub(crate) fn fresh(what: &str) -> String {
    static NAMES: AtomicU64 = AtomicU64::new(1);
    format!("{what} {}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// A new store in the shared cluster.
pub(crate) struct OwnSchema {
    pub(crate) options: PostgresOptions,
}

impl OwnSchema {
    pub(crate) fn new(what: &str) -> Self {
        Self::on(Cluster::shared(), what)
    }

    pub(crate) fn on(cluster: &Cluster, what: &str) -> Self {
        Self { options: PostgresOptions::new(cluster.url()).schema(fresh(what)) }
    }

    pub(crate) async fn bus(&self) -> Arc<PostgresBus> {
        Arc::new(PostgresBus::open(self.options.clone()).await.unwrap())
    }

    pub(crate) async fn any_bus(&self) -> Arc<dyn Bus> {
        self.bus().await
    }

    /// A connection to look behind the store's back, in its schema.
    pub(crate) async fn look(&self) -> Look {
        look(&self.options.url, &self.options.schema).await
    }
}

#[async_trait]
impl Stage for OwnSchema {
    async fn open(&self) -> Arc<dyn BusAdmin> {
        self.bus().await
    }
}

/// A connection of the test's own.
pub(crate) struct Look {
    pub(crate) client: tokio_postgres::Client,
    _task: tokio::task::JoinHandle<()>,
}

pub(crate) async fn look(url: &str, schema: &str) -> Look {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let task = tokio::spawn(async move { drop(connection.await) });
    client.batch_execute(&format!("SET search_path TO \"{}\"", schema.replace('"', "\"\""))).await.unwrap();
    Look { client, _task: task }
}

impl Look {
    /// The first column of the first row.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }
}
