//! What stands between a process and its first call of a model: the host's tools have to be there. Pure.
//!
//! The CLI's `init` tells only when it is about to call the model, too late to stop it for sure. So it is
//! given a hook, which it runs for a message when it has asked the servers for their tools: until that
//! is answered it waits, and meanwhile it says which tools it took.

use super::{lines, mcp::SERVER};
use crate::{RawJson, claude_code::codec::Required};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gate {
    /// No message has come to it.
    Shut,
    /// The CLI waits for the answer to this hook, and the host for the state of the servers.
    Asking(String),
    Open,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "mcpServers")]
    servers: Vec<Server>,
}

#[derive(Deserialize)]
struct Server {
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    tools: Vec<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
}

impl Gate {
    /// The CLI stands at the hook `id`; returns what it is told.
    pub(super) fn reached(&mut self, id: String) -> Vec<u8> {
        match self {
            Self::Shut => {
                *self = Self::Asking(id);
                lines::status()
            }
            Self::Asking(_) | Self::Open => lines::hook(&id),
        }
    }

    /// The state of the servers, as the CLI answered: what it is told, or what is missing. A version that
    /// does not tell is let pass: its `init` says as much.
    pub(super) fn told(
        &mut self,
        answer: Result<RawJson, String>,
        required: &Required,
    ) -> Result<Vec<u8>, String> {
        let Self::Asking(hook) = std::mem::replace(self, Self::Open) else { return Ok(Vec::new()) };
        let status = answer.ok().and_then(|answer| answer.parse::<Status>().ok());
        match status.and_then(|status| status.lacks(required)) {
            Some(missing) => Err(missing),
            None => Ok(lines::hook(&hook)),
        }
    }
}

impl Status {
    fn lacks(&self, required: &Required) -> Option<String> {
        let server = self.servers.iter().find(|server| server.name == SERVER);
        let status = server.map_or("absent", |server| &server.status);
        if status != "connected" {
            return Some(format!("the mcp server `{SERVER}` is {status}"));
        }
        let names = server.into_iter().flat_map(|server| &server.tools).map(|tool| tool.name.as_str());
        required.lacking(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToolSpec, claude_code::tools::full_names};
    use serde_json::{Value, json};

    fn told(answer: Result<Value, String>) -> Result<Vec<u8>, String> {
        let tool = |name| ToolSpec::new(name, "", json!({"type": "object"}));
        let tools = full_names(SERVER, &[tool("share"), tool("a.b")]);
        let mut gate = Gate::Shut;
        assert_eq!(gate.reached("h".into()), lines::status());
        let told = gate.told(answer.map(RawJson::from), &Required { server: SERVER.into(), tools });
        assert_eq!(gate.reached("later".into()), lines::hook("later"), "asked once");
        told
    }

    /// As both versions were recorded answering.
    #[test]
    fn a_server_that_is_there_with_its_tools_opens_it() {
        let tools = json!([{"name": "share", "annotations": {}}, {"name": "a.b", "annotations": {}}]);
        let server = json!({"name": "party", "status": "connected", "scope": "dynamic", "tools": tools});
        assert_eq!(told(Ok(json!({"mcpServers": [server]}))), Ok(lines::hook("h")));
    }

    #[test]
    fn what_is_missing_is_named() {
        let connected = json!({"name": "party", "status": "connected", "tools": [{"name": "share"}]});
        let failed = json!({"name": "party", "status": "failed"});
        for (servers, expected) in [
            (json!([connected]), "the mcp server `party` does not offer the tool `mcp__party__a_b`"),
            (json!([failed]), "the mcp server `party` is failed"),
            (json!([]), "the mcp server `party` is absent"),
        ] {
            assert_eq!(told(Ok(json!({"mcpServers": servers}))), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_version_that_does_not_tell_is_let_pass() {
        assert_eq!(told(Err("Unsupported control request subtype: mcp_status".into())), Ok(lines::hook("h")));
        assert_eq!(told(Ok(json!({"other": 1}))), Ok(lines::hook("h")));
    }
}
