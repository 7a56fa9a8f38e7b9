//! Leases, inside the writer's transaction.

use super::{
    failure::Failure,
    row::{int, json, parse, uint},
};
use crate::{Lease, LeaseOp, lease::Tenure};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::time::SystemTime;

/// The store's clock, in microseconds: all its processes are on one machine, and share it.
pub(super) fn now() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Carries out `op`.
pub(super) fn run(conn: &Connection, op: &LeaseOp) -> Result<Option<Lease>, Failure> {
    let session = op.session();
    if matches!(op, LeaseOp::Acquire { .. }) {
        conn.prepare_cached("INSERT INTO session (uid) VALUES (?1) ON CONFLICT (uid) DO NOTHING")?
            .execute([session.as_bytes()])?;
    }
    let columns: Option<Columns> = conn
        .prepare_cached("SELECT lease_owner, lease_token, lease_until FROM session WHERE uid = ?1")?
        .query_row([session.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some(columns) = columns else { return Ok(None) };
    let mut tenure = tenure(columns)?;
    let lease = tenure.apply(op, now());
    if lease.is_some() {
        conn.prepare_cached(
            "UPDATE session SET lease_owner = ?2, lease_token = ?3, lease_until = ?4 WHERE uid = ?1",
        )?
        .execute(params![
            session.as_bytes(),
            tenure.owner.as_ref().map(json),
            int(tenure.token),
            tenure.until
        ])?;
    }
    Ok(lease)
}

/// `lease_owner`, `lease_token`, `lease_until`.
pub(super) type Columns = (Option<String>, i64, i64);

pub(super) fn tenure((owner, token, until): Columns) -> Result<Tenure, Failure> {
    let owner = owner.map(|text| parse(&text, || "the holder of a lease".into())).transpose()?;
    Ok(Tenure { owner, token: uint("lease_token", token)?, until })
}
