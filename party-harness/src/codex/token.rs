//! Names that are derived, and what a later process of the host must know.

use super::{server::host, shape::hex};
use crate::{Error, ErrorKind, Result, ResumeToken, RuntimeSpec, TurnKey};
use party_core::TurnId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

/// The token's own version.
const VERSION: u32 = 1;

/// What a resume token holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Token {
    v: u32,
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) thread: String,
    /// A hash of what the thread was opened with.
    pub(super) shape: String,
}

impl Token {
    pub(super) const fn new(place: Place, thread: String, shape: String) -> Self {
        Self { v: VERSION, place, thread, shape }
    }

    /// Reads a token; `None` for one of another version.
    pub(super) fn read(token: &ResumeToken) -> Option<Self> {
        serde_json::from_value(token.0.clone()).ok().filter(|token: &Self| token.v == VERSION)
    }

    pub(super) fn write(&self) -> ResumeToken {
        ResumeToken(serde_json::to_value(self).unwrap_or_default())
    }
}

/// Where a thread can be resumed, and by whom: it goes on with the prompt that it began with, and its
/// tools act in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    host: String,
    cwd: PathBuf,
    /// A hash of who the seat is.
    seat: String,
}

impl Place {
    pub(super) fn of(spec: &RuntimeSpec) -> Self {
        let mut hash = Sha256::new();
        hash.update(spec.session.as_bytes());
        hash.update(spec.seat.0.to_be_bytes());
        hash.update(&spec.system_prompt);
        Self { host: host(), cwd: spec.cwd.clone(), seat: hex(&hash.finalize()[..16]) }
    }
}

/// The id of a turn's message, by which its turn is found again; that of each attempt has an end of its
/// own.
pub(super) fn message_id(spec: &RuntimeSpec, key: TurnKey) -> String {
    format!("{}-{}", turn_id(spec, key.turn), key.attempt)
}

/// What the ids of all attempts at a turn begin with.
pub(super) fn turn_id(spec: &RuntimeSpec, turn: TurnId) -> String {
    let mut hash = Sha256::new();
    hash.update(b"party/codex/message");
    hash.update(spec.session.as_bytes());
    hash.update(spec.seat.0.to_be_bytes());
    hash.update(turn.0.0.to_be_bytes());
    hex(&hash.finalize()[..16])
}

/// The seat's last turn and its thread, written before the turn is started: a host that died in
/// between has seen no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trace {
    pub(super) key: TurnKey,
    pub(super) thread: String,
    /// As in the token.
    pub(super) shape: String,
    /// The id of the turn's message.
    pub(super) message: String,
}

impl Trace {
    /// The seat's trace; none where it had no turn.
    pub(super) fn read(spec: &RuntimeSpec) -> Result<Option<Self>> {
        match fs::read(path(spec)) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(trouble(spec, error)),
        }
    }

    /// Replaces the seat's trace as a whole.
    pub(super) fn write(&self, spec: &RuntimeSpec) -> Result<()> {
        let (path, new) = (path(spec), path(spec).with_extension("new"));
        let write = || {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            fs::rename(&new, &path)
        };
        write().map_err(|error| trouble(spec, error))
    }
}

fn path(spec: &RuntimeSpec) -> PathBuf {
    spec.folder.join("codex-trace.json")
}

fn trouble(spec: &RuntimeSpec, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot keep {}", path(spec).display())).with_source(error)
}
