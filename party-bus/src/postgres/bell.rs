//! The connection that listens. A notification is a bell and no more: it may be lost, so once a second all
//! that somebody waits for is looked at anyway. It is sent apart from the writes: one that is part of a
//! commit makes all commits of the server wait for each other.

use super::{
    board::Board,
    failure::Failure,
    link::{Address, Link, Use, answered},
    row::{uid, uint},
};
use party_core::{Offset, SessionId};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep},
};

/// How often what nobody rang for is looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// The longest pause between tries to connect.
const PAUSE: Duration = Duration::from_secs(1);

const HEADS: &str = "SELECT uid, head FROM session WHERE uid = ANY($1)";
const RING: &str = "SELECT pg_notify($1, '')";

/// Listens until the board is closed.
pub(super) async fn listen(address: Arc<Address>, store: String, board: Arc<Board>) {
    let (mut closing, channel) = (board.closing(), channel(&store));
    tokio::select! {
        _ = closing.wait_for(|closed| *closed) => {}
        () = listen_for_ever(&address, &channel, &board) => {}
    }
}

/// Stores are told apart by their own names, whatever their schemas are called.
fn channel(store: &str) -> String {
    format!("party_{store}")
}

async fn listen_for_ever(address: &Address, channel: &str, board: &Board) {
    let mut pause = Duration::from_millis(10);
    loop {
        match connect(address, channel).await {
            Ok((link, rung)) => {
                pause = Duration::from_millis(10);
                board.forget();
                let failure = hear(link, &rung, channel, board).await;
                tracing::debug!(?failure, "the connection that listens is gone");
            }
            Err(failure) => tracing::debug!(?failure, "cannot listen to the store"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE);
    }
}

async fn connect(address: &Address, channel: &str) -> Result<(Link, Arc<Notify>), Failure> {
    let rung = Arc::new(Notify::new());
    let mut link = address.connect(Use::Keys, Some(Arc::clone(&rung))).await?;
    link.prepare(&[HEADS, RING]).await?;
    link.batch(&format!("LISTEN \"{channel}\"")).await?;
    Ok((link, rung))
}

/// Works until the connection fails.
async fn hear(link: Link, rung: &Notify, channel: &str, board: &Board) -> Failure {
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let outcome = tokio::select! {
            () = board.written.notified() => answered(link.query(RING, &[&channel])).await.map(drop),
            () = rung.notified() => look(&link, board).await,
            _ = sweep.tick() => look(&link, board).await,
        };
        if let Err(failure) = outcome {
            return failure;
        }
    }
}

/// Looks at all sessions that somebody waits for.
async fn look(link: &Link, board: &Board) -> Result<(), Failure> {
    board.ring();
    let sessions = board.sessions();
    if sessions.is_empty() {
        return if link.is_closed() { Err(Failure::broken("the connection is closed")) } else { Ok(()) };
    }
    let uids: Vec<&[u8]> = sessions.iter().map(|session| &session.as_bytes()[..]).collect();
    for row in answered(link.query(HEADS, &[&uids])).await? {
        let session = SessionId::from_bytes(uid("uid", row.try_get(0)?)?);
        board.seen(session, Offset(uint("head", row.try_get(1)?)?));
    }
    Ok(())
}
