//! Which tools a launch offers: the host's by an MCP server, the CLI's own by name, and no others.

use super::{codec::Required, launch::invalid};
use crate::{McpEndpoint, Result, ToolSpec, TurnRequest};
use serde_json::{Value, json};

/// How long the CLI waits for a tool's answer. Its default of 60 s is shorter than a turn may be, and
/// it then tells the model that the call failed while the call goes on.
const PATIENCE_MS: u64 = 24 * 60 * 60 * 1000;

/// What the agent of a turn may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// The host's tools, by their full names.
    pub(super) host: Vec<String>,
    /// The CLI's own.
    pub(super) own: Vec<String>,
    /// Whether it asks before it uses one of its own.
    pub(super) ask: bool,
}

impl Offer {
    /// The host's tools are those of `server`. Own tools are named in a list that commas part; a rule
    /// such as `Bash(ls:*)`, or the tool of a server, is no name.
    pub(super) fn new(server: &str, request: &TurnRequest) -> Result<Self> {
        let is_name = |name: &str| {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            plain && name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.starts_with("mcp__")
        };
        if let Some(name) = request.own_tools.iter().find(|name| !is_name(name)) {
            return Err(invalid(format!("`{}` is no name of a tool of claude", name.escape_debug())));
        }
        let (host, own) = (full_names(server, &request.tools), request.own_tools.clone());
        Ok(Self { host, own, ask: request.ask })
    }

    pub(super) fn all(&self) -> Vec<String> {
        [&self.own[..], &self.host].concat()
    }
}

/// What a process per turn offers.
pub(super) fn offer(request: &TurnRequest) -> Result<Offer> {
    let server = endpoint(request)?.map_or("", |mcp| &mcp.name);
    Offer::new(server, request)
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
    let required = |mcp: &McpEndpoint| Required {
        server: mcp.name.clone(),
        tools: full_names(&mcp.name, &request.tools),
    };
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

/// The names of a server's tools, such as `mcp__party__share`.
pub(super) fn full_names(server: &str, tools: &[ToolSpec]) -> Vec<String> {
    tools.iter().map(|tool| full_name(server, &tool.name)).collect()
}

pub(super) fn full_name(server: &str, tool: &str) -> String {
    format!("mcp__{}__{}", plain(server), plain(tool))
}

/// The CLI's own spelling of names.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}
