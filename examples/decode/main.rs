//! What a runtime wrote, as events: one JSON object per line, and for each turn its outcome.

mod claude;
mod codex;
mod openclaw;
mod show;

use lexopt::{Arg, Parser};
use party_examples::{BadInput, Output, fail, options::usage};
use show::Show;
use std::{
    error::Error,
    io::{self, ErrorKind, Read, Write},
    process::ExitCode,
};

const CHUNK: usize = 64 << 10;

const HELP: &str = "\
Decodes what an agent runtime wrote, from standard input: one JSON object per line for each event,
and one of type `outcome` at the end of each turn. Damaged input is decoded as far as it goes.

Usage: decode RUNTIME < STREAM

Runtimes:
  claude          `claude -p --output-format stream-json --verbose`: one turn
  codex           frames of `codex app-server`, one on a line, or a recording of both directions
  openclaw        frames of an OpenClaw gateway, one on a line, or a recording of both directions

Options:
  -h, --help      this text
";

/// The runtimes whose output can be decoded.
const RUNTIMES: &[&str] = &["claude", "codex", "openclaw"];

/// A stream that is being decoded and shown.
trait Reading {
    fn feed(&mut self, chunk: &[u8], show: &mut Show<impl Write>) -> io::Result<()>;

    /// What is left where the stream ends.
    fn finish(self, show: &mut Show<impl Write>) -> io::Result<()>;
}

enum Asked {
    Help,
    Claude,
    Codex,
    OpenClaw,
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
        Asked::Claude => decode(claude::Claude::new())?,
        Asked::Codex => decode(codex::Codex::new())?,
        Asked::OpenClaw => decode(openclaw::OpenClaw::new())?,
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
        Some("codex") => Ok(Asked::Codex),
        Some("openclaw") => Ok(Asked::OpenClaw),
        Some(other) => Err(BadInput::new(format!("unknown runtime `{other}`; there are: {known}"))),
        None => Err(BadInput::new(format!("no runtime is named; there are: {known}"))),
    }
}

fn unexpected(error: &lexopt::Error) -> BadInput {
    BadInput::new(format!("{error}; there is no option but --help"))
}

fn decode(reading: impl Reading) -> io::Result<()> {
    match read(io::stdin().lock(), reading, Show::new(io::stdout().lock())) {
        // A reader that went away, as `head` does, has what it wanted.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        decoded => decoded,
    }
}

fn read(mut input: impl Read, mut reading: impl Reading, mut show: Show<impl Write>) -> io::Result<()> {
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
        reading.feed(&chunk[..read], &mut show)?;
        show.flush()?;
    }
    reading.finish(&mut show)?;
    show.finish()
}
