//! A connection, and what is prepared on it.

use super::{failure::Failure, options::PostgresOptions, tls::Maker};
use crate::{Error, ErrorKind, Result};
use std::{collections::HashMap, future::poll_fn, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Row, Statement, types::ToSql};

/// The server ends a statement that takes longer.
const STATEMENT: Duration = Duration::from_secs(30);
/// The server ends the connection of a process that stands still in a transaction, for others wait.
const IDLE: Duration = Duration::from_secs(20);

/// What connections are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Rows by their keys. The planner knows little of tables that grow from nothing within seconds, and
    /// every such statement has an index, so it is told not to think of anything else.
    Keys,
    /// Whole tables, for as long as it takes.
    Care,
}

/// Where and how to connect.
#[derive(Debug)]
pub(super) struct Address {
    config: Config,
    settings: String,
    pub(super) schema: String,
    pub(super) quoted: String,
    pub(super) patience: Duration,
    tls: Option<Arc<dyn super::Tls>>,
}

impl Address {
    pub(super) fn new(options: &PostgresOptions) -> Result<Self> {
        let invalid =
            |error| Error::new(ErrorKind::Invalid, "the url of the store cannot be read").with_source(error);
        let mut config: Config =
            options.url.parse().map_err(|error: tokio_postgres::Error| invalid(error))?;
        let limit = options.patience.max(Duration::from_secs(1));
        config.connect_timeout(*config.get_connect_timeout().unwrap_or(&limit));
        config.keepalives_idle(Duration::from_secs(15)).tcp_user_timeout(STATEMENT);
        if config.get_application_name().is_none() {
            config.application_name("party");
        }
        let quoted = options.quoted_schema()?;
        let lock = limit.min(STATEMENT / 2).as_millis();
        let settings = format!(
            "SET search_path TO {quoted}, pg_temp; SET lock_timeout = {lock};
             SET idle_in_transaction_session_timeout = {}; SET jit = off",
            IDLE.as_millis()
        );
        let (schema, patience, tls) = (options.schema.clone(), options.patience, options.tls.clone());
        Ok(Self { config, settings, schema, quoted, patience, tls })
    }

    /// Connects; each notification that comes rings `bell`.
    pub(super) async fn connect(&self, what: Use, bell: Option<Arc<Notify>>) -> Result<Link, Failure> {
        let connecting = async {
            Ok::<_, Failure>(match &self.tls {
                None => {
                    let (client, connection) = self.config.connect(NoTls).await?;
                    (client, tokio::spawn(drive(connection, bell)))
                }
                Some(tls) => {
                    let (client, connection) = self.config.connect(Maker(Arc::clone(tls))).await?;
                    (client, tokio::spawn(drive(connection, bell)))
                }
            })
        };
        // The driver's own limit is for each address that a name has.
        let limit = self.patience.max(Duration::from_secs(2)) * 2;
        let connected = timeout(limit, connecting).await;
        let (client, task) = connected.map_err(|_| Failure::broken("the server does not answer"))??;
        let link = Link { client, statements: HashMap::new(), in_transaction: false, task: Task(task) };
        let more = match what {
            Use::Keys => format!(
                "; SET statement_timeout = {}; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
                 SET enable_hashjoin = off; SET enable_mergejoin = off",
                STATEMENT.as_millis()
            ),
            Use::Care => "; SET statement_timeout = 0".to_owned(),
        };
        link.batch(&format!("{}{more}", self.settings)).await?;
        Ok(link)
    }

    pub(super) fn error(&self, failure: Failure, act: &str) -> Error {
        failure.into_error(act, &self.schema)
    }
}

/// Moves bytes until the client is gone, or the server.
async fn drive<S, T>(mut connection: Connection<S, T>, bell: Option<Arc<Notify>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let (AsyncMessage::Notification(_), Some(bell)) = (&message, &bell) {
            bell.notify_one();
        }
    }
    if let Some(bell) = &bell {
        bell.notify_one();
    }
}

/// A connection. Dropped, it ends, and the server undoes what was not committed.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    /// Between `begin` and `commit`: not to be used by anybody else.
    pub(super) in_transaction: bool,
    task: Task,
}

/// The parameters of a statement.
pub(super) type Params<'p> = [&'p (dyn ToSql + Sync)];

impl Link {
    /// Prepares what is not prepared yet, so that it can be pipelined.
    pub(super) async fn prepare(&mut self, statements: &[&'static str]) -> Result<(), Failure> {
        for sql in statements {
            if !self.statements.contains_key(sql) {
                let statement = self.client.prepare(sql).await?;
                self.statements.insert(sql, statement);
            }
        }
        Ok(())
    }

    /// Sent at the first poll, where it was prepared before; so calls that are joined go out in order and
    /// without waiting for each other.
    pub(super) async fn query(&self, sql: &'static str, params: &Params<'_>) -> Result<Vec<Row>, Failure> {
        Ok(match self.statements.get(sql) {
            Some(statement) => self.client.query(statement, params).await?,
            None => self.client.query(sql, params).await?,
        })
    }

    /// As [`query`](Self::query); how many rows it changed.
    pub(super) async fn execute(&self, sql: &'static str, params: &Params<'_>) -> Result<u64, Failure> {
        Ok(match self.statements.get(sql) {
            Some(statement) => self.client.execute(statement, params).await?,
            None => self.client.execute(sql, params).await?,
        })
    }

    /// Prepares once, and asks.
    pub(super) async fn ask(&mut self, sql: &'static str, params: &Params<'_>) -> Result<Vec<Row>, Failure> {
        self.prepare(&[sql]).await?;
        self.query(sql, params).await
    }

    pub(super) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Begins a transaction, which [`commit`](Self::commit) ends.
    pub(super) async fn begin(&mut self, sql: &str) -> Result<(), Failure> {
        self.in_transaction = true;
        self.batch(sql).await
    }

    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        self.batch("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Undoes the transaction that a failure left; without it the connection is of no use.
    pub(super) async fn undo(&mut self) -> Result<(), Failure> {
        if self.in_transaction {
            self.batch("ROLLBACK").await?;
            self.in_transaction = false;
        }
        Ok(())
    }

    /// Takes leave of the server.
    pub(super) async fn close(self) {
        let Self { client, statements, mut task, .. } = self;
        drop((statements, client));
        let _ = timeout(Duration::from_secs(1), &mut task.0).await;
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(super) struct Task(pub(super) JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for a piece of work as long as the server could need for it: past that it is out of reach.
pub(super) async fn answered<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let answer = timeout(STATEMENT + IDLE / 2, work).await;
    answer.unwrap_or_else(|_| Err(Failure::broken("the server does not answer")))
}
