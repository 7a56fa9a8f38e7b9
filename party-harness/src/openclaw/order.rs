//! What a turn asks of a gateway, and what is put in place before.

use super::{
    desk::Laid,
    inner::{Inner, Say},
    link::Conn,
    names::{Token, run_id},
};
use crate::{Error, ErrorKind, Result, TurnRequest};
use party_core::{Sent, as_one_prompt};
use serde_json::{Value, json};
use std::sync::Arc;

/// What stands before a message that a gateway would take for a command of its own.
const SHIELD: &str = "The message:\n";

/// What to go on with where the host does not say.
const GO_ON: &str = "Your last turn was cut off. Go on where you stopped.";

/// A run as it is ordered, with all in place.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) conn: Arc<Conn>,
    pub(super) token: Token,
    pub(super) sent: Sent,
    pub(super) run: String,
    /// Of method `agent`; the same again where the connection is lost.
    pub(super) params: Value,
    pub(super) tools: Laid,
}

impl Order {
    /// Puts all in place but the run itself; nothing is spent yet.
    pub(super) async fn prepare(inner: &Inner, request: &TurnRequest) -> Result<Self> {
        let own = own_tools(&request.own_tools)?;
        let conn = inner.ways.operator.conn(inner.setup.patience.connect).await?;
        let (token, say) = inner.place(&conn, request.key).await?;
        let message = message(request, say).await?;
        let tools = inner.ways.desk.lay(&token.key, request.key, &request.tools, &inner.tools)?;
        if !tools.names.is_empty() {
            inner.ways.node.offer(inner.setup.patience.connect).await?;
        }
        restrict(inner, &conn, &token, [&tools.names, &own]).await?;
        let run = run_id(&inner.spec, request.key);
        let mut params = json!({
            "message": message, "sessionKey": token.key, "idempotencyKey": run,
            "extraSystemPrompt": inner.spec.system_prompt, "disableMessageTool": true, "deliver": false,
        });
        if let Some(model) = &inner.spec.model {
            params["model"] = json!(model);
        }
        Ok(Self { conn, token, sent: say.sent(), run, params, tools })
    }
}

/// Gives the session exactly these tools. Its own provider's search is a tool that no list names.
async fn restrict(inner: &Inner, conn: &Conn, token: &Token, [host, own]: [&Vec<String>; 2]) -> Result<()> {
    let names = [host.as_slice(), own].concat();
    // A list that names none would be no list.
    let (allow, deny) =
        if names.is_empty() { (Value::Null, json!(["*"])) } else { (json!(names), Value::Null) };
    let search = own.iter().any(|name| name == "web_search");
    let params = json!({"key": token.key, "inheritedToolAllow": allow, "inheritedToolDeny": deny,
        "toolOverrides": {"webSearch": search}});
    let reply = conn.ask("sessions.patch", params, inner.setup.patience.answer).await?;
    let payload = reply.payload("the turn's list of tools")?;
    // An older gateway may take the list and not know it.
    let entry = &payload["entry"];
    if entry["inheritedToolAllow"] != allow || entry["inheritedToolDeny"] != deny {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the gateway keeps no list of tools; use an OpenClaw of 2026.9",
        ));
    }
    Ok(())
}

async fn message(request: &TurnRequest, say: Say) -> Result<String> {
    let text = match say {
        Say::Full => as_one_prompt(&request.full.load().await?),
        Say::Delta => as_one_prompt(&request.delta),
        Say::Continuation => request.continuation.clone().unwrap_or_else(|| GO_ON.to_owned()),
    };
    if text.trim().is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "the turn has nothing to tell the agent"));
    }
    Ok(if is_command(&text) { format!("{SHIELD}{text}") } else { text })
}

/// `/new` and `/reset` are commands also where all others are text, with or without more behind them.
fn is_command(text: &str) -> bool {
    let text = text.trim_start().trim_start_matches('\u{feff}').to_ascii_lowercase();
    ["/new", "/reset"].iter().any(|command| {
        let rest = text.strip_prefix(command);
        rest.is_some_and(|rest| rest.chars().next().is_none_or(|c| !c.is_alphanumeric()))
    })
}

/// Names of tools, and no patterns: what a turn may use is written out.
fn own_tools(names: &[String]) -> Result<Vec<String>> {
    let is_name = |name: &str| {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        plain && name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.starts_with("party")
    };
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => Err(Error::new(
            ErrorKind::Invalid,
            format!("`{}` is no name of a tool of openclaw", name.escape_debug()),
        )),
        None => Ok(names.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a166_what_a_gateway_would_take_for_a_command_is_told_from_text() {
        for text in ["/new", "/reset", " /NEW\n", "/new x", "/reset: y", "\u{feff}/new", "/new\u{a0}x"] {
            assert!(is_command(text), "{text:?}");
        }
        for text in ["/newer", "/clear", "x /new", "/resets", "new", "", "/status"] {
            assert!(!is_command(text), "{text:?}");
        }
    }

    #[test]
    fn a167_only_plain_names_of_own_tools_are_taken() {
        let own = |name: &str| own_tools(&[name.to_owned()]);
        assert_eq!(own("exec").unwrap(), ["exec"]);
        for name in ["*", "group:fs", "party__share", "", "a b", "exec*", "9x"] {
            assert_eq!(own(name).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
        }
    }
}
