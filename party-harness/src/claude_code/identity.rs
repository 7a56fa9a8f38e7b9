//! Names that are derived, so that a crash loses none of them.

use crate::{ResumeToken, RuntimeSpec, TurnKey, process::machine::host};
use party_core::{TurnId, Usd};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt::Write as _, path::PathBuf};

/// The token's own version.
const VERSION: u32 = 1;

/// What a resume token holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Token {
    v: u32,
    #[serde(flatten)]
    pub(super) place: Place,
    /// The runtime's name of the session.
    pub(super) id: String,
    /// How many sessions the seat had before this one.
    pub(super) n: u32,
    /// What the session cost so far, by the runtime's count.
    pub(super) total: Usd,
}

impl Token {
    pub(super) const fn new(place: Place, id: String, n: u32, total: Usd) -> Self {
        Self { v: VERSION, place, id, n, total }
    }

    /// Reads a token; `None` for one of another version.
    pub(super) fn read(token: &ResumeToken) -> Option<Self> {
        serde_json::from_value(token.0.clone()).ok().filter(|token: &Self| token.v == VERSION)
    }

    pub(super) fn write(&self) -> ResumeToken {
        ResumeToken(serde_json::to_value(self).unwrap_or_default())
    }
}

/// Where a runtime session can be resumed, and by whom. A transcript lives in one home, on one host,
/// under one working folder; and a resumed session may go on with the system prompt that it began with,
/// whatever it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    host: String,
    home: String,
    cwd: PathBuf,
    /// A hash of what defines the agent.
    agent: String,
}

impl Place {
    pub(super) fn of(spec: &RuntimeSpec) -> Self {
        let home = spec.env.get("CLAUDE_CONFIG_DIR").or_else(|| spec.env.get("HOME"));
        let agent = definition(spec).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self { host: host(), home: home.cloned().unwrap_or_default(), cwd: spec.cwd.clone(), agent }
    }
}

/// The id of the seat's runtime session number `n`; the CLI takes a UUID of version 8. An agent that is
/// defined anew gets other ids, so that none of its sessions is an older one's.
pub(super) fn session_id(spec: &RuntimeSpec, n: u32) -> String {
    derive(b"session", spec, &[&n.to_be_bytes()[..], &definition(spec)].concat())
}

/// Tools and model are no part of it: a resumed session takes those that it is given.
fn definition(spec: &RuntimeSpec) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(agent_name(spec));
    hash.update([0]);
    hash.update(&spec.system_prompt);
    first_half(hash)
}

/// The id of the message that a turn sends, the same in each of its attempts.
pub(super) fn message_id(spec: &RuntimeSpec, turn: TurnId) -> String {
    derive(b"message", spec, &turn.0.0.to_be_bytes())
}

/// The id of a further message of an attempt, its number `n`.
pub(super) fn further_id(spec: &RuntimeSpec, key: TurnKey, n: u32) -> String {
    let parts = [&key.turn.0.0.to_be_bytes()[..], &key.attempt.to_be_bytes(), &n.to_be_bytes()];
    derive(b"further", spec, &parts.concat())
}

/// A session's id as a file's name. The runtime chose it, so it may hold anything.
pub(super) fn file_name(id: &str) -> String {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_plain && (1..=64).contains(&id.len()) {
        return id.to_owned();
    }
    Sha256::digest(id).iter().fold(String::from("x"), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

fn derive(kind: &[u8], spec: &RuntimeSpec, part: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"party/claude-code/");
    hash.update(kind);
    hash.update(spec.session.as_bytes());
    hash.update(spec.seat.0.to_be_bytes());
    hash.update(part);
    uuid::Builder::from_custom_bytes(first_half(hash)).into_uuid().hyphenated().to_string()
}

fn first_half(hash: Sha256) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}

/// A name for `--agent`: seats' names may hold any characters, and must not meet a built-in agent's.
pub(super) fn agent_name(spec: &RuntimeSpec) -> String {
    let mut name = String::from("party");
    let _ = write!(name, "-{}", spec.seat);
    let words = spec.agent.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    for word in words {
        let _ = write!(name, "-{}", word.to_ascii_lowercase());
    }
    name.truncate(48);
    name
}
