//! The first words of a connection: the challenge, its answer, and what is granted.

use super::{
    Refused,
    role::{PROTOCOL, Role},
};
use crate::{
    Error, ErrorKind,
    jsonl::view::{Fields, Json},
    openclaw::{
        codec::{Answer, Frame, one_line},
        identity::{Claim, Identity},
    },
    socket::{self, Bearer, Reader, Writer},
};
use serde_json::{Value, json};
use std::time::Duration;

/// How many frames may come before those that are waited for.
const NOISE: usize = 64;

/// How long lies between two signs of life, where the gateway does not say; and within which limits.
const TICK: Duration = Duration::from_secs(30);
const TICKS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(120));

/// What a gateway says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version: String,
    /// Another one after each start of the gateway.
    pub(crate) boot: String,
    /// How long lies between two signs of life.
    pub(crate) tick: Duration,
}

/// Who asks, and by which secrets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) role: &'a Role,
    pub(super) token: &'a Bearer,
    pub(super) identity: Option<&'a Identity>,
}

/// Speaks the first words.
pub(super) async fn greet(
    (writer, reader): (&mut Writer, &mut Reader),
    asker: &Asker<'_>,
) -> Result<Hello, Refused> {
    let (nonce, signed_at) = challenge(reader).await?;
    let request =
        json!({"type": "req", "id": "1", "method": "connect", "params": asker.ask(&nonce, signed_at)});
    writer.send(request.to_string()).await?;
    for _ in 0..NOISE {
        let text = text(reader).await?;
        match Frame::read(&text) {
            Some(Frame::Answer(answer)) if answer.ok => return hello(&answer, asker.role),
            Some(Frame::Answer(answer)) => return Err(refusal(&answer)),
            Some(_) | None => {}
        }
    }
    Err(protocol("it does not answer the first request"))
}

async fn challenge(reader: &mut Reader) -> Result<(String, u64), Refused> {
    for _ in 0..NOISE {
        let text = text(reader).await?;
        let Some(Frame::Event(event)) = Frame::read(&text) else { continue };
        if event.name != "connect.challenge" {
            continue;
        }
        let payload = event.payload.map(Json::fields).unwrap_or_default();
        let nonce = payload.get("nonce").and_then(Json::string);
        let nonce = nonce.filter(|nonce| nonce.len() <= 512 && !nonce.contains('|'));
        let signed_at = payload.get("ts").and_then(Json::u64);
        return nonce.zip(signed_at).ok_or_else(|| protocol("its challenge cannot be read"));
    }
    Err(protocol("it sends no challenge"))
}

async fn text(reader: &mut Reader) -> Result<socket::Text, Refused> {
    loop {
        match reader.next().await? {
            socket::Frame::Text(text) => return Ok(text),
            socket::Frame::Binary(_) => return Err(protocol("it sends something that is no text")),
            socket::Frame::Alive => {}
        }
    }
}

impl Asker<'_> {
    fn ask(&self, nonce: &str, signed_at: u64) -> Value {
        let Role { client, mode, role, scopes, caps, commands } = self.role;
        let platform = std::env::consts::OS;
        let token = self.token.reveal();
        let mut params = json!({
            "minProtocol": PROTOCOL, "maxProtocol": PROTOCOL,
            "client": {"id": client, "mode": mode, "version": env!("CARGO_PKG_VERSION"),
                "platform": platform, "displayName": "party"},
            "role": role, "scopes": scopes, "caps": caps, "auth": {"token": token},
        });
        if !commands.is_empty() {
            params["commands"] = json!(commands);
        }
        if let Some(identity) = self.identity {
            let claim = Claim { client, mode, role, scopes, signed_at, token, nonce, platform };
            params["device"] = json!({"id": identity.id, "publicKey": identity.public_key(),
                "signature": identity.sign(&claim), "signedAt": signed_at, "nonce": nonce});
        }
        params
    }
}

/// Success alone says little: a gateway that grants nothing says hello too.
fn hello(answer: &Answer<'_>, role: &Role) -> Result<Hello, Refused> {
    let payload = answer.payload.map(Json::fields).unwrap_or_default();
    let within = |field: &str| payload.get(field).map(Json::fields).unwrap_or_default();
    if payload.get("protocol").and_then(Json::u64) != Some(PROTOCOL) {
        return Err(protocol("it says hello in another version of the protocol"));
    }
    let (server, auth, policy) = (within("server"), within("auth"), within("policy"));
    let granted: Vec<String> =
        auth.get("scopes").and_then(Json::items).into_iter().flatten().filter_map(Json::string).collect();
    let missing: Vec<&str> =
        role.scopes.iter().copied().filter(|scope| !granted.iter().any(|one| one == scope)).collect();
    if !missing.is_empty() {
        return Err(never(
            ErrorKind::Launch,
            format!("it does not grant {}; give the token of an administrator", missing.join(", ")),
        ));
    }
    let text = |fields: &Fields<'_>, name: &str| fields.get(name).and_then(Json::string).unwrap_or_default();
    let tick = policy.get("tickIntervalMs").and_then(Json::u64).map_or(TICK, Duration::from_millis);
    Ok(Hello {
        version: text(&server, "version"),
        boot: text(&server, "bootId"),
        tick: tick.clamp(TICKS.0, TICKS.1),
    })
}

fn refusal(answer: &Answer<'_>) -> Refused {
    let error = answer.error.map(Json::fields).unwrap_or_default();
    let details = error.get("details").map(Json::fields).unwrap_or_default();
    let text = |fields: &Fields<'_>, name: &str| fields.get(name).and_then(Json::string).unwrap_or_default();
    let (code, detail) = (text(&error, "code"), text(&details, "code"));
    let said = one_line(&text(&error, "message"));
    let again = error.get("retryable").and_then(Json::bool) == Some(true) || code == "UNAVAILABLE";
    if again {
        let after = error.get("retryAfterMs").and_then(Json::u64).map(Duration::from_millis);
        return Refused::Later {
            after,
            error: Error::new(ErrorKind::Io, format!("it is not ready: {said}")),
        };
    }
    match (code.as_str(), detail.as_str()) {
        (_, "PAIRING_REQUIRED") => {
            let request = text(&details, "requestId");
            // An id is a word; nothing that a shell would read differently is repeated as a command.
            let is_word = request.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            let request = if is_word && !request.is_empty() { request } else { "--latest".to_owned() };
            never(
                ErrorKind::Launch,
                format!(
                    "it wants to be told that this host may connect ({}); run `openclaw devices approve {request}` \
                     where it runs, and try again",
                    one_line(&text(&details, "reason"))
                ),
            )
        }
        (_, detail) if detail.contains("TOKEN") || detail.starts_with("AUTH_") => {
            never(ErrorKind::Launch, format!("it refuses the token: {said}"))
        }
        (_, detail) if detail.starts_with("DEVICE_") => never(
            ErrorKind::Launch,
            format!("it refuses this host's key ({detail}): {said}; clocks must agree within two minutes"),
        ),
        ("PROTOCOL_MISMATCH", _) => {
            let expected = details.get("expectedProtocol").and_then(Json::u64);
            let expected = expected.map_or_else(|| "another".to_owned(), |number| number.to_string());
            protocol(&format!(
                "it speaks version {expected} of the protocol and not {PROTOCOL}; use an OpenClaw of 2026.9"
            ))
        }
        _ => never(ErrorKind::Launch, format!("it refuses the connection: {said}")),
    }
}

fn protocol(why: &str) -> Refused {
    never(ErrorKind::Protocol, why)
}

fn never(kind: ErrorKind, why: impl Into<String>) -> Refused {
    Refused::Never(Error::new(kind, why))
}
