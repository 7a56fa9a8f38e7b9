//! A council in a terminal: asks personas a question, shows them think, prints their opinions and
//! the judge's synthesis, and says where all of it is stored.

mod args;
mod party;
mod progress;
mod show;

use args::{Args, HELP};
use party::{Hosting, Plan};
use party_core::{Event, Offset, SessionId};
use party_examples::{
    BadInput, FINISHED, INTERRUPTED, NO_RESULT, default_store, fail, open_existing, open_store,
};
use party_launch::{
    ErrorKind, Party,
    bus::{Bus, BusExt, Follow, Read, SqliteBus},
    core::CloseReason,
};
use show::Shown;
use std::{error::Error, path::Path, process::ExitCode, sync::Arc};

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(args) => args,
        Err(error) => return fail("council", &error),
    };
    if args.help {
        party_examples::Output::default().line(HELP.trim_end());
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail("council", &error),
    };
    match runtime.block_on(run(&args)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail("council", error.as_ref()),
    }
}

async fn run(args: &Args) -> Result<u8, Failure> {
    let store = args.store.clone().map_or_else(default_store, Ok)?;
    let store = std::path::absolute(&store).unwrap_or(store);
    let (bus, plan) = match args.resume {
        Some(_) => (open_existing(&store).await?, None),
        None => {
            let plan = Plan::new(args).await?;
            (open_store(&store).await?, Some(plan))
        }
    };
    let bus = Arc::new(bus);
    let ended = attend(args, Arc::clone(&bus), plan, &store).await;
    bus.close().await?;
    ended
}

/// Goes on with a session, follows it where another process drives it, or reads it if it is over.
async fn resume(
    args: &Args,
    session: SessionId,
    bus: Arc<SqliteBus>,
    store: &Path,
) -> Result<Attended, Failure> {
    let opening = bus.read(Read::new(session, Offset::START).limit(1)).await?;
    let Some(Ok(Event::SessionOpened(opened))) = opening.entries.first().map(|record| record.event()) else {
        return Err(
            BadInput::new(format!("--resume: there is no session {session} in {}", store.display())).into()
        );
    };
    let hosting = Hosting::of_session(args, &opened.seats)?;
    match hosting.builder(bus, store).resume(session).await {
        Ok(party) => Ok(Attended::Driven(party)),
        Err(error) if error.kind() == ErrorKind::Busy => Ok(Attended::Followed(session)),
        Err(error) => Err(bad_or_failed(error)),
    }
}

/// A session that this process drives, or one that it only watches.
enum Attended {
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

async fn attend(args: &Args, bus: Arc<SqliteBus>, plan: Option<Plan>, store: &Path) -> Result<u8, Failure> {
    let attended = match (plan, args.resume) {
        (Some(plan), _) => {
            Attended::Driven(plan.start(Arc::clone(&bus), store).await.map_err(bad_or_failed)?)
        }
        (None, Some(session)) => resume(args, session, Arc::clone(&bus), store).await?,
        (None, None) => return Err(BadInput::new("no question").into()),
    };
    let session = attended.session();
    let mut shown = Shown::new(args.show(), session, store.to_owned());
    shown.begin();
    let ended = tokio::select! {
        closed = show_all(bus.follow(session, Offset::START), &mut shown) => closed.map(Some),
        failed = driver_failed(&attended) => Err(failed),
        _ = tokio::signal::ctrl_c() => Ok(None),
    };
    if let Attended::Driven(party) = attended {
        party.shutdown().await?;
    }
    let closed = ended?;
    shown.end(closed)?;
    Ok(match closed {
        Some(CloseReason::Finished) => FINISHED,
        Some(_) => NO_RESULT,
        None => INTERRUPTED,
    })
}

async fn show_all(mut records: Follow<SqliteBus>, shown: &mut Shown) -> Result<CloseReason, Failure> {
    loop {
        let record = records.next().await?;
        shown.take(&record);
        if let Some(reason) = shown.closed() {
            return Ok(reason);
        }
    }
}

/// Waits for the driver to fail; for ever where it does not.
async fn driver_failed(attended: &Attended) -> Failure {
    if let Attended::Driven(party) = attended
        && let Err(error) = party.finished().await
    {
        return error.into();
    }
    std::future::pending().await
}

/// What can be said before anything is written is bad input; all else is a failure.
fn bad_or_failed(error: party_launch::Error) -> Failure {
    match error.kind() {
        ErrorKind::Invalid
        | ErrorKind::Format
        | ErrorKind::NotFound
        | ErrorKind::Harness
        | ErrorKind::NewerVersion => BadInput::from_error(&error).into(),
        _ => error.into(),
    }
}
