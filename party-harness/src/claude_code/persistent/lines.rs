//! The lines of the control protocol that the host writes. Pure.

use crate::RawJson;
use serde::Serialize;
use serde_json::{Value, json};

/// The id of the request that opens the protocol.
pub(super) const INITIALIZE: &str = "party-initialize";

/// The id of the request for the state of the servers.
pub(super) const STATUS: &str = "party-mcp-status";

/// The hook at which a message waits until the host's tools are known to be there.
pub(super) const GATE: &str = "party-gate";

/// Opens the protocol, and names the servers that live in the host. Where there are any, messages pass
/// the gate.
pub(super) fn initialize(servers: &[&str]) -> Vec<u8> {
    let hooks = (!servers.is_empty()).then(|| json!({"UserPromptSubmit": [{"hookCallbackIds": [GATE]}]}));
    request(INITIALIZE, &json!({"subtype": "initialize", "hooks": hooks, "sdkMcpServers": servers}))
}

/// Asks for the state of all servers.
pub(super) fn status() -> Vec<u8> {
    request(STATUS, &json!({"subtype": "mcp_status"}))
}

/// Stops the turn. Messages that are still queued go with it, where the version knows how.
pub(super) fn interrupt(number: u64) -> Vec<u8> {
    let id = format!("party-interrupt-{number}");
    request(&id, &json!({"subtype": "interrupt", "cancel_queued": true}))
}

fn request(id: &str, request: &Value) -> Vec<u8> {
    line(&json!({"type": "control_request", "request_id": id, "request": request}))
}

/// Allows the use of a tool, with the arguments as they were.
pub(super) fn allow(id: &str, input: &RawJson) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Allow<'a> {
        behavior: &'static str,
        updated_input: &'a RawJson,
    }
    success(id, &Allow { behavior: "allow", updated_input: input })
}

/// Refuses the use of a tool; the model is told why.
pub(super) fn deny(id: &str, why: &str) -> Vec<u8> {
    success(id, &json!({"behavior": "deny", "message": why}))
}

/// Answers a message to a server that lives in the host.
pub(super) fn mcp(id: &str, message: &Value) -> Vec<u8> {
    success(id, &json!({"mcp_response": message}))
}

/// Lets a hook pass. The CLI waits for each that it believes to be there.
pub(super) fn hook(id: &str) -> Vec<u8> {
    success(id, &json!({}))
}

/// Refuses a request.
pub(super) fn refuse(id: &str, why: &str) -> Vec<u8> {
    response(&json!({"subtype": "error", "request_id": id, "error": why}))
}

fn success(id: &str, answer: &impl Serialize) -> Vec<u8> {
    #[derive(Serialize)]
    struct Success<'a, T> {
        subtype: &'static str,
        request_id: &'a str,
        response: &'a T,
    }
    response(&Success { subtype: "success", request_id: id, response: answer })
}

fn response(response: &impl Serialize) -> Vec<u8> {
    #[derive(Serialize)]
    struct Response<'a, T> {
        r#type: &'static str,
        response: &'a T,
    }
    line(&Response { r#type: "control_response", response })
}

/// JSON of our own types has no reason to fail, and none of it holds a line end.
fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(line: &[u8]) -> Value {
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line, ended");
        serde_json::from_slice(line).unwrap()
    }

    /// As other hosts were recorded writing them, and the CLI took them.
    #[test]
    fn lines_are_those_that_the_cli_was_seen_to_take() {
        let recorded: Value = serde_json::from_str(
            r#"{"type":"control_request","request_id":"party-interrupt-7","request":{"subtype":"interrupt","cancel_queued":true}}"#,
        )
        .unwrap();
        assert_eq!(json(&interrupt(7)), recorded);
        let recorded = r#"{"type":"control_request","request_id":"party-initialize","request":{"subtype":"initialize","hooks":{"UserPromptSubmit":[{"hookCallbackIds":["party-gate"]}]},"sdkMcpServers":["party"]}}"#;
        assert_eq!(json(&initialize(&["party"])), serde_json::from_str::<Value>(recorded).unwrap());
        let recorded = r#"{"type":"control_response","response":{"subtype":"success","request_id":"b5d1","response":{"behavior":"allow","updatedInput":{"command":"touch a.txt"}}}}"#;
        let input = json!({"command": "touch a.txt"}).into();
        assert_eq!(json(&allow("b5d1", &input)), serde_json::from_str::<Value>(recorded).unwrap());
        let recorded = r#"{"type":"control_response","response":{"subtype":"success","request_id":"k","response":{"mcp_response":{"jsonrpc":"2.0","id":2,"result":{}}}}}"#;
        let message = json!({"jsonrpc": "2.0", "id": 2, "result": {}});
        assert_eq!(json(&mcp("k", &message)), serde_json::from_str::<Value>(recorded).unwrap());
        let recorded =
            r#"{"type":"control_response","response":{"subtype":"error","request_id":"k","error":"no"}}"#;
        assert_eq!(json(&refuse("k", "no")), serde_json::from_str::<Value>(recorded).unwrap());
    }

    #[test]
    fn arguments_go_back_digit_by_digit_and_reasons_stay_on_their_line() {
        let raw: RawJson = serde_json::from_str(r#"{"n":1.10000000000000000001,"u":"\u2028"}"#).unwrap();
        let line = String::from_utf8(allow("a", &raw)).unwrap();
        assert!(line.contains(r#""updatedInput":{"n":1.10000000000000000001,"u":"\u2028"}"#), "{line}");
        assert_eq!(json(&deny("a", "no\nnever"))["response"]["response"]["message"], "no\nnever");
    }
}
