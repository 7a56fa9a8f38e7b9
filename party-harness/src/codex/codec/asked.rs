//! What a server asks its client.

use super::frame::{Frame, Params};
use crate::{
    RawJson,
    jsonl::view::{Json, raw},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// A question of the server. Its turn waits until it is answered, by a result or an error.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a plain value")]
pub struct Asked {
    /// Its id, which the answer names: a text or a number. Counted per server, not per connection.
    pub id: RawJson,
    /// The thread that it is about.
    pub thread: Option<Arc<str>>,
    /// The turn.
    pub turn: Option<Arc<str>>,
    /// What is asked.
    pub what: Question,
}

/// What a server asks.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Question {
    /// The model calls a tool of the host.
    Call {
        /// The call's id.
        id: String,
        /// Its tool's namespace.
        namespace: Option<String>,
        /// The tool.
        tool: String,
        /// The arguments.
        arguments: RawJson,
    },
    /// Whether a command may be run.
    Command {
        /// The item that it is about.
        item: String,
        /// The command, its folder, and why it is asked about.
        input: RawJson,
    },
    /// Whether files may be changed.
    Files {
        /// The item that it is about, which tells the changes.
        item: String,
        /// Why it is asked about, where that is said.
        input: RawJson,
    },
    /// Whether a tool of a foreign MCP server may be used, or something that such a server asks.
    Elicitation {
        /// The server's name.
        server: String,
        /// The tool, where it is about one.
        tool: Option<String>,
        /// The tool's arguments.
        input: RawJson,
    },
    /// The model asks the user something.
    Input,
    /// Something that is not known.
    Other {
        /// The method.
        method: String,
    },
}

impl Asked {
    /// Of a frame that has a method and an id.
    pub(in crate::codex) fn read(method: &str, id: Json<'_>, frame: &Frame<'_>) -> Self {
        let name = |json: Option<Json<'_>>| json.and_then(Json::string).map(Arc::from);
        Self {
            id: raw(id.get()),
            thread: name(frame.params.thread_id),
            turn: name(frame.params.turn_id),
            what: Question::read(method, &frame.params),
        }
    }
}

impl Question {
    fn read(method: &str, params: &Params<'_>) -> Self {
        let string = |json: Option<Json<'_>>| json.and_then(Json::string);
        let item = || string(params.item_id).unwrap_or_default();
        match method {
            "item/tool/call" => match (string(params.call_id), string(params.tool)) {
                (Some(id), Some(tool)) => {
                    let arguments = params.arguments.map_or_else(RawJson::null, RawJson::from);
                    Self::Call { id, namespace: string(params.namespace), tool, arguments }
                }
                _ => Self::Other { method: method.to_owned() },
            },
            "item/commandExecution/requestApproval" => {
                Self::Command { item: item(), input: command(params.command, params.cwd, params.reason) }
            }
            "item/fileChange/requestApproval" => {
                Self::Files { item: item(), input: json!({"reason": string(params.reason)}).into() }
            }
            "mcpServer/elicitation/request" => {
                let meta = params.meta.map(Json::fields).unwrap_or_default();
                let input = meta.get("tool_params").map_or_else(RawJson::null, RawJson::from);
                let server = string(params.server_name).unwrap_or_default();
                Self::Elicitation { server, tool: string(meta.get("tool_name")), input }
            }
            "item/tool/requestUserInput" => Self::Input,
            _ => Self::Other { method: method.to_owned() },
        }
    }
}

/// A command as a tool's arguments.
pub(super) fn command(command: Option<Json<'_>>, cwd: Option<Json<'_>>, reason: Option<Json<'_>>) -> RawJson {
    let mut input = serde_json::Map::new();
    for (name, value) in [("command", command), ("cwd", cwd), ("reason", reason)] {
        if let Some(value) = value.and_then(Json::string) {
            input.insert(name.to_owned(), Value::String(value));
        }
    }
    Value::Object(input).into()
}
