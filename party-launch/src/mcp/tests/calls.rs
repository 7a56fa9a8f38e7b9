//! What MCP clients say and are told.

use super::{
    super::{McpServer, door::BODY_LIMIT},
    wire::{Client, Port, admit, key, tool},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

/// Line by line what Claude Code 2.1.329 sends.
#[tokio::test]
async fn what_the_cli_says() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let admission = admit(&server, 1, &port);
    let client = Client::new(&admission);
    let newer = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "claude-code", "version": "2.1.329"},
        "io.modelcontextprotocol/clientCapabilities": {"roots": {"listChanged": true}},
    }});
    let probe = json!({"jsonrpc": "2.0", "id": "server-discover-probe-1", "method": "server/discover", "params": newer});
    let newer =
        client.with("MCP-Protocol-Version", Some("2026-07-28")).with("MCP-Method", Some("server/discover"));
    let refused = newer.send(probe.to_string()).await;
    // The CLI was seen to go on with `initialize` after this.
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(-32022)), "{}", refused.body);

    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {"roots": {"listChanged": true}},
        "clientInfo": {"name": "claude-code", "version": "2.1.329"}});
    let result = &client.rpc("initialize", hello).await.json()["result"];
    assert_eq!(result["protocolVersion"], "2025-11-25");
    assert_eq!(result["capabilities"], json!({"tools": {}}));
    assert_eq!(result["serverInfo"]["name"], "party");

    let client = client.with("MCP-Protocol-Version", Some("2025-11-25"));
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(client.send(initialized.to_string()).await.status, 202);
    assert_eq!(Client { method: "GET", ..client.clone() }.send("").await.status, 405);
    assert_eq!(Client { method: "DELETE", ..client.clone() }.send("").await.status, 405);

    let tools = client.rpc("tools/list", json!({})).await.json()["result"]["tools"].clone();
    let names: Vec<_> = tools.as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["share", "fail", "meet", "panic"]);
    assert_eq!(tools[0]["description"], "Does share.");
    assert_eq!(tools[0]["inputSchema"], tool("share").input_schema);

    let call = json!({"name": "share", "arguments": {"text": "ü\n\"<x>"}, "_meta": {"claudecode/toolUseId": "toolu_1"}});
    let result = client.rpc("tools/call", call).await.json()["result"].clone();
    let text = json!({"text": "ü\n\"<x>"});
    assert_eq!(result["content"], json!([{"type": "text", "text": format!("1 {text}")}]));
    assert_ne!(result["isError"], true);
    let calls = port.calls();
    assert_eq!((calls.len(), calls[0].key, calls[0].id.as_str()), (1, key(1), "toolu_1"));
    assert_eq!((calls[0].name.as_str(), &calls[0].arguments), ("share", &text));
}

#[tokio::test]
async fn refusals_of_the_port_and_tools_not_offered() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let admission = admit(&server, 1, &port);
    let client = Client::new(&admission);
    let failed = client.call("fail", json!({})).await;
    assert_eq!((&failed["isError"], &failed["content"][0]["text"]), (&json!(true), &json!("no such member")));
    let unknown = client.call("vote", json!({})).await;
    assert_eq!(unknown["isError"], true);
    assert_eq!(unknown["content"][0]["text"], "the tool `vote` is not offered in this turn");
    assert_eq!(port.calls().len(), 1);
}

#[tokio::test]
async fn a_port_that_panics_is_an_error_and_the_next_call_is_answered() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let admission = admit(&server, 1, &port);
    let client = Client::new(&admission);
    let failed = client.call("panic", json!({})).await;
    assert_eq!(failed["isError"], true);
    assert_eq!(failed["content"][0]["text"], "the call failed: the host panicked");
    assert_ne!(client.call("share", json!({})).await["isError"], true);
}

#[tokio::test]
async fn a_call_without_an_id_gets_a_new_one() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let admission = admit(&server, 1, &port);
    let client = Client::new(&admission);
    let [empty, number] = [json!({"claudecode/toolUseId": ""}), json!({"claudecode/toolUseId": 7})];
    for meta in [&json!({}), &json!({}), &empty, &empty, &number] {
        let answer = client.rpc("tools/call", json!({"name": "share", "_meta": meta})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let calls = port.calls();
    assert!(calls.iter().all(|call| call.arguments == json!({})));
    let ids: BTreeSet<_> = calls.into_iter().map(|call| call.id).collect();
    assert_eq!(ids.len(), 5, "{ids:?}");
}

#[tokio::test]
async fn what_does_not_fit() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let admission = admit(&server, 1, &port);
    let client = Client::new(&admission);
    for params in [
        json!({"name": "share", "arguments": ["text"]}),
        json!({"name": "share", "arguments": "text"}),
        json!({"name": 7}),
        json!({}),
        Value::Null,
    ] {
        let answer = client.rpc("tools/call", params).await;
        assert_eq!(answer.json()["error"]["code"], -32602, "{}", answer.body);
    }
    assert_eq!(client.rpc("no/such", json!({})).await.json()["error"]["code"], -32601);
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}1{}}}"#,
        "[".repeat(9000),
        "]".repeat(9000)
    );
    for body in
        ["", "{", "[]", "7", "null", r#"{"jsonrpc":"2.0"}"#, r#"{"method":"tools/call","id":1}"#, &deep]
    {
        assert!((400..500).contains(&client.send(body).await.status), "{body:.40}");
    }
    assert!((400..500).contains(&client.send([0xff, 0x00]).await.status));
    assert!(port.calls().is_empty());
    assert_ne!(client.call("share", json!({})).await["isError"], true);
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let admission = admit(&server, 1, &port);
    let client = Client::new(&admission);
    assert_ne!(client.call("share", json!({"text": "x".repeat(1 << 20)})).await["isError"], true);
    assert_eq!(client.send(vec![b' '; BODY_LIMIT + 1]).await.status, 413);
    assert_eq!(port.calls().len(), 1);
}

/// Each is answered only once both are in.
#[tokio::test]
async fn two_attempts_at_once() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(2));
    let admissions = [admit(&server, 1, &port), admit(&server, 2, &port)];
    let [first, second] = admissions.each_ref().map(Client::new);
    // Whose call it is, is none of the arguments' business.
    let (first, second) =
        tokio::join!(first.call("meet", json!({"attempt": 2})), second.call("meet", json!({})));
    assert_eq!(first["content"][0]["text"], r#"1 {"attempt":2}"#);
    assert_eq!(second["content"][0]["text"], "2 {}");
}

#[tokio::test]
async fn every_attempt_sees_its_own_tools() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let _other = admit(&server, 1, &port);
    let mut open = tool("vote");
    open.input_schema = json!(true);
    let admission = server.admit(key(2), vec![open], Arc::<Port>::clone(&port));
    let client = Client::new(&admission);
    let tools = client.rpc("tools/list", json!({})).await.json()["result"]["tools"].clone();
    assert_eq!(
        tools,
        json!([{"name": "vote", "description": "Does vote.", "inputSchema": {"type": "object"}}])
    );
    assert_eq!(client.call("share", json!({})).await["isError"], true);
    assert!(port.calls().is_empty());
}
