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
use std::{error::Error, path::PathBuf, process::ExitCode, sync::Arc};

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
    match args.resume {
        Some(session) => resume(args, session, store).await,
        None => {
            let plan = Plan::new(args).await?;
            let bus = Arc::new(open_store(&store).await?);
            let party = plan.start(Arc::clone(&bus), &store).await.map_err(bad_or_failed)?;
            attend(args, bus, Attended::Driven(party), store).await
        }
    }
}

/// Goes on with a session, follows it where another process drives it, or prints it if it is over.
async fn resume(args: &Args, session: SessionId, store: PathBuf) -> Result<u8, Failure> {
    let bus = Arc::new(open_existing(&store).await?);
    let opening = bus.read(Read::new(session, Offset::START).limit(1)).await?;
    let Some(Ok(Event::SessionOpened(opened))) = opening.entries.first().map(|record| record.event()) else {
        return Err(
            BadInput::new(format!("--resume: there is no session {session} in {}", store.display())).into()
        );
    };
    let hosting = Hosting::of_session(args, &opened.seats)?;
    let attended = match hosting.builder(bus.clone(), &store).resume(session).await {
        Ok(party) => Attended::Driven(party),
        Err(error) if error.kind() == ErrorKind::Busy => Attended::Followed(session),
        Err(error) => return Err(bad_or_failed(error)),
    };
    attend(args, bus, attended, store).await
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

async fn attend(args: &Args, bus: Arc<SqliteBus>, attended: Attended, store: PathBuf) -> Result<u8, Failure> {
    let session = attended.session();
    let records = (Arc::clone(&bus) as Arc<dyn Bus>).follow(session, Offset::START);
    let mut shown = Shown::new(args.show(), session, store);
    shown.begin();
    let ended = tokio::select! {
        closed = show_all(records, &mut shown) => closed.map(Some),
        failed = driver_failed(&attended) => Err(failed),
        _ = tokio::signal::ctrl_c() => Ok(None),
    };
    if let Attended::Driven(party) = attended {
        party.shutdown().await?;
    }
    bus.close().await?;
    let closed = ended?;
    shown.end(closed)?;
    Ok(match closed {
        Some(CloseReason::Finished) => FINISHED,
        Some(_) => NO_RESULT,
        None => INTERRUPTED,
    })
}

async fn show_all(mut records: Follow, shown: &mut Shown) -> Result<CloseReason, Failure> {
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
        ErrorKind::Invalid | ErrorKind::Format | ErrorKind::NotFound | ErrorKind::Harness => {
            BadInput::from_error(&error).into()
        }
        _ => error.into(),
    }
}
