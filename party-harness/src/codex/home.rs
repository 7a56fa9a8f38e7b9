//! The folder of a server of one's own: who has it, and the token that opens the server.

use super::setup::Setup;
use crate::{Environment, Error, ErrorKind, Result, process::lock};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The variable by which a server is known, whoever started it.
const MARKER: &str = "PARTY_CODEX_HOME";

/// How many servers of one user have a folder of their own.
const HOMES: u32 = 64;

/// The folders that may be taken, in order: one server at a time has one.
pub(super) fn homes(setup: &Setup, env: &Environment) -> Result<Vec<PathBuf>> {
    if let Some(home) = &setup.home {
        return Ok(vec![home.clone()]);
    }
    let state = match (env.get("XDG_STATE_HOME"), env.get("HOME")) {
        (Some(state), _) => PathBuf::from(state),
        (None, Some(home)) => Path::new(home).join(".local/state"),
        (None, None) => {
            let why = "codex needs a folder of its own: name one, or give its environment a HOME";
            return Err(Error::new(ErrorKind::Invalid, why));
        }
    };
    Ok((0..HOMES).map(|n| state.join(format!("party/codex/{n}"))).collect())
}

/// Takes the first folder that is free, and puts a new token into it.
pub(super) fn prepare(homes: Vec<PathBuf>) -> Result<(PathBuf, lock::Guard, String)> {
    let mut taken = None;
    for home in homes {
        let home = std::path::absolute(&home).unwrap_or(home);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&home)
            .map_err(|error| trouble(&home, error))?;
        match lock::take(home.join("party.lock"), "the folder of codex", &marker(&home)) {
            Ok(guard) => {
                let token = write_token(&token_file(&home)).map_err(|error| trouble(&home, error))?;
                let _ = fs::remove_file(socket(&home));
                return Ok((home, guard, token));
            }
            Err(error) if error.kind() == ErrorKind::Busy => taken = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(taken.unwrap_or_else(|| Error::new(ErrorKind::Invalid, "codex has no folder")))
}

/// A secret that nobody else can read or guess.
fn write_token(path: &Path) -> io::Result<String> {
    let mut random = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(token.as_bytes())?;
    Ok(token)
}

/// The variable and value that all processes of a home have.
pub(super) fn marker(home: &Path) -> (String, String) {
    (MARKER.to_owned(), home.to_string_lossy().into_owned())
}

pub(super) fn socket(home: &Path) -> PathBuf {
    home.join("party.sock")
}

pub(super) fn token_file(home: &Path) -> PathBuf {
    home.join("party-token")
}

fn trouble(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot write {}", path.display())).with_source(error)
}
