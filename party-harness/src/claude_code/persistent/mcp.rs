//! The host's tools as an MCP server that lives in the host: JSON-RPC in, JSON-RPC out. Pure.

use crate::{RawJson, ToolReply, ToolSpec};
use serde::Deserialize;
use serde_json::{Value, json};

/// The server's name.
pub(super) const SERVER: &str = "party";

/// The protocol's version, for a client that names none.
const VERSION: &str = "2025-11-25";

/// What a message asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    /// This answer.
    Answer(Value),
    /// A call of one of the tools.
    Call {
        /// The JSON-RPC request.
        id: Value,
        /// The runtime's id of the call.
        call: Option<String>,
        name: String,
        arguments: Value,
    },
    /// Nothing: the client no longer waits for this JSON-RPC request.
    Cancelled(Value),
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    method: String,
    #[serde(default)]
    params: Value,
}

/// Reads a message to the server that offers `tools`.
pub(super) fn read(message: &RawJson, tools: &[ToolSpec]) -> Asked {
    let Ok(Message { id, method, params }) = message.parse() else {
        return Asked::Answer(error(&Value::Null, -32600, "no JSON-RPC message"));
    };
    let Some(id) = id else { return notified(&method, &params) };
    match method.as_str() {
        "initialize" => Asked::Answer(result(&id, &welcome(&params))),
        "ping" => Asked::Answer(result(&id, &json!({}))),
        "tools/list" => {
            Asked::Answer(result(&id, &json!({"tools": tools.iter().map(listed).collect::<Vec<_>>()})))
        }
        "tools/call" => called(id, params, tools),
        method => Asked::Answer(error(&id, -32601, &format!("no method `{method}`"))),
    }
}

/// A notification has no answer of its own; the control protocol wants one all the same.
fn notified(method: &str, params: &Value) -> Asked {
    match method {
        "notifications/cancelled" => Asked::Cancelled(params["requestId"].clone()),
        _ => Asked::Answer(noted()),
    }
}

pub(super) fn noted() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "result": {}})
}

fn welcome(params: &Value) -> Value {
    json!({
        "protocolVersion": params["protocolVersion"].as_str().unwrap_or(VERSION),
        "capabilities": {"tools": {}},
        "serverInfo": {"name": SERVER, "version": env!("CARGO_PKG_VERSION")},
    })
}

fn listed(tool: &ToolSpec) -> Value {
    json!({"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema})
}

fn called(id: Value, mut params: Value, tools: &[ToolSpec]) -> Asked {
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    if !tools.iter().any(|tool| tool.name == name) {
        return Asked::Answer(error(&id, -32602, &format!("this turn has no tool `{name}`")));
    }
    let call = params["_meta"]["claudecode/toolUseId"].as_str().map(str::to_owned);
    let arguments = match params["arguments"].take() {
        Value::Null => json!({}),
        arguments => arguments,
    };
    Asked::Call { id, call, name, arguments }
}

/// What a tool answered.
pub(super) fn answer(id: &Value, reply: &ToolReply) -> Value {
    let content = json!([{"type": "text", "text": reply.text}]);
    result(id, &json!({"content": content, "isError": reply.is_error}))
}

pub(super) fn error(id: &Value, code: i32, why: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": why}})
}

fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(message: Value) -> Asked {
        let share = ToolSpec {
            name: "share".into(),
            description: "Shares.".into(),
            input_schema: json!({"type": "object"}),
        };
        read(&message.into(), &[share])
    }

    fn answered(message: Value) -> Value {
        match ask(message) {
            Asked::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_client_is_welcomed_in_its_version_and_told_the_tools() {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
        let welcome = answered(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}));
        assert_eq!(welcome["result"]["protocolVersion"], "2025-11-25");
        assert_eq!((&welcome["id"], &welcome["result"]["serverInfo"]["name"]), (&json!(0), &json!("party")));
        let list = answered(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
        let tool = json!({"name": "share", "description": "Shares.", "inputSchema": {"type": "object"}});
        assert_eq!(list, json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [tool]}}));
    }

    #[test]
    fn a_call_carries_the_runtimes_id_of_it() {
        let params = json!({"name": "share", "arguments": {"x": "1"},
            "_meta": {"claudecode/toolUseId": "toolu_a", "progressToken": 2}});
        let call = ask(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}));
        let (call_id, arguments) = (Some("toolu_a".to_owned()), json!({"x": "1"}));
        assert_eq!(call, Asked::Call { id: json!(2), call: call_id, name: "share".into(), arguments });
        let reply = answer(&json!(2), &ToolReply { text: "done".into(), is_error: true });
        assert_eq!(reply["result"], json!({"content": [{"type": "text", "text": "done"}], "isError": true}));
    }

    #[test]
    fn what_is_not_offered_or_not_known_is_refused_and_what_is_withdrawn_is_named() {
        let refused = |method: &str, params: Value| {
            answered(json!({"jsonrpc": "2.0", "id": 5, "method": method, "params": params}))["error"]["code"]
                .clone()
        };
        assert_eq!(refused("tools/call", json!({"name": "rm"})), -32602);
        assert_eq!(refused("resources/list", Value::Null), -32601);
        assert_eq!(answered(json!(3))["error"]["code"], -32600);
        let cancelled =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}});
        assert_eq!(ask(cancelled), Asked::Cancelled(json!(2)));
        assert_eq!(ask(json!({"method": "notifications/initialized"})), Asked::Answer(noted()));
    }
}
