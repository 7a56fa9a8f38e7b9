//! What a runtime wrote, as events: one JSON object per line, the outcome last.

mod show;

use lexopt::{Arg, Parser};
use party_examples::{BadInput, Output, fail, options::usage};
use party_launch::harness::claude_code::{Decoder, Exit};
use show::Show;
use std::{
    error::Error,
    io::{self, ErrorKind, Read},
    process::ExitCode,
};

const CHUNK: usize = 64 << 10;

const HELP: &str = "\
Decodes what an agent runtime wrote, from standard input: one JSON object per line for each event,
the outcome last. Damaged input is decoded as far as it goes.

Usage: decode RUNTIME < STREAM

Runtimes:
  claude          `claude -p --output-format stream-json --verbose`

Options:
  -h, --help      this text
";

/// The runtimes whose output can be decoded.
const RUNTIMES: &[&str] = &["claude"];

enum Asked {
    Help,
    Claude,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail("decode", error.as_ref()),
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    match parse(Parser::from_env())? {
        Asked::Help => {
            let mut output = Output::default();
            output.line(HELP.trim_end());
            output.finish()?;
        }
        Asked::Claude => match decode(io::stdin().lock(), Show::new(io::stdout().lock())) {
            // A reader that went away, as `head` does, has what it wanted.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            decoded => decoded?,
        },
    }
    Ok(())
}

fn parse(mut parser: Parser) -> Result<Asked, BadInput> {
    let mut runtime = None;
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Value(value) if runtime.is_none() => runtime = Some(value.to_string_lossy().into_owned()),
            Arg::Long("help") | Arg::Short('h') => return Ok(Asked::Help),
            other => return Err(unexpected(&other.unexpected())),
        }
    }
    let known = RUNTIMES.join(", ");
    match runtime.as_deref() {
        Some("claude") => Ok(Asked::Claude),
        Some(other) => Err(BadInput::new(format!("unknown runtime `{other}`; there are: {known}"))),
        None => Err(BadInput::new(format!("no runtime is named; there are: {known}"))),
    }
}

fn unexpected(error: &lexopt::Error) -> BadInput {
    BadInput::new(format!("{error}; there is no option but --help"))
}

fn decode(mut input: impl Read, mut show: Show<impl io::Write>) -> io::Result<()> {
    let mut decoder = Decoder::new().requires_every_server();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("cannot read standard input: {error}")));
            }
        };
        for event in decoder.feed(&chunk[..read]) {
            show.event(event)?;
        }
        show.flush()?;
    }
    // How the process ended is not in its output.
    let (events, verdict) = decoder.finish(&Exit::default());
    for event in events {
        show.event(event)?;
    }
    show.outcome(&verdict)?;
    show.flush()
}
