//! What a thread is opened with: its tools and settings. Pure.

use super::{
    codec::{PATCH, SHELL},
    setup::{Sandbox, Setup},
};
use crate::{Error, ErrorKind, Result, RuntimeSpec, ToolSpec, TurnRequest};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt::Write as _};

/// The namespace of the host's tools.
pub(super) const NAMESPACE: &str = "party";

/// Codex's own tools that a turn may have by name, beside those of MCP servers.
const SEARCH: &str = "web_search";
const IMAGE: &str = "view_image";

/// The variable by which all processes of a seat are known.
const MARKER: &str = "PARTY_CODEX_SEAT";

/// Parts of names of variables whose values no agent sees.
const SECRETS: [&str; 4] = ["KEY", "TOKEN", "SECRET", "PASSWORD"];

/// What a turn needs of its thread. Threads keep it: a turn with another gets another thread.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    own: Vec<String>,
    tools: Vec<ToolSpec>,
    /// The host's names of tools by those that the model sees.
    names: BTreeMap<String, String>,
    asks_servers: bool,
    /// The hash of one that an earlier process of the host gave a thread that still runs a turn.
    adopted: Option<String>,
}

impl Shape {
    pub(super) fn of(setup: &Setup, request: &TurnRequest) -> Result<Self> {
        let mut own = request.own_tools.clone();
        own.sort();
        own.dedup();
        if let Some(name) = own.iter().find(|name| !is_known(setup, name)) {
            return Err(invalid(format!("`{}` is no tool of codex", name.escape_debug())));
        }
        let mut names = BTreeMap::new();
        for tool in &request.tools {
            if let Some(other) = names.insert(plain(&tool.name), tool.name.clone()) {
                let context = format!("the tools `{other}` and `{}` have the same name for codex", tool.name);
                return Err(invalid(context));
            }
        }
        let asks_servers = request.ask && own.iter().any(|name| name.starts_with("mcp__"));
        Ok(Self { own, tools: request.tools.clone(), names, asks_servers, adopted: None })
    }

    /// That of a thread that runs a turn, of which only the hash is known. It has what it was given.
    pub(super) fn adopted(hash: String) -> Self {
        let (own, tools, names) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { own, tools, names, asks_servers: false, adopted: Some(hash) }
    }

    pub(super) fn has(&self, own: &str) -> bool {
        self.own.iter().any(|name| name == own)
    }

    /// Whether it has a tool, also where it has all of a server's.
    pub(super) fn lists(&self, tool: &str) -> bool {
        if self.adopted.is_some() {
            return true;
        }
        let is_whole = |name: &String| name.starts_with("mcp__") && tool.starts_with(&format!("{name}__"));
        self.has(tool) || self.own.iter().any(is_whole)
    }

    /// Whether its turns may leave processes behind.
    pub(super) fn has_shell(&self) -> bool {
        self.adopted.is_some() || self.has(SHELL)
    }

    /// The host's name of a tool.
    pub(super) fn host_name<'a>(&'a self, tool: &'a str) -> Option<&'a str> {
        match &self.adopted {
            Some(_) => Some(tool),
            None => self.names.get(tool).map(String::as_str),
        }
    }

    /// A hash of all that a thread keeps.
    pub(super) fn hash(&self) -> String {
        if let Some(hash) = &self.adopted {
            return hash.clone();
        }
        let tools = serde_json::to_string(&(&self.own, &self.tools, self.asks_servers)).unwrap_or_default();
        hex(&Sha256::digest(tools)[..8])
    }

    /// What a thread is started with.
    pub(super) fn start(&self, setup: &Setup, spec: &RuntimeSpec, foreign: &[String]) -> Value {
        let mut params = self.common(setup, spec, foreign);
        if !self.tools.is_empty() {
            params["dynamicTools"] = json!([self.namespace()]);
        }
        params
    }

    /// What a thread is resumed with. A server that was restarted has forgotten all of it but the tools.
    pub(super) fn resume(
        &self,
        setup: &Setup,
        spec: &RuntimeSpec,
        foreign: &[String],
        thread: &str,
    ) -> Value {
        let mut params = match self.adopted {
            Some(_) => json!({}),
            None => self.common(setup, spec, foreign),
        };
        (params["threadId"], params["excludeTurns"]) = (json!(thread), json!(true));
        params
    }

    fn namespace(&self) -> Value {
        let tool = |tool: &ToolSpec| {
            json!({"type": "function", "name": plain(&tool.name), "description": tool.description,
                "inputSchema": tool.input_schema, "deferLoading": false})
        };
        let tools: Vec<Value> = self.tools.iter().map(tool).collect();
        json!({"type": "namespace", "name": NAMESPACE, "description": "The tools of the party.", "tools": tools})
    }

    fn common(&self, setup: &Setup, spec: &RuntimeSpec, foreign: &[String]) -> Value {
        // Its editor cannot be taken from all models; where it is not given it may write nothing.
        let acts = self.has(SHELL) || self.has(PATCH);
        let sandbox = if acts { setup.sandbox } else { Sandbox::ReadOnly };
        let mut params = json!({
            "cwd": spec.cwd,
            "approvalPolicy": "never",
            "sandbox": sandbox.name(),
            "config": self.config(setup, spec, foreign),
        });
        if let Some(model) = spec.model.as_ref().or(setup.model.as_ref()) {
            params["model"] = json!(model);
        }
        if !spec.system_prompt.is_empty() {
            params["baseInstructions"] = json!(spec.system_prompt);
        }
        params
    }

    /// Everything of Codex's own is off that the turn does not list: its tools, its agents among each
    /// other, and what it tells the model beside the system prompt. The host's tools are in the model's
    /// first request, not behind a search or in a program. A provider that cannot be reached is an error.
    fn config(&self, setup: &Setup, spec: &RuntimeSpec, foreign: &[String]) -> Value {
        let (shell, image) = (self.has(SHELL), self.has(IMAGE));
        let mut config = json!({
            "features": {
                "code_mode": {"direct_only_tool_namespaces": self.direct()},
                "unbounded_connection_retries": false,
                "goals": false, "plugins": false, "apps": false, "multi_agent": false,
                "shell_tool": shell, "unified_exec": shell,
                "view_image": image, "image_generation": false, "sleep_tool": false,
                "tool_suggest": false, "skill_search": false, "hooks": false,
            },
            "agents": {"enabled": false},
            "tools": {"view_image": image, "experimental_request_user_input": {"enabled": false}},
            "web_search": if self.has(SEARCH) { "live" } else { "disabled" },
            "skills": {"include_instructions": false},
            "include_permissions_instructions": false,
            "include_apps_instructions": false,
            "include_environment_context": !self.own.is_empty(),
            "project_doc_max_bytes": 0,
            "shell_environment_policy": {"inherit": "none", "set": environment(spec)},
            "mcp_servers": self.servers(setup, foreign),
        });
        for (name, value) in &setup.config {
            lay(&mut config, name, value);
        }
        config
    }

    /// The servers that the turn lists, and those of the server's own configuration, shut.
    fn servers(&self, setup: &Setup, foreign: &[String]) -> Value {
        let shut = foreign.iter().map(|name| (name.clone(), json!({"enabled": false})));
        let mut servers: Map<String, Value> = shut.collect();
        for (name, config) in &setup.servers {
            let Some(tools) = self.of_server(name) else { continue };
            let mut config = config.clone();
            if let Value::Object(config) = &mut config {
                let mode = if self.asks_servers { "prompt" } else { "approve" };
                config.insert("enabled".to_owned(), json!(true));
                // Without it the turn would run without its tools, and say nothing of it.
                config.entry("required").or_insert(json!(true));
                config.insert("default_tools_approval_mode".to_owned(), json!(mode));
                if !tools.is_empty() {
                    config.insert("enabled_tools".to_owned(), json!(tools));
                }
            }
            servers.insert(name.clone(), config);
        }
        Value::Object(servers)
    }

    /// The tools that the turn lists of a server; none listed one by one are all.
    fn of_server(&self, server: &str) -> Option<Vec<&str>> {
        let whole = format!("mcp__{server}");
        let tools =
            self.own.iter().filter_map(|name| name.strip_prefix(&whole)?.strip_prefix("__")).collect();
        let is_listed = self.own.iter().any(|name| name == &whole);
        match (is_listed, tools) {
            (true, _) => Some(Vec::new()),
            (false, tools) => Some(tools).filter(|tools: &Vec<&str>| !tools.is_empty()),
        }
    }

    fn direct(&self) -> Vec<String> {
        let servers = self.own.iter().filter_map(|name| name.strip_prefix("mcp__"));
        let servers = servers.map(|name| name.split_once("__").map_or(name, |(server, _)| server));
        let mut all = vec![NAMESPACE.to_owned()];
        all.extend(servers.map(|server| format!("mcp__{server}")));
        all.dedup();
        all
    }
}

fn is_known(setup: &Setup, name: &str) -> bool {
    let of_server = |rest: &str| {
        let server = rest.split_once("__").map_or(rest, |(server, _)| server);
        setup.servers.contains_key(server)
    };
    matches!(name, SHELL | PATCH | SEARCH | IMAGE) || name.strip_prefix("mcp__").is_some_and(of_server)
}

/// The environment of the seat's commands; the server's own, with its credentials, is none of theirs.
fn environment(spec: &RuntimeSpec) -> Value {
    let is_secret = |name: &str| {
        let name = name.to_ascii_uppercase();
        SECRETS.iter().any(|part| name.contains(part))
    };
    let shown = spec.env.iter().filter(|(name, _)| !is_secret(name));
    let mut set: Map<String, Value> = shown.map(|(name, value)| (name.clone(), json!(value))).collect();
    let (name, value) = marker(spec);
    set.insert(name, json!(value));
    Value::Object(set)
}

/// The variable and value that all processes of a seat have.
pub(super) fn marker(spec: &RuntimeSpec) -> (String, String) {
    (MARKER.to_owned(), spec.folder.to_string_lossy().into_owned())
}

/// A tool's name as a model's provider takes it.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect()
}

/// Lays a setting over others, at its place in the tree.
fn lay(config: &mut Value, name: &str, value: &Value) {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    if !config.is_object() {
        *config = json!({});
    }
    let Value::Object(fields) = config else { return };
    let place = fields.entry(first).or_insert(Value::Null);
    match (rest, value) {
        (Some(rest), value) => lay(place, rest, value),
        (None, Value::Object(inner)) if place.is_object() => {
            inner.iter().for_each(|(name, value)| lay(place, name, value));
        }
        (None, value) => *place = value.clone(),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn invalid(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, context)
}
