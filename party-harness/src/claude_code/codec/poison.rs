//! Whether a turn has the tools that it needs. The CLI itself goes on without them, says nothing,
//! and reports success; only its `init` tells.

use super::{Decoder, head::Head, view::Json};
use std::borrow::Cow;

/// The MCP server that a turn cannot do without.
#[derive(Debug, Clone, Default)]
pub(in crate::claude_code) struct Required {
    pub(in crate::claude_code) server: String,
    /// The full names, such as `mcp__party__share`.
    pub(in crate::claude_code) tools: Vec<String>,
}

/// What `init` says of tools.
struct Offer<'a> {
    tools: Vec<Cow<'a, str>>,
    /// Names and statuses.
    servers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl Decoder {
    /// What is wrong with the servers that are required.
    pub(super) fn poison(&self, init: &Head<'_>) -> Option<String> {
        if self.required.is_none() && !self.requires_all {
            return None;
        }
        if let Some(errors) = init.field("mcp_server_errors").filter(|errors| errors.is_filled()) {
            return Some(format!("claude refused an mcp server: {}", in_words(errors)));
        }
        let offer = Offer::read(init);
        let required = || self.required.as_ref().and_then(|required| offer.lacks(required));
        let every = || if self.requires_all { offer.lacks_any() } else { None };
        required().or_else(every)
    }
}

impl<'a> Offer<'a> {
    fn read(init: &Head<'a>) -> Self {
        let items = |name| init.field(name).and_then(Json::items).unwrap_or_default().into_iter();
        let tools = items("tools").filter_map(|tool| Some(tool.text()?.to_cow()));
        Self { tools: tools.collect(), servers: items("mcp_servers").filter_map(server).collect() }
    }

    fn lacks(&self, Required { server, tools }: &Required) -> Option<String> {
        let status = self.servers.iter().find(|(name, _)| name == server);
        let status = status.map_or("absent", |(_, status)| status);
        if status != "connected" {
            return Some(format!("the mcp server `{server}` is {status}"));
        }
        let missing = tools.iter().find(|tool| !self.tools.iter().any(|offered| offered == *tool))?;
        Some(format!("the mcp server `{server}` does not offer the tool `{missing}`"))
    }

    fn lacks_any(&self) -> Option<String> {
        let mut given = self.servers.iter().filter(|(_, status)| status != "disabled");
        given.find_map(|(name, status)| {
            if status != "connected" {
                return Some(format!("the mcp server `{name}` is {status}"));
            }
            let prefix = tool_prefix(name);
            let offers = self.tools.iter().any(|tool| tool.starts_with(&prefix));
            (!offers).then(|| format!("the mcp server `{name}` offers no tool"))
        })
    }
}

/// The messages of the errors, or the errors as they are.
fn in_words(errors: Json<'_>) -> String {
    let messages = errors.items().into_iter().flatten();
    let messages: Vec<_> = messages.filter_map(|error| error.field("message")?.string()).collect();
    if messages.is_empty() { errors.get().to_owned() } else { messages.join("; ") }
}

fn server(server: Json<'_>) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let text = |name| server.field(name).and_then(Json::text).map(|text| text.to_cow());
    Some((text("name")?, text("status").unwrap_or_default()))
}

/// What the names of a server's tools begin with; the CLI keeps letters, digits, `_` and `-`.
fn tool_prefix(server: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() || char == '-' { char } else { '_' };
    format!("mcp__{}__", server.chars().map(plain).collect::<String>())
}
