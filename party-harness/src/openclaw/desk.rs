//! The host's tools, as the agents of a gateway see them: which are on the desk, for which turn.
//!
//! A gateway knows one list of tools for all its agents; what each may see of it, its session says. So
//! names are kept apart, and those of two hosts too: `party_1f3c5a__share`, after the host's node, and
//! where two turns mean different tools by one name, `party2_1f3c5a__share` for the second.

use crate::{Error, ErrorKind, Result, ToolCall, ToolPort, ToolReply, ToolSpec, TurnKey};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What names of a gateway's tools may have, and how many a node may offer.
const NAME: usize = 64;
const TOOLS: usize = 128;

/// How much of a description a gateway passes on; it cuts the rest off.
const DESCRIPTION: usize = 1024;

/// How much of the node's name stands in names of tools.
const FRAGMENT: usize = 6;

/// The tools of the turns that run.
#[derive(Debug)]
pub(super) struct Desk {
    /// The node's, in short.
    host: String,
    places: Mutex<BTreeMap<String, Place>>,
}

/// One turn's, under its session's name.
#[derive(Debug, Clone)]
struct Place {
    key: TurnKey,
    prefix: String,
    tools: Vec<ToolSpec>,
    port: Arc<dyn ToolPort>,
}

/// A turn's tools on the desk, until it is dropped.
#[derive(Debug)]
pub(super) struct Laid {
    desk: Arc<Desk>,
    session: String,
    /// What the names of its tools begin with.
    pub(super) prefix: String,
    /// Their names in full.
    pub(super) names: Vec<String>,
}

impl Desk {
    /// An empty desk of this node.
    pub(super) fn new(node: &str) -> Self {
        Self { host: node.chars().take(FRAGMENT).collect(), places: Mutex::default() }
    }

    /// What the names of the tools begin with, of the first turn and of one that means others by them.
    pub(super) fn prefix(&self, n: u32) -> String {
        let host = &self.host;
        if n == 1 { format!("party_{host}__") } else { format!("party{n}_{host}__") }
    }

    /// Lays a turn's tools out.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a tool that a gateway cannot name, or too many of them.
    pub(super) fn lay(
        self: &Arc<Self>,
        session: &str,
        key: TurnKey,
        tools: &[ToolSpec],
        port: &Arc<dyn ToolPort>,
    ) -> Result<Laid> {
        check(tools)?;
        let mut places = self.lock();
        let prefix = (1..)
            .map(|n| self.prefix(n))
            .find(|prefix| !places.values().any(|place| place.prefix == *prefix && place.differs(tools)))
            .unwrap_or_default();
        let names: Vec<String> = tools.iter().map(|tool| format!("{prefix}{}", tool.name)).collect();
        if let Some(long) = names.iter().find(|name| name.len() > NAME) {
            return Err(invalid(format!("the tool name `{long}` is longer than {NAME} bytes")));
        }
        let (tools, port) = (tools.to_vec(), Arc::clone(port));
        places.insert(session.to_owned(), Place { key, prefix: prefix.clone(), tools, port });
        let count = descriptors(&places).len();
        if count > TOOLS {
            places.remove(session);
            return Err(invalid(format!("the turns that run have {count} tools; a gateway takes {TOOLS}")));
        }
        Ok(Laid { desk: Arc::clone(self), session: session.to_owned(), prefix, names })
    }

    /// What a node offers now.
    pub(super) fn descriptors(&self) -> Vec<Value> {
        descriptors(&self.lock())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().values().all(|place| place.tools.is_empty())
    }

    /// Whose call it is, and where it goes. It is the session's name that says so: a model cannot write
    /// that.
    pub(super) fn find(&self, session: &str, id: String, tool: &str, arguments: Value) -> Option<Errand> {
        let place = self.lock().get(session).cloned()?;
        let name = tool.strip_prefix(&place.prefix)?;
        place.tools.iter().find(|tool| tool.name == name)?;
        let call = ToolCall { key: place.key, id, name: name.to_owned(), arguments };
        Some(Errand { call, port: place.port })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call on its way to the host.
#[derive(Debug)]
pub(super) struct Errand {
    call: ToolCall,
    port: Arc<dyn ToolPort>,
}

impl Errand {
    pub(super) async fn run(self) -> ToolReply {
        self.port.call(self.call).await
    }
}

impl Place {
    /// Whether a name means one tool here and another one there.
    fn differs(&self, tools: &[ToolSpec]) -> bool {
        self.tools.iter().any(|mine| tools.iter().any(|one| one.name == mine.name && one != mine))
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.session);
    }
}

fn descriptors(places: &BTreeMap<String, Place>) -> Vec<Value> {
    let mut all = BTreeMap::new();
    for place in places.values() {
        for tool in &place.tools {
            all.entry(format!("{}{}", place.prefix, tool.name)).or_insert_with(|| tool.clone());
        }
    }
    let describe = |(name, tool): (String, ToolSpec)| {
        let described = Some(tool.description.trim()).filter(|text| !text.is_empty()).unwrap_or(&name);
        let description: String = described.chars().take(DESCRIPTION).collect();
        // That the gateway takes it for the tool of an MCP server is what spares its configuration.
        json!({"pluginId": "node-mcp", "name": name, "description": description,
            "parameters": tool.input_schema, "command": super::link::COMMAND,
            "mcp": {"server": "party", "tool": name}})
    };
    all.into_iter().map(describe).collect()
}

fn check(tools: &[ToolSpec]) -> Result<()> {
    let is_name =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    for (at, tool) in tools.iter().enumerate() {
        let name = tool.name.escape_debug();
        if tool.name.is_empty() || !is_name(&tool.name) {
            return Err(invalid(format!(
                "`{name}` is no name of a tool for openclaw: letters, digits, `_` and `-`"
            )));
        }
        if !tool.input_schema.is_object() {
            return Err(invalid(format!("the arguments of the tool `{name}` are described by no object")));
        }
        // Gateways compare names without regard to case.
        if tools[..at].iter().any(|other| other.name.eq_ignore_ascii_case(&tool.name)) {
            return Err(invalid(format!("two tools are named `{name}`")));
        }
    }
    Ok(())
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Invalid, why)
}
