//! Opening a schema: what it must be, and what is made of a new one.

use super::{
    failure::Failure,
    link::{Address, Link},
};
use crate::{BusInfo, Capabilities, Error, ErrorKind};
use tokio_postgres::error::SqlState;

/// The schema that this version reads and writes.
const SCHEMA: i32 = 1;

/// Makes the store where there is none, migrates an older one, and reads what it is.
pub(super) async fn open(link: &mut Link, address: &Address, search: bool) -> Result<BusInfo, Failure> {
    check_server(link, address).await?;
    link.begin("BEGIN").await?;
    // One process at a time; others that open the same schema wait here.
    let key = format!("party {}", address.schema);
    link.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", &[&key]).await?;
    ensure(link, address).await?;
    link.execute("UPDATE store SET search = true WHERE $1 AND NOT search", &[&search]).await?;
    let (store, epoch, searchable) = raise_epoch(link).await?;
    link.commit().await?;
    let capabilities = Capabilities {
        durable: true,
        cross_process: true,
        backup: false,
        prune: true,
        erase: true,
        search: searchable,
    };
    Ok(BusInfo { backend: "postgres", store, epoch, capabilities })
}

async fn check_server(link: &Link, address: &Address) -> Result<(), Failure> {
    let sql = "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding')";
    let rows = link.query(sql, &[]).await?;
    let row = rows.first().ok_or_else(|| Failure::broken("the server gave no version"))?;
    let (version, encoding): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    let refused =
        |why| Err(Error::new(ErrorKind::Unsupported, format!("schema {:?}: {why}", address.schema)).into());
    if version < 150_000 {
        return refused(format!("PostgreSQL {} is older than 15", version / 10_000));
    }
    if encoding != "UTF8" {
        return refused(format!("the database's encoding is {encoding}, not UTF8"));
    }
    Ok(())
}

/// Whether the schema is there, whether it has a table `store`, and whether it has anything at all.
const LOOK: &str = "SELECT
    EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
    EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'store' AND a.attname = 'application'),
    EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1)";

async fn ensure(link: &Link, address: &Address) -> Result<(), Failure> {
    let not_ours = || {
        let why = format!("schema {:?} belongs to another application", address.schema);
        Failure::from(Error::new(ErrorKind::NotAStore, why))
    };
    let rows = link.query(LOOK, &[&address.schema]).await?;
    let row = rows.first().ok_or_else(|| Failure::broken("the server gave no answer"))?;
    let (exists, has_store, has_more): (bool, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if !has_store {
        if has_more {
            return Err(not_ours());
        }
        if !exists {
            link.batch(&format!("CREATE SCHEMA {}", address.quoted)).await?;
        }
        return create(link).await;
    }
    let rows = match link.query("SELECT application::text, schema FROM store", &[]).await {
        Err(Failure::Failed(error)) if error.code() == Some(&SqlState::UNDEFINED_COLUMN) => {
            return Err(not_ours());
        }
        rows => rows?,
    };
    let row = rows.first().ok_or_else(not_ours)?;
    let (application, schema): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
    match schema {
        _ if application != "party" => Err(not_ours()),
        SCHEMA => Ok(()),
        newer if newer > SCHEMA => {
            let why = format!(
                "schema {:?} was written by a newer version of Party (schema {newer}, known up to {SCHEMA})",
                address.schema
            );
            Err(Error::new(ErrorKind::NewerVersion, why).into())
        }
        older => {
            Err(Failure::corrupt(format!("schema {:?} says that it is of version {older}", address.schema)))
        }
    }
}

async fn create(link: &Link) -> Result<(), Failure> {
    link.batch(include_str!("schema.sql")).await?;
    link.batch(include_str!("views.sql")).await?;
    link.batch(
        "INSERT INTO store VALUES (1, 'party', 1, replace(gen_random_uuid()::text, '-', ''), 1, false);
         INSERT INTO pulse SELECT 'pulse'::regclass",
    )
    .await
}

/// The epoch that holds, though nobody may have raised it yet.
pub(super) const EPOCH: &str =
    "SELECT epoch + (NOT EXISTS (SELECT FROM pulse WHERE own = tableoid))::integer FROM store";

/// The store's name and epoch, and whether it is searchable; a new epoch where the server may have lost
/// what it showed. Inside of a transaction.
pub(super) async fn raise_epoch(link: &Link) -> Result<(String, u64, bool), Failure> {
    let sql = "SELECT uid, epoch, search, EXISTS (SELECT FROM pulse WHERE own = tableoid) FROM store FOR UPDATE OF store";
    let rows = link.query(sql, &[]).await?;
    let row = rows.first().ok_or_else(|| Failure::corrupt("the table `store` is empty"))?;
    let (store, epoch, search, beats): (String, i64, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    if beats {
        return Ok((store, epoch.cast_unsigned(), search));
    }
    link.batch(
        "SET LOCAL synchronous_commit = on; UPDATE store SET epoch = epoch + 1;
         DELETE FROM pulse; INSERT INTO pulse SELECT 'pulse'::regclass;
         WITH late AS (
             SELECT id, row_number() OVER (ORDER BY id) / 500 AS turn FROM session
             WHERE changed > pg_current_xact_id()
         ) UPDATE session SET changed = late.turn::text::xid8 FROM late WHERE session.id = late.id",
    )
    .await?;
    tracing::warn!(
        store,
        epoch = epoch + 1,
        "the server did not stop cleanly, or was restored: epoch raised"
    );
    Ok((store, epoch.cast_unsigned() + 1, search))
}
