//! A group of leases in one transaction. The rules are those of every store, the clock is the server's.

use super::{
    failure::Failure,
    fetch::{THERE, tenure},
    held::Outcome,
    link::Link,
    row::int,
};
use crate::{Lease, LeaseOp, Result, Tenure, encoded::json};
use futures::join;
use party_core::SessionId;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::spawn_blocking;

const MAKE: &str = "INSERT INTO session (uid) SELECT uid FROM unnest($1::bytea[]) u (uid)
    WHERE NOT EXISTS (SELECT FROM session WHERE session.uid = u.uid) ORDER BY uid ON CONFLICT DO NOTHING";
const LOCK: &str = "SELECT uid, lease_owner, lease_token, lease_until FROM session
    WHERE uid = ANY($1) ORDER BY uid FOR UPDATE SKIP LOCKED";
pub(super) const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
const PUT: &str = "UPDATE session SET lease_owner = u.owner, lease_token = u.token, lease_until = u.until
    FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[]) u (uid, owner, token, until)
    WHERE session.uid = u.uid";

/// A lease to be taken, kept or given up.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) op: LeaseOp,
    /// What an earlier try of this call was about to commit when the connection broke.
    tried: Option<Lease>,
}

impl Turn {
    pub(super) const fn new(op: LeaseOp) -> Self {
        Self { op, tried: None }
    }

    fn run(&self, tenure: &mut Tenure, now: i64) -> Option<Lease> {
        let is_done = matches!(self.op, LeaseOp::Release { fencing_token, .. }
            if tenure.owner.is_none() && tenure.token == fencing_token);
        tenure.apply(&self.op, now).or_else(|| self.tried.clone().filter(|_| is_done))
    }
}

/// Carries out the ops, but those of sessions that somebody else has locked; each gets its own answer, in
/// order.
pub(super) async fn run(
    link: &mut Link,
    turns: &mut [Turn],
) -> Result<Vec<Outcome<Result<Option<Lease>>>>, Failure> {
    link.prepare(&[MAKE, LOCK, THERE, NOW, PUT]).await?;
    let is_acquire = |turn: &&Turn| matches!(turn.op, LeaseOp::Acquire { .. });
    // A token that was given out and forgotten would be given out again.
    let begin = match turns.iter().any(|turn| is_acquire(&turn)) {
        true => "BEGIN; SET LOCAL synchronous_commit = on",
        false => "BEGIN; SET LOCAL synchronous_commit = off",
    };
    let of = |turn: &Turn| *turn.op.session().as_bytes();
    let acquired: BTreeSet<[u8; 16]> = turns.iter().filter(is_acquire).map(of).collect();
    let (acquired, sessions): (Vec<_>, Vec<_>) =
        (acquired.into_iter().collect(), turns.iter().map(of).collect());
    link.in_transaction = true;
    let make = async {
        match acquired.is_empty() {
            true => Ok(0),
            false => link.execute(MAKE, &[&acquired]).await,
        }
    };
    let (begun, made, locked, there, now) = join!(
        link.batch(begin),
        make,
        async { link.query(LOCK, &[&sessions]).await },
        async { link.query(THERE, &[&sessions]).await },
        link.query(NOW, &[])
    );
    begun?;
    made?;
    let mut tenures = BTreeMap::new();
    for row in locked? {
        let session = SessionId::from_bytes(super::row::uid("uid", row.try_get(0)?)?);
        tenures.insert(session, tenure(&row, 1)?);
    }
    let mut held = BTreeSet::new();
    for row in there? {
        let session = SessionId::from_bytes(super::row::uid("uid", row.try_get(0)?)?);
        if !tenures.contains_key(&session) {
            held.insert(session);
        }
    }
    let now: i64 = now?.first().ok_or_else(|| Failure::broken("the server gave no time"))?.try_get(0)?;
    let before = turns.to_vec();
    // Whether a process lives is asked of the system, which may block.
    let decided = spawn_blocking(move || {
        let run = |turn: &Turn| tenures.get_mut(&turn.op.session()).and_then(|tenure| turn.run(tenure, now));
        let leases: Vec<Option<Lease>> = before.iter().map(run).collect();
        (leases, tenures)
    });
    let (leases, tenures) = decided.await.map_err(|_| Failure::broken("the runtime is shutting down"))?;
    if leases.iter().all(Option::is_none) {
        // A session's row may have been made.
        link.commit().await?;
        return Ok(outcomes(turns, leases, &held));
    }
    let outcome = put(link, tenures).await;
    if let Err(Failure::Broken(_)) = &outcome {
        let done = turns.iter_mut().zip(&leases).filter(|(turn, _)| !held.contains(&turn.op.session()));
        done.for_each(|(turn, lease)| turn.tried = lease.clone());
    }
    outcome.map(|()| outcomes(turns, leases, &held))
}

fn outcomes(
    turns: &[Turn],
    leases: Vec<Option<Lease>>,
    held: &BTreeSet<SessionId>,
) -> Vec<Outcome<Result<Option<Lease>>>> {
    let outcome = |(turn, lease): (&Turn, _)| match held.contains(&turn.op.session()) {
        true => Outcome::Held,
        false => Outcome::Done(Ok(lease)),
    };
    turns.iter().zip(leases).map(outcome).collect()
}

async fn put(link: &mut Link, tenures: BTreeMap<SessionId, Tenure>) -> Result<(), Failure> {
    let uids: Vec<[u8; 16]> = tenures.keys().map(|session| *session.as_bytes()).collect();
    let owners: Vec<Option<String>> =
        tenures.values().map(|tenure| tenure.owner.as_ref().map(json)).collect();
    let tokens: Vec<i64> = tenures.values().map(|tenure| int(tenure.token)).collect();
    let untils: Vec<i64> = tenures.values().map(|tenure| tenure.until).collect();
    let (put, committed) =
        join!(async { link.execute(PUT, &[&uids, &owners, &tokens, &untils]).await }, link.batch("COMMIT"));
    put?;
    committed?;
    link.in_transaction = false;
    Ok(())
}
