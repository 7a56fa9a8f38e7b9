//! Set-up and tests in one command: `cargo xtask help`.
#![expect(clippy::print_stdout, reason = "a command-line tool talks on its standard output")]

mod fetch;
mod integrity;
mod openclaw;
mod parts;
mod purity;
mod runtimes;
mod steps;
mod system;
mod workspace;

use std::process::ExitCode;

use parts::Part;
use workspace::Workspace;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Help,
    Fetch,
    Test(Vec<Part>),
}

fn main() -> ExitCode {
    let task = match parse(lexopt::Parser::from_env()) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("xtask: {error}");
            return ExitCode::from(2);
        }
    };
    match run(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<(), String> {
    match task {
        Task::Help => print!("{}", help()),
        Task::Fetch => {
            let fetched = fetch::fetch_all(&Workspace::find()?.tools())?;
            fetched.iter().for_each(|one| println!("{}", one.summary()));
        }
        Task::Test(parts) => println!("{}", steps::run(&Workspace::find()?, &parts)?),
    }
    Ok(())
}

fn parse(mut parser: lexopt::Parser) -> Result<Task, lexopt::Error> {
    use lexopt::prelude::*;
    let mut command = None;
    let mut only = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Task::Help),
            Long("only") if command.as_deref() == Some("test") => {
                for name in parser.value()?.string()?.split(',') {
                    only.push(name.parse::<Part>()?);
                }
            }
            Value(value) if command.is_none() => command = Some(value.string()?),
            other => return Err(other.unexpected()),
        }
    }
    match command.as_deref() {
        None | Some("help") => Ok(Task::Help),
        Some("fetch") => Ok(Task::Fetch),
        Some("test") if only.is_empty() => Ok(Task::Test(Part::ALL.to_vec())),
        Some("test") => Ok(Task::Test(Part::ALL.into_iter().filter(|part| only.contains(part)).collect())),
        Some(other) => Err(format!("unknown command `{other}`; known: test, fetch, help").into()),
    }
}

fn help() -> String {
    let mut text = "\
cargo xtask test [--only PART]...   run all checks and tests, or some parts
cargo xtask fetch                   fetch the real runtime binaries into the target folder, and install
                                    PostgreSQL, socat and strace from Debian's packages where they are
                                    missing
cargo xtask help                    show this

Parts, in the order in which they run:
"
    .to_owned();
    for part in Part::ALL {
        text.push_str(&format!("  {:<9} {}\n", part.name(), part.about()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Task, String> {
        parse(lexopt::Parser::from_args(arguments)).map_err(|error| error.to_string())
    }

    #[test]
    fn parts_are_chosen_and_ordered() {
        assert_eq!(parsed(&["test"]), Ok(Task::Test(Part::ALL.to_vec())));
        let chosen = Task::Test(vec![Part::Fmt, Part::Clippy, Part::Unit]);
        assert_eq!(parsed(&["test", "--only", "unit", "--only=fmt,clippy"]), Ok(chosen));
    }

    #[test]
    fn an_unknown_part_lists_the_known() {
        let error = parsed(&["test", "--only", "lint"]).unwrap_err();
        assert!(error.contains("`lint`") && error.contains("fmt, purity, clippy"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(parsed(&["tset"]).unwrap_err().contains("known: test, fetch, help"));
        assert!(parsed(&["fetch", "--only", "unit"]).is_err());
        assert!(parsed(&["test", "unit"]).is_err());
        assert_eq!(parsed(&[]), Ok(Task::Help));
    }
}
