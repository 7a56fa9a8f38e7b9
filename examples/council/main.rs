//! A council in a terminal: asks personas a question, shows them think, prints their opinions and
//! the judge's synthesis, and says where all of it is stored.

mod again;
mod args;
mod attend;
mod canvas;
mod hosting;
mod party;
mod progress;
mod runtimes;
mod script;
mod show;
mod signals;
mod values;

use args::{Args, HELP};
use attend::{Attended, attend, resume};
use party::Plan;
use party_examples::{BadInput, Output, default_store, fail, open_existing, open_store};
use party_launch::{
    ErrorKind,
    bus::{
        Bus, SqliteBus,
        front::{Front, FrontOptions},
    },
};
use signals::Signals;
use std::{error::Error, path::Path, process::ExitCode, sync::Arc};

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(args) => args,
        Err(error) => return fail("council", &error),
    };
    if args.help {
        let mut output = Output::default();
        output.line(HELP.trim_end());
        return output.finish().map_or_else(|error| fail("council", &error), |()| ExitCode::SUCCESS);
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
    if let Some(Some(file)) = &args.canvas {
        canvas::check(file, &store)?;
    }
    let (bus, plan) = match args.resume {
        Some(_) => (open_existing(&store).await?, None),
        None => {
            let plan = Plan::new(args, &store).await?;
            (open_store(&store).await?, Some(plan))
        }
    };
    // By whatever way the store is named, its agents have one folder.
    let store = store.canonicalize().unwrap_or(store);
    let bus = Arc::new(bus);
    let ended = begin(args, Arc::clone(&bus), plan, &store).await;
    bus.close().await?;
    ended
}

async fn begin(args: &Args, bus: Arc<SqliteBus>, plan: Option<Plan>, store: &Path) -> Result<u8, Failure> {
    // Before the session is there, so that none is left behind without a word.
    let signals = Signals::listen()?;
    let front = listen(args, &bus).await?;
    let ended = hold(args, bus, plan, store, signals).await;
    if let Some(front) = front {
        front.close().await;
    }
    ended
}

/// The socket that was asked for. Who may connect is the user who asks here.
async fn listen(args: &Args, bus: &Arc<SqliteBus>) -> Result<Option<Front>, BadInput> {
    let Some(path) = &args.socket else { return Ok(None) };
    let bus: Arc<dyn Bus> = Arc::<SqliteBus>::clone(bus);
    let front = Front::bind(bus, path, FrontOptions::owner("you")).await;
    front.map(Some).map_err(|error| BadInput::new(format!("--socket: {}", BadInput::from_error(&error))))
}

async fn hold(
    args: &Args,
    bus: Arc<SqliteBus>,
    plan: Option<Plan>,
    store: &Path,
    signals: Signals,
) -> Result<u8, Failure> {
    let attended = match (plan, args.resume) {
        (Some(plan), _) => {
            Attended::Driven(plan.start(Arc::clone(&bus), store).await.map_err(bad_or_failed)?)
        }
        (None, Some(session)) => resume(args, session, &bus, store).await?,
        (None, None) => return Err(BadInput::new("no question").into()),
    };
    attend(args, bus, attended, store, signals).await
}

/// What can be said before anything is written is bad input; all else is a failure.
fn bad_or_failed(error: party_launch::Error) -> Failure {
    match error.kind() {
        ErrorKind::Price => {
            let error = BadInput::from_error(&error).to_string();
            BadInput::new(error.replace("`allow_unknown_prices`", "`--allow-unknown-prices`")).into()
        }
        ErrorKind::Invalid
        | ErrorKind::Format
        | ErrorKind::NotFound
        | ErrorKind::Harness
        | ErrorKind::NewerVersion => BadInput::from_error(&error).into(),
        _ => error.into(),
    }
}
