//! The command line.

use crate::{
    runtimes::RuntimeOptions,
    values::{Runtime, Show, Told, budget, names, number},
};
use lexopt::{Arg, Parser};
use party_core::{SessionId, Usd};
use party_examples::{
    BadInput,
    options::{flag, once, path, text, usage},
};
use std::{ffi::OsString, path::PathBuf};

pub(crate) const HELP: &str = "\
Asks a council of personas a question; a judge writes the final answer.

Usage: council [OPTIONS] QUESTION
       council --resume SESSION [--store PATH] [--socket PATH] [--json | --canvas [FILE]]

Options:
  --personas A,B       only these personas, in this order
  --rounds N           rounds of opinions, 1 to 5 [default: 1]
  --budget USD         what the party may spend [default: 1.50, or PARTY_DEFAULT_BUDGET_USD]
  --harness NAME       scripted, claude, codex, openclaw or model [default: scripted]; a persona's file
                       may name another, and its model
  --model NAME         the model on Codex and model APIs of personas whose file names none
  --persona-dir DIR    personas from this folder instead of the shipped ones
  --timeout SECONDS    how long a persona may take [default: 120]
  --store PATH         the SQLite file [default: in your data folder]
  --socket PATH        a Unix socket by which you speak and follow, such as with socat
  --resume SESSION     go on with a session, follow it, or print it if it is over
  --canvas [FILE]      the transcript as Markdown, to FILE or standard output
  --json               one JSON object per record on standard output, nothing else
  --pass-env A,B       variables that agents may see beside HOME, PATH, USER, LANG, LC_*, TZ, TMPDIR
  --allow-unknown-prices
                       runs personas of which nobody knows what they cost; each turn is charged
                       all that it may spend
  --script FILE        what the scripted personas say, instead of the shipped script
  -h, --help           this text

Claude Code:
  --claude-mode MODE   per-turn: a process for each turn, or persistent: one for each persona
                       [default: per-turn]
  --claude-bin PATH    the claude binary [default: PARTY_CLAUDE_BIN, else from PATH]

Codex:
  --codex-bin PATH     the codex binary [default: PARTY_CODEX_BIN, else from PATH]
  --codex-config K=V   a setting of Codex, such as model_reasoning_effort=high; may be given
                       several times
  --codex-url URL      attach to a running `codex app-server` instead, ws:// on this machine
  --codex-token-file FILE
                       its token

OpenClaw:
  --openclaw-url URL   the gateway, ws:// on this machine
  --openclaw-token-file FILE
                       its shared token

Model APIs:
  --model-api NAME     openai (chat completions), openai-responses, anthropic, gemini, ollama, or
                       compatible: another server that speaks chat completions [default: openai]
  --model-url URL      the endpoint [default: the provider's own]
  --model-key-env NAME the variable that holds the key [default: OPENAI_API_KEY and so on, by the API]

Exit codes: 0 finished, 1 ended without a result, 2 bad input, 130 interrupted and resumable.
";

/// What the user asked for.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) question: Option<String>,
    pub(crate) personas: Option<Vec<String>>,
    pub(crate) rounds: Option<u32>,
    pub(crate) budget: Option<Usd>,
    pub(crate) harness: Option<Runtime>,
    pub(crate) persona_dir: Option<PathBuf>,
    pub(crate) timeout: Option<u32>,
    pub(crate) store: Option<PathBuf>,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) resume: Option<SessionId>,
    pub(crate) canvas: Option<Option<PathBuf>>,
    pub(crate) json: bool,
    pub(crate) pass_env: Vec<String>,
    pub(crate) runtimes: RuntimeOptions,
    pub(crate) script: Option<PathBuf>,
    pub(crate) help: bool,
}

impl Args {
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, BadInput> {
        let mut parsed = Self::default();
        let mut parser = Parser::from_args(args);
        let mut after_canvas = None;
        while let Some(arg) = parser.next().map_err(usage)? {
            match arg {
                Arg::Value(value) => parsed.positional(value)?,
                Arg::Short('h') => parsed.help = true,
                Arg::Long(name) => {
                    let name = name.to_owned();
                    parsed.option(&name, &mut parser, &mut after_canvas)?;
                }
                Arg::Short(_) => return Err(usage(arg.unexpected())),
            }
        }
        parsed.settle_canvas(after_canvas)?;
        parsed.check()?;
        Ok(parsed)
    }

    fn positional(&mut self, value: OsString) -> Result<(), BadInput> {
        let question = value.into_string().map_err(|_| BadInput::new("the question is not UTF-8"))?;
        match self.question.replace(question) {
            None => Ok(()),
            Some(first) => {
                Err(BadInput::new(format!("more than one question: put it in quotes (`{first}` …)")))
            }
        }
    }

    fn option(
        &mut self,
        name: &str,
        parser: &mut Parser,
        after_canvas: &mut Option<OsString>,
    ) -> Result<(), BadInput> {
        match name {
            "help" => self.help = true,
            "json" => flag(name, &mut self.json)?,
            "canvas" => self.take_canvas(parser, after_canvas)?,
            "personas" => once(name, &mut self.personas, names(&text(name, parser)?))?,
            "rounds" => once(name, &mut self.rounds, number(name, &text(name, parser)?, 1..=5)?)?,
            "timeout" => once(name, &mut self.timeout, number(name, &text(name, parser)?, 1..=86_400)?)?,
            "budget" => once(name, &mut self.budget, budget("--budget", &text(name, parser)?)?)?,
            "harness" => once(name, &mut self.harness, Runtime::parse("--harness", &text(name, parser)?)?)?,
            "persona-dir" => once(name, &mut self.persona_dir, path(name, parser)?)?,
            "store" => once(name, &mut self.store, path(name, parser)?)?,
            "socket" => once(name, &mut self.socket, path(name, parser)?)?,
            "script" => once(name, &mut self.script, path(name, parser)?)?,
            "pass-env" => self.pass_env.extend(names(&text(name, parser)?)),
            "resume" => {
                let session = text(name, parser)?
                    .parse()
                    .map_err(|error| BadInput::new(format!("--resume: {error}")))?;
                once(name, &mut self.resume, session)?;
            }
            _ if self.runtimes.take(name, parser)? => {}
            _ => return Err(BadInput::new(format!("unknown option --{name}; see --help"))),
        }
        Ok(())
    }

    /// `--canvas` may have a file behind it; what stands there may also be the question.
    fn take_canvas(
        &mut self,
        parser: &mut Parser,
        after_canvas: &mut Option<OsString>,
    ) -> Result<(), BadInput> {
        let file = match parser.optional_value() {
            Some(file) => Some(PathBuf::from(file)),
            None => {
                let next = parser
                    .try_raw_args()
                    .and_then(|mut raw| raw.next_if(|next| !next.as_encoded_bytes().starts_with(b"-")));
                *after_canvas = next;
                None
            }
        };
        once("canvas", &mut self.canvas, file)
    }

    fn settle_canvas(&mut self, after_canvas: Option<OsString>) -> Result<(), BadInput> {
        let Some(value) = after_canvas else { return Ok(()) };
        if self.question.is_none() && self.resume.is_none() {
            return self.positional(value);
        }
        self.canvas = Some(Some(value.into()));
        Ok(())
    }

    fn check(&self) -> Result<(), BadInput> {
        if self.help {
            return Ok(());
        }
        if self.json && self.canvas == Some(None) {
            return Err(BadInput::new("--json and --canvas both want standard output; give --canvas a FILE"));
        }
        self.runtimes.check()?;
        match (&self.question, self.resume) {
            (Some(_), Some(_)) => {
                Err(BadInput::new("--resume goes on with a question that was asked; leave the question out"))
            }
            (None, None) => {
                Err(BadInput::new("no question; try: council \"Should we adopt JSONL as our log format?\""))
            }
            (Some(question), None) if question.trim().is_empty() => {
                Err(BadInput::new("the question is empty"))
            }
            (Some(_), None) => Ok(()),
            (None, Some(_)) => self.check_resume(),
        }
    }

    fn check_resume(&self) -> Result<(), BadInput> {
        let changes = [
            ("--personas", self.personas.is_some()),
            ("--rounds", self.rounds.is_some()),
            ("--budget", self.budget.is_some()),
            ("--harness", self.harness.is_some()),
            ("--persona-dir", self.persona_dir.is_some()),
            ("--timeout", self.timeout.is_some()),
        ];
        match changes.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(BadInput::new(format!(
                "{option}: a session that is resumed keeps what it was started with"
            ))),
            None => Ok(()),
        }
    }

    pub(crate) fn show(&self) -> Show {
        let told = match self.canvas {
            _ if self.json => Told::Records,
            Some(None) => Told::Canvas,
            None | Some(Some(_)) => Told::Opinions,
        };
        Show { told, canvas: self.canvas.clone().flatten() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        Args::parse(args.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn canvas_takes_a_file_only_where_a_question_stands_elsewhere() {
        let canvas = Show { told: Told::Canvas, canvas: None };
        assert_eq!(parse(&["--canvas", "Ship?"]).unwrap().show(), canvas);
        assert_eq!(parse(&["Ship?", "--canvas"]).unwrap().show(), canvas);
        for args in [
            ["--canvas", "a.md", "Ship?"].as_slice(),
            &["Ship?", "--canvas", "a.md"],
            &["Ship?", "--canvas=a.md"],
        ] {
            let show = Show { told: Told::Opinions, canvas: Some("a.md".into()) };
            assert_eq!(parse(args).unwrap().show(), show, "{args:?}");
        }
    }

    #[test]
    fn bad_input_names_the_option() {
        for (args, expected) in [
            (["Q", "--rounds", "0"].as_slice(), "--rounds: `0` is not a number from 1 to 5"),
            (&["Q", "--rounds=6"], "--rounds: `6` is not a number from 1 to 5"),
            (&["Q", "--budget", "0"], "--budget: a budget of 0 buys nothing"),
            (
                &["Q", "--budget", "abc"],
                "--budget: `abc` is not an amount in USD: expected a number such as 1.50",
            ),
            (
                &["Q", "--harness", "gpt"],
                "--harness: unknown harness `gpt`; there are: scripted, claude, codex, openclaw, model",
            ),
            (
                &["Q", "--claude-mode", "fast"],
                "--claude-mode: unknown mode `fast`; there are: per-turn, persistent",
            ),
            (&["Q", "--claude-mode"], "--claude-mode needs a value"),
            (&["Q", "--claude-mode=per-turn", "--claude-mode=per-turn"], "--claude-mode is given twice"),
            (&["Q", "--budget"], "--budget needs a value"),
            (&["Q", "--budget", "1", "--budget", "2"], "--budget is given twice"),
            (&["Q", "--json", "--json"], "--json is given twice"),
            (&["Q", "--script="], "--script: the path is empty"),
            (
                &["Q", "--model-api", "hal"],
                "--model-api: unknown API `hal`; there are: openai, openai-responses, anthropic, gemini, ollama, compatible",
            ),
            (
                &["Q", "--codex-url", "ws://127.0.0.1:1"],
                "--codex-url needs --codex-token-file, the file that the server was started with",
            ),
            (
                &["Q", "--model-api", "compatible"],
                "--model-api compatible needs --model-url, where the server is",
            ),
            (
                &["Q", "--openclaw-url", "ws://127.0.0.1:1"],
                "--openclaw-url needs --openclaw-token-file, the gateway's own",
            ),
            (&["Q", "--codex-config", "model"], "--codex-config: `model` is not KEY=VALUE"),
            (&["Q", "--openclaw-token-file", "t"], "--openclaw-token-file needs --openclaw-url"),
            (&["Q", "--colour"], "unknown option --colour; see --help"),
            (&[" "], "the question is empty"),
            (
                &["Q", "--json", "--canvas"],
                "--json and --canvas both want standard output; give --canvas a FILE",
            ),
        ] {
            assert_eq!(parse(args).unwrap_err(), expected);
        }
    }

    #[test]
    fn options_that_would_change_a_resumed_session_are_bad_input() {
        let session = SessionId::derive(&[]).to_string();
        let error = parse(&["--resume", &session, "--rounds", "2"]).unwrap_err();
        assert_eq!(error, "--rounds: a session that is resumed keeps what it was started with");
        assert!(parse(&["--resume", "7"]).unwrap_err().starts_with("--resume: `7` is not a session id"));
    }
}
