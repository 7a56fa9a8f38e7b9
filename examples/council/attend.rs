//! Being with a session to its end: driving it, or following whoever does.

use crate::{Failure, args::Args, bad_or_failed, hosting::Hosting, show::Shown, signals::Signals};
use party_core::{CloseReason, Event, Offset, SessionId};
use party_examples::{BadInput, FINISHED, INTERRUPTED, NO_RESULT, note};
use party_launch::{
    ErrorKind, Party,
    bus::{Bus, BusExt, Follow, Read, SessionQuery, SqliteBus},
};
use std::{path::Path, sync::Arc, time::Duration};

/// How often a follower looks whether the driver is still there.
const LOOK: Duration = Duration::from_millis(500);

/// A session that this process drives, or one that it only watches.
pub(crate) enum Attended {
    Driven(Party),
    Followed(SessionId),
}

impl Attended {
    const fn session(&self) -> SessionId {
        match self {
            Self::Driven(party) => party.session(),
            Self::Followed(session) => *session,
        }
    }
}

/// Goes on with a session, follows it where another process drives it, or reads it if it is over.
pub(crate) async fn resume(
    args: &Args,
    session: SessionId,
    bus: &Arc<SqliteBus>,
    store: &Path,
) -> Result<Attended, Failure> {
    let opening = bus.read(Read::new(session, Offset::START).limit(1)).await?;
    let Some(Ok(Event::SessionOpened(opened))) = opening.entries.first().map(|record| record.event()) else {
        return Err(
            BadInput::new(format!("--resume: there is no session {session} in {}", store.display())).into()
        );
    };
    let hosting = Hosting::of_session(args, store, &opened.seats)?;
    let bus: Arc<dyn Bus> = Arc::<SqliteBus>::clone(bus);
    match hosting.resume(bus, store, session).await? {
        Ok(party) => Ok(Attended::Driven(party)),
        Err(error) if error.kind() == ErrorKind::Busy => Ok(Attended::Followed(session)),
        Err(error) => Err(bad_or_failed(error)),
    }
}

/// How it came that we no longer attend.
enum Ended {
    Closed(CloseReason),
    /// We were asked to stop, or another process has the session.
    Left,
}

/// Shows a session to its end, and takes it over where its driver goes away.
pub(crate) async fn attend(
    args: &Args,
    bus: Arc<SqliteBus>,
    mut attended: Attended,
    store: &Path,
    mut signals: Signals,
) -> Result<u8, Failure> {
    let session = attended.session();
    let mut shown = Shown::new(args.show(), session, store.to_owned());
    shown.begin();
    if let Some(socket) = &args.socket {
        shown.remark(&format!("speak and follow by the socket {}", socket.display()));
    }
    let mut records = Arc::clone(&bus).follow(session, Offset::START);
    let ended = loop {
        tokio::select! {
            closed = show_all(&mut records, &mut shown) => break closed.map(Ended::Closed),
            failed = driver_failed(&attended) => break left_or_failed(failed),
            taken = driver_gone(&attended, &bus) => match taken {
                Ok(()) => attended = resume(args, session, &bus, store).await?,
                Err(error) => break Err(error),
            },
            () = signals.next() => break Ok(Ended::Left),
        }
        if let Attended::Driven(_) = attended {
            shown.remark("its driver is gone; this process goes on with it");
        }
    };
    let drained = drain(attended, &mut signals).await;
    let closed = match ended? {
        Ended::Closed(reason) => Some(reason),
        Ended::Left => None,
    };
    finish(&mut shown, closed, args, drained)
}

fn finish(
    shown: &mut Shown,
    closed: Option<CloseReason>,
    args: &Args,
    drained: Result<(), Failure>,
) -> Result<u8, Failure> {
    let written = shown.write();
    shown.end(closed, args);
    drained?;
    written?;
    Ok(match closed {
        Some(CloseReason::Finished) => FINISHED,
        Some(reason) => {
            note(&format!("council: no result: {reason}"));
            NO_RESULT
        }
        None => INTERRUPTED,
    })
}

async fn show_all(records: &mut Follow<SqliteBus>, shown: &mut Shown) -> Result<CloseReason, Failure> {
    loop {
        let record = records.next().await?;
        shown.take(record);
        if let Some(reason) = shown.closed() {
            return Ok(reason);
        }
    }
}

/// Waits for our driver to fail; for ever where it does not.
async fn driver_failed(attended: &Attended) -> party_launch::Error {
    if let Attended::Driven(party) = attended
        && let Err(error) = party.finished().await
    {
        return error;
    }
    std::future::pending().await
}

/// Waits until nobody drives the session that we follow; for ever where we drive it.
async fn driver_gone(attended: &Attended, bus: &SqliteBus) -> Result<(), Failure> {
    let Attended::Followed(session) = attended else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK).await;
        let found = bus.sessions(SessionQuery::one(*session)).await?;
        if found.entries.iter().all(|info| info.driver.is_none()) {
            return Ok(());
        }
    }
}

/// Who lost the lease, as a process that was paused does, leaves a session that can be resumed.
fn left_or_failed(error: party_launch::Error) -> Result<Ended, Failure> {
    if error.kind() != ErrorKind::Fenced {
        return Err(error.into());
    }
    note(&format!("council: {}; another process may go on with it", error.in_full()));
    Ok(Ended::Left)
}

/// Ends what runs here; at once where we are asked a second time.
async fn drain(attended: Attended, signals: &mut Signals) -> Result<(), Failure> {
    let Attended::Driven(party) = attended else { return Ok(()) };
    tokio::select! {
        drained = party.shutdown() => match drained {
            Err(error) if error.kind() != ErrorKind::Fenced => Err(error.into()),
            _ => Ok(()),
        },
        () = signals.next() => Ok(()),
    }
}
