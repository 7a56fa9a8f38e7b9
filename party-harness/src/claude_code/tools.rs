//! Which tools a launch offers: the host's by an MCP server, the CLI's own by name, and no others.

use super::{codec::Required, launch::invalid};
use crate::{McpEndpoint, Result, TurnRequest};
use serde_json::{Value, json};

/// How long the CLI waits for a tool's answer. Its default of 60 s is shorter than a turn may be, and
/// it then tells the model that the call failed while the call goes on.
const PATIENCE_MS: u64 = 24 * 60 * 60 * 1000;

/// Own tools are named in a list that commas part; a rule such as `Bash(ls:*)`, or the tool of a
/// server, is no name.
pub(super) fn check(request: &TurnRequest) -> Result<()> {
    let is_name = |name: &str| {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain && name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.starts_with("mcp__")
    };
    match request.own_tools.iter().find(|name| !is_name(name)) {
        Some(name) => Err(invalid(format!("`{}` is no name of a tool of claude", name.escape_debug()))),
        None => Ok(()),
    }
}

/// The full names of all tools of the turn.
pub(super) fn names(request: &TurnRequest) -> Vec<String> {
    [&request.own_tools[..], &of_host(request)].concat()
}

/// The server that the turn needs; none where it has no tools of the host's.
pub(super) fn endpoint(request: &TurnRequest) -> Result<Option<&McpEndpoint>> {
    match &request.mcp {
        _ if request.tools.is_empty() => Ok(None),
        Some(mcp) => Ok(Some(mcp)),
        None => Err(invalid("claude reaches tools by an mcp server only, and the turn names none")),
    }
}

pub(super) fn required(request: &TurnRequest) -> Result<Option<Required>> {
    let required = |mcp: &McpEndpoint| Required { server: mcp.name.clone(), tools: of_host(request) };
    Ok(endpoint(request)?.map(required))
}

/// What `--mcp-config` names.
pub(super) fn mcp_config(mcp: &McpEndpoint) -> Value {
    let server = json!({
        "type": "http",
        "url": mcp.url,
        "headers": {"Authorization": format!("Bearer {}", mcp.secret)},
        "alwaysLoad": true,
        "timeout": PATIENCE_MS,
    });
    json!({"mcpServers": { &mcp.name: server }})
}

fn of_host(request: &TurnRequest) -> Vec<String> {
    let Some(mcp) = &request.mcp else { return Vec::new() };
    request.tools.iter().map(|tool| format!("mcp__{}__{}", plain(&mcp.name), plain(&tool.name))).collect()
}

/// The CLI's own spelling of names.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}
