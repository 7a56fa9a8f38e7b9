//! Programs that tests take from the system, installed from Debian's packages where they are missing.
//!
//! They are installed, not unpacked into the target folder: PostgreSQL refuses to run as root, and
//! whoever it runs as instead often cannot reach a folder of root's; and their libraries come along.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fetch::Fetched;
use crate::workspace::output;

/// The oldest PostgreSQL that the stores support.
const OLDEST: u32 = 15;

/// Where Debian has a folder for each version of PostgreSQL.
const VERSIONS: &str = "/usr/lib/postgresql";

const INSTALL: &str = include_str!("install.sh");

/// A program, or a folder of programs.
#[derive(Debug)]
struct Program {
    name: &'static str,
    /// The variable that names it to tests, and to this command where it is set.
    variable: &'static str,
    package: &'static str,
    find: fn() -> Option<PathBuf>,
    check: fn(&Path) -> Result<(), String>,
}

const ALL: [Program; 3] = [
    Program {
        name: "PostgreSQL 15 or newer",
        variable: "PARTY_TEST_POSTGRES_BIN",
        package: "postgresql",
        find: newest_postgres,
        check: check_postgres,
    },
    Program {
        name: "socat",
        variable: "PARTY_TEST_SOCAT",
        package: "socat",
        find: || in_path("socat"),
        check: |path| output(Command::new(path).arg("-V")).map(drop),
    },
    Program {
        name: "strace",
        variable: "PARTY_TEST_STRACE",
        package: "strace",
        find: || in_path("strace"),
        check: |path| output(Command::new(path).arg("-V")).map(drop),
    },
];

/// Makes sure that all programs are there.
pub(crate) fn provide() -> Result<Vec<Fetched>, String> {
    let mut missing = Vec::new();
    for program in &ALL {
        if program.look_up()?.is_none() {
            missing.push(program);
        }
    }
    install(&missing)?;
    ALL.iter().map(|program| program.provided(&missing)).collect()
}

impl Program {
    fn look_up(&self) -> Result<Option<PathBuf>, String> {
        let Some(path) = env::var_os(self.variable).map(PathBuf::from) else { return Ok((self.find)()) };
        let checked = (self.check)(&path);
        checked.map(|()| Some(path)).map_err(|error| format!("{}: {error}", self.variable))
    }

    fn provided(&self, installed: &[&Self]) -> Result<Fetched, String> {
        let cached = installed.iter().all(|one| one.variable != self.variable);
        match self.look_up()? {
            Some(path) => Ok(Fetched::new(self.variable, path, self.name.to_owned(), cached)),
            None => Err(format!("{}: the package {} brought none", self.name, self.package)),
        }
    }
}

fn install(missing: &[&Program]) -> Result<(), String> {
    if missing.is_empty() {
        return Ok(());
    }
    let is_root = output(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = Command::new(if is_root { "sh" } else { "sudo" });
    if !is_root {
        command.args(["-n", "sh"]);
    }
    command.args(["-c", INSTALL, "sh"]).args(missing.iter().map(|program| program.package));
    output(&mut command).map(drop).map_err(|error| {
        let list = |text: fn(&Program) -> &str| {
            let texts: Vec<_> = missing.iter().map(|program| text(program)).collect();
            texts.join(", ")
        };
        format!(
            "missing: {}; install Debian's packages ({}) or the like, or name what you have by {}; \
             an attempt to install the packages failed: {error}",
            list(|program| program.name),
            list(|program| program.package),
            list(|program| program.variable),
        )
    })
}

fn newest_postgres() -> Option<PathBuf> {
    let entries = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let versions = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let folders = versions.map(|version| (version, Path::new(VERSIONS).join(format!("{version}/bin"))));
    // A client alone has such a folder too.
    folders.filter(|(_, folder)| check_postgres(folder).is_ok()).max().map(|(_, folder)| folder)
}

fn check_postgres(folder: &Path) -> Result<(), String> {
    let initdb = folder.join("initdb");
    if !initdb.is_file() {
        return Err(format!("no file {}", initdb.display()));
    }
    let text = output(Command::new(folder.join("postgres")).arg("--version"))?;
    match major(&text) {
        Some(version) if version >= OLDEST => Ok(()),
        _ => Err(format!("{} is {}, not PostgreSQL {OLDEST} or newer", folder.display(), text.trim())),
    }
}

/// The first number of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major(text: &str) -> Option<u32> {
    let version = text.split_whitespace().nth(2)?;
    version.split(|one: char| !one.is_ascii_digit()).next()?.parse().ok()
}

fn in_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_and_betas() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major("postgres"), None);
    }

    #[test]
    fn a_folder_without_a_server_is_refused_by_name() {
        let error = check_postgres(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error, "no file /nonexistent/initdb");
    }
}
