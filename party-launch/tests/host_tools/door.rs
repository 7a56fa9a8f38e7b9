//! Calls that come over HTTP: whose they are is told by the secret alone.

use crate::hands::{Held, answers, builder_by, format, schema, until};
use party_launch::{
    CallContext, Seat, Tool,
    bus::MemoryBus,
    core::CloseReason,
    harness::{McpEndpoint, ToolDoor, ToolReply},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Posts a `tools/call`; the status, and the result where there is one.
async fn post(endpoint: &McpEndpoint, params: Value, more: &str) -> (u16, Value) {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
    let (host, path) = endpoint.url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        endpoint.secret,
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn call(arguments: Value) -> Value {
    json!({ "name": "who", "arguments": arguments, "_meta": { "claudecode/toolUseId": "toolu_1" } })
}

/// The answer to a call over HTTP.
pub(crate) async fn post_call(held: &Held, id: &str, name: &str, arguments: Value) -> ToolReply {
    let params = json!({ "name": name, "arguments": arguments, "_meta": { "claudecode/toolUseId": id } });
    let (_, answer) = post(&endpoint(held), params, "").await;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    if answer["result"]["isError"] == true { ToolReply::error(text) } else { text.into() }
}

fn endpoint(held: &Held) -> McpEndpoint {
    held.request.mcp.clone().unwrap()
}

#[tokio::test]
async fn a049_over_http_a_call_is_its_secret_s_and_ends_with_its_turn() {
    let bus = Arc::new(MemoryBus::new());
    let who = Tool::new("who", "Who calls.", schema(), |_, call: CallContext| async move {
        Ok(format!("{} in {} as {}", call.agent, call.turn, call.call).into())
    });
    let (party, mut turns) = builder_by(ToolDoor::McpHttp, bus.clone());
    let party = party.format(format("who")).seat(Seat::new("Ada", "clerk")).seat(Seat::new("Bob", "clerk"));
    let party = party.tool(who).start("Well?").await.unwrap();
    let mut held = [turns.recv().await.unwrap(), turns.recv().await.unwrap()];
    held.sort_by_key(|held| held.key);
    let [ada, bob] = held;
    let (hers, his) = (endpoint(&ada), endpoint(&bob));
    assert_ne!(hers.secret, his.secret);

    // The turn of another in the arguments changes nothing.
    let forged = call(json!({ "turn": bob.key.turn, "attempt": 1, "agent": "Bob" }));
    let (status, answer) = post(&hers, forged, "").await;
    assert_eq!(status, 200, "{answer}");
    let said = &answer["result"]["content"][0]["text"];
    assert_eq!(*said, json!(format!("Ada in {} as toolu_1", ada.key.turn)));
    let (_, answer) = post(&his, call(json!({})), "").await;
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().starts_with("Bob in "), "{answer}");

    assert_eq!(post(&hers, call(json!({})), "Origin: http://evil.example\r\n").await.0, 403);
    let stranger = McpEndpoint { secret: "0".repeat(64), ..hers.clone() };
    assert_eq!(post(&stranger, call(json!({})), "").await.0, 401);
    let (_, answer) = post(&hers, json!({ "name": "who", "arguments": ["all"] }), "").await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let hers_turn = ada.key.turn;
    ada.say("Done.");
    until(&party, |engine| engine.turn(hers_turn).is_none()).await;
    assert_eq!(post(&hers, call(json!({})), "").await.0, 401, "her turn has ended");
    assert_eq!(post(&his, call(json!({})), "").await.0, 200, "his has not");
    bob.say("Done.");
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    assert_eq!(answers(bus.as_ref(), party.session()).await.len(), 2);
}
