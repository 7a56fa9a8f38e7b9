//! What the CLI asks its host, and what is answered whoever runs. Pure.

use super::{
    lines,
    mcp::{self, SERVER},
};
use crate::{RawJson, ToolSpec, claude_code::codec::ControlRequest};
use serde_json::Value;

/// What a question needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Needs {
    /// This line.
    Line(Vec<u8>),
    /// A call of one of the host's tools.
    Call { id: Value, call: Option<String>, name: String, arguments: Value },
    /// To pass the gate.
    Pass,
    /// Leave to use a tool.
    Leave { tool: String, input: RawJson },
    /// This line; nobody waits for the answer to the JSON-RPC request any more.
    Forget(Value, Vec<u8>),
}

/// Reads the question `id` to a host that offers `tools`.
pub(super) fn read(id: &str, what: ControlRequest, tools: &[ToolSpec]) -> Needs {
    match what {
        ControlRequest::Mcp { server, message } if server == SERVER => match mcp::read(&message, tools) {
            mcp::Asked::Answer(answer) => Needs::Line(lines::mcp(id, &answer)),
            mcp::Asked::Call { id, call, name, arguments } => Needs::Call { id, call, name, arguments },
            mcp::Asked::Cancelled(request) => Needs::Forget(request, lines::mcp(id, &mcp::noted())),
        },
        ControlRequest::Mcp { server, .. } => {
            Needs::Line(lines::refuse(id, &format!("no server `{server}` lives here")))
        }
        ControlRequest::CanUseTool { tool, input, .. } => Needs::Leave { tool, input },
        ControlRequest::Hook { callback, .. } if callback == lines::GATE => Needs::Pass,
        ControlRequest::Hook { .. } => Needs::Line(lines::hook(id)),
        ControlRequest::Unknown { subtype } => {
            Needs::Line(lines::refuse(id, &format!("unknown request `{subtype}`")))
        }
    }
}

/// The answer where no turn runs.
pub(super) fn without_turn(id: &str, needs: Needs) -> Vec<u8> {
    const WHY: &str = "no turn runs";
    match needs {
        Needs::Line(line) | Needs::Forget(_, line) => line,
        Needs::Pass => lines::hook(id),
        Needs::Call { id: call, .. } => lines::mcp(id, &mcp::error(&call, -32600, WHY)),
        Needs::Leave { .. } => lines::deny(id, WHY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(what: ControlRequest) -> Value {
        serde_json::from_slice(&without_turn("q", read("q", what, &[]))).unwrap()
    }

    #[test]
    fn every_question_has_an_answer() {
        let hook = ControlRequest::Hook { callback: "h".into(), input: json!({}).into() };
        assert_eq!(
            answer(hook)["response"],
            json!({"subtype": "success", "request_id": "q", "response": {}})
        );
        let unknown = answer(ControlRequest::Unknown { subtype: "elicitation".into() });
        assert_eq!(unknown["response"]["error"], "unknown request `elicitation`");
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        let other = answer(ControlRequest::Mcp { server: "x".into(), message: message.clone().into() });
        assert_eq!(other["response"]["error"], "no server `x` lives here");
        let own = answer(ControlRequest::Mcp { server: SERVER.into(), message: message.into() });
        assert_eq!(own["response"]["response"]["mcp_response"]["result"], json!({}));
        let leave = ControlRequest::CanUseTool { tool: "Bash".into(), input: json!({}).into(), call: None };
        assert_eq!(answer(leave)["response"]["response"]["behavior"], "deny");
    }

    #[test]
    fn a_call_outside_of_a_turn_is_refused() {
        let tool = ToolSpec { name: "share".into(), description: String::new(), input_schema: json!({}) };
        let params = json!({"name": "share"});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let what = ControlRequest::Mcp { server: SERVER.into(), message: message.into() };
        let line: Value = serde_json::from_slice(&without_turn("q", read("q", what, &[tool]))).unwrap();
        assert_eq!(line["response"]["response"]["mcp_response"]["error"]["message"], "no turn runs");
    }
}
