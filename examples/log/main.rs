//! What is in a store: its sessions, or the records of one.

use lexopt::{Arg, Parser};
use party_core::{Event, Offset, Record, SessionId, Timestamp};
use party_examples::{
    BadInput, Output, default_store, fail, note, open_existing,
    options::{flag, once, path, text, usage},
    printable, record_line,
};
use party_launch::bus::{Bus, BusExt, Classes, Read, SessionInfo, SessionQuery, SqliteBus};
use std::{error::Error, path::PathBuf, process::ExitCode};

/// So many characters of a question stand in the list.
const LINE: usize = 100;

const HELP: &str = "\
Lists the sessions of a store, newest first, or prints the records of one.

Usage: log [--store PATH] [--session ID] [--json]

Options:
  --store PATH    the SQLite file [default: in your data folder]
  --session ID    print the records of this session
  --json          one JSON object per line
  -h, --help      this text
";

#[derive(Default)]
struct Args {
    store: Option<PathBuf>,
    session: Option<SessionId>,
    json: bool,
    help: bool,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail("log", &error),
    };
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail("log", error.as_ref()),
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let args = parse(Parser::from_env())?;
    let mut output = Output::default();
    if args.help {
        output.line(HELP.trim_end());
        return Ok(output.finish()?);
    }
    let store = args.store.map_or_else(default_store, Ok)?;
    let bus = open_existing(&store).await?;
    let printed = match args.session {
        Some(session) => print_records(&bus, session, args.json, &mut output).await,
        None => list_sessions(&bus, args.json, &mut output).await,
    };
    bus.close().await?;
    printed?;
    Ok(output.finish()?)
}

fn parse(mut parser: Parser) -> Result<Args, BadInput> {
    let mut args = Args::default();
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Long("store") => once("store", &mut args.store, path("store", &mut parser)?)?,
            Arg::Long("session") => {
                let session = text("session", &mut parser)?.parse();
                let session = session.map_err(|error| BadInput::new(format!("--session: {error}")))?;
                once("session", &mut args.session, session)?;
            }
            Arg::Long("json") => flag("json", &mut args.json)?,
            Arg::Long("help") | Arg::Short('h') => args.help = true,
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(args)
}

async fn list_sessions(bus: &SqliteBus, json: bool, output: &mut Output) -> Result<(), Box<dyn Error>> {
    let mut query = SessionQuery::newest();
    loop {
        let page = bus.sessions(query.clone()).await?;
        for info in &page.entries {
            output.line(&session_line(bus, info, json).await?);
        }
        if query.skip == 0 && page.entries.is_empty() {
            note("no sessions");
        }
        if !page.more || !output.is_open() {
            return Ok(());
        }
        query.skip += page.entries.len() as u64;
    }
}

async fn session_line(bus: &SqliteBus, info: &SessionInfo, json: bool) -> Result<String, Box<dyn Error>> {
    let opening = bus.read(Read::new(info.session, Offset::START).limit(2)).await?.entries;
    let format = match opening.first().map(|record| record.event()) {
        Some(Ok(Event::SessionOpened(event))) => event.format_name,
        _ => String::new(),
    };
    let question =
        opening.get(1).and_then(|record| record.items.first()).map(|item| item.text()).unwrap_or_default();
    let last = Offset(info.head.0.saturating_sub(1));
    let closed = match bus
        .read(Read::new(info.session, last).limit(1))
        .await?
        .entries
        .first()
        .map(|record| record.event())
    {
        Some(Ok(Event::SessionClosed(event))) => Some(event.reason),
        _ => None,
    };
    if json {
        return Ok(serde_json::json!({
            "id": info.session, "format": format, "question": question, "openedAt": info.opened_at,
            "records": info.head, "closed": closed, "driver": info.driver.as_ref().map(ToString::to_string),
        })
        .to_string());
    }
    let state = match (closed, &info.driver) {
        (Some(reason), _) => reason.to_string(),
        (None, Some(driver)) => format!("driven by {driver}"),
        (None, None) => "can be resumed".to_owned(),
    };
    let question = printable(&first_line(&question));
    Ok(format!(
        "{}  {}  {format}  {} records  {state}  {question}",
        info.session,
        to_the_second(info.opened_at),
        info.head
    ))
}

async fn print_records(
    bus: &SqliteBus,
    session: SessionId,
    json: bool,
    output: &mut Output,
) -> Result<(), Box<dyn Error>> {
    let mut read = Read::new(session, Offset::START).classes(Classes::ALL);
    if bus.head(session).await? == Offset::START {
        return Err(BadInput::new(format!("--session: there is no session {session} in the store")).into());
    }
    loop {
        let page = bus.read(read.clone()).await?;
        for record in &page.entries {
            output.line(&if json { record_line(record) } else { words(record) });
        }
        if !page.more || !output.is_open() {
            return Ok(());
        }
        read.after = Offset(page.scanned_to);
    }
}

fn words(record: &Record) -> String {
    let said = record.items.iter().filter_map(|item| item.text().lines().next().map(str::to_owned)).next();
    let said =
        said.filter(|_| record.kind != "sessionOpened").map(|text| format!("  “{text}”")).unwrap_or_default();
    printable(&format!(
        "{:>5}  {:<8}  {:<15} {}{said}",
        record.offset.0,
        record.class.to_string(),
        record.kind,
        record.body.get()
    ))
}

/// The first line that is not blank, or its beginning.
fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = line.replace('\t', " ");
    match line.char_indices().nth(LINE - 1) {
        Some((end, _)) if line.chars().count() > LINE => format!("{}…", &line[..end]),
        _ => line,
    }
}

fn to_the_second(moment: Timestamp) -> String {
    moment.to_string().chars().take(19).collect()
}
