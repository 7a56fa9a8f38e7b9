//! Names that are derived, so that a crash loses none of them.

use crate::{ResumeToken, RuntimeSpec, TurnKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The token's own version.
const VERSION: u32 = 1;

/// What a resume token holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Token {
    v: u32,
    /// The gateway's name of the session.
    pub(super) key: String,
    /// How many sessions the seat had before this one.
    pub(super) n: u32,
}

impl Token {
    pub(super) fn new(agent: &str, spec: &RuntimeSpec, n: u32) -> Self {
        Self { v: VERSION, key: session_key(agent, spec, n), n }
    }

    /// Reads a token of this very seat; none for any other.
    pub(super) fn read(agent: &str, spec: &RuntimeSpec) -> Option<Self> {
        let token = serde_json::from_value::<Self>(spec.resume.clone()?.0).ok()?;
        Some(token).filter(|token| *token == Self::new(agent, spec, token.n))
    }

    pub(super) fn write(&self) -> ResumeToken {
        ResumeToken(serde_json::to_value(self).unwrap_or_default())
    }
}

/// The gateway's name of the seat's session number `n`. Only sessions of sub-agents can be given a list
/// of tools; and no gateway starts one of those again by itself after its own restart.
fn session_key(agent: &str, spec: &RuntimeSpec, n: u32) -> String {
    let session = uuid::Uuid::from_bytes(*spec.session.as_bytes());
    format!("agent:{agent}:subagent:party-{}-{}-{n}", session.simple(), spec.seat)
}

/// The gateway's name of a run, which is also the key by which it knows a request that comes again.
pub(super) fn run_id(spec: &RuntimeSpec, key: TurnKey) -> String {
    let mut hash = Sha256::new();
    hash.update(b"party/openclaw/run");
    hash.update(key.session.as_bytes());
    hash.update(spec.session.as_bytes());
    hash.update(spec.seat.0.to_be_bytes());
    hash.update(key.turn.0.0.to_be_bytes());
    hash.update(key.attempt.to_be_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(half).into_uuid().hyphenated().to_string()
}
