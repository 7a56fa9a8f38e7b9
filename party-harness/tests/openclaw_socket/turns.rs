//! Turns on a connection that holds.

use crate::{
    gateway::FakeGateway,
    host::{Port, harness, one_turn, open, read, request, texts, with_look, within},
};
use party_harness::{
    CostSource, Harness as _, TurnEvent,
    core::{Cost, Outcome, Sent},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

#[tokio::test]
async fn a048_a_prompt_goes_out_and_its_answer_comes_back_once() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        if peer.accept().await.is_some() {
            peer.tells("lifecycle", json!({"phase": "start"})).await;
            peer.writes("Ship").await;
            peer.writes("Ship it.").await;
            peer.says("Ship it.").await;
        }
        peer.idle().await;
    })
    .await;
    let (events, end) = one_turn(&gateway).await;
    assert_eq!(
        (end.outcome, end.text.as_deref(), end.sent),
        (Outcome::Completed, Some("Ship it."), Sent::Full)
    );
    assert_eq!(
        (texts(&events), end.usage.output_tokens, end.cost),
        ("Ship it.".to_owned(), 3, Cost::Unknown)
    );
    assert!(matches!(&events[0], TurnEvent::Started { token, .. } if Some(token) == end.token.as_ref()));
    let order = &gateway.known.requests("agent")[0];
    assert_eq!(
        (&order["message"], &order["extraSystemPrompt"], &order["model"]),
        (&json!("the whole"), &json!("You are Ann."), &json!("fake/m2"))
    );
    let patch = &gateway.known.requests("sessions.patch")[0];
    assert_eq!((&patch["inheritedToolAllow"], &patch["inheritedToolDeny"]), (&Value::Null, &json!(["*"])));
    assert_eq!(patch["key"], order["sessionKey"]);
}

/// Runs of others are told to every connection; and frames that nobody knows may come at any time.
#[tokio::test]
async fn a176_what_is_of_another_run_or_unknown_is_passed_over() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        if peer.accept().await.is_some() {
            let other = json!({"runId": "another", "stream": "assistant", "data": {"text": "Not mine."}});
            for frame in [
                json!({"type": "event", "event": "agent", "payload": other, "seq": 7}),
                json!({"type": "event", "event": "task", "payload": {"runId": "another"}, "seq": 900}),
                json!({"type": "req", "id": "1", "method": "client.doSomething", "params": {}}),
                json!({"type": "res", "id": "nobody's", "ok": false}),
                json!({"type": "res"}),
                json!({"type": "hologram"}),
                json!([]),
            ] {
                peer.send(frame).await;
            }
            for text in ["", "no json", "{\"type\":", "\"\\ud83d\""] {
                peer.message(tokio_tungstenite::tungstenite::Message::text(text)).await;
            }
            peer.tells("telepathy", json!({"depth": 3})).await;
            peer.says("Mine.").await;
        }
        peer.idle().await;
    })
    .await;
    let (events, end) = one_turn(&gateway).await;
    assert_eq!(end.text.as_deref(), Some("Mine."));
    let raw = events.iter().filter(|event| matches!(event, TurnEvent::Raw { .. })).count();
    assert_eq!((raw, texts(&events)), (1, String::new()), "{events:?}");
}

/// Asks the node to run a tool, and gives its answer.
async fn invoke(peer: &mut crate::gateway::Peer, session: &Value, tool: &str) -> Value {
    let params = json!({"server": "party", "tool": tool, "arguments": {"n": 9_007_199_254_740_991_u64}});
    let payload = json!({"id": "i1", "nodeId": "n", "command": "mcp.tools.call.v1", "paramsJSON": params.to_string(),
        "idempotencyKey": "call_1", "sessionKey": session, "timeoutMs": 1000});
    peer.send(json!({"type": "event", "event": "node.invoke.request", "payload": payload})).await;
    loop {
        let request = peer.raw_request().await.expect("an answer");
        peer.answer(&request, json!({"ok": true, "tools": request["params"]["tools"]})).await;
        if request["method"] == "node.invoke.result" {
            let result = request["params"]["payloadJSON"].as_str().unwrap();
            return serde_json::from_str(result).unwrap();
        }
    }
}

#[tokio::test]
async fn a048_a_call_of_a_tool_reaches_the_host_and_its_answer_the_gateway() {
    let (go, called) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let answers = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (at_node, all) = ((Arc::clone(&go), Arc::clone(&called)), Arc::clone(&answers));
    let gateway = FakeGateway::start(move |mut peer| {
        let ((go, called), answers) = (at_node.clone(), Arc::clone(&all));
        async move {
            let asked = peer.greet().await.unwrap_or_default();
            if asked["role"] == "node" {
                assert_eq!(
                    (&asked["scopes"], &asked["commands"]),
                    (&json!([]), &json!(["mcp.tools.call.v1"]))
                );
                let update = peer.raw_request().await.unwrap();
                peer.answer(&update, json!({"tools": update["params"]["tools"]})).await;
                go.notified().await;
                let orders = peer.known.requests("agent");
                let session = orders[0]["sessionKey"].clone();
                let look = update["params"]["tools"][0]["name"].as_str().unwrap();
                for (session, tool) in [
                    (session.clone(), look),
                    (session.clone(), &look.replace("look", "other")),
                    (session, "look"),
                    (json!("agent:main:somebody-else"), look),
                ] {
                    let answer = invoke(&mut peer, &session, tool).await;
                    answers.lock().unwrap().push(answer);
                }
                called.notify_one();
                return peer.idle().await;
            }
            if peer.accept().await.is_some() {
                go.notify_one();
                called.notified().await;
                let look = &peer.known.requests("node.pluginTools.update")[0]["tools"][0]["name"];
                let call = json!({"phase": "start", "name": look, "toolCallId": "call_1", "args": {}});
                peer.tells("tool", call).await;
                peer.says("Done.").await;
            }
            peer.idle().await;
        }
    })
    .await;
    let (harness, port) = (harness(&gateway), Arc::new(Port::default()));
    let session = open(&harness, &port).await;
    let request = with_look(request(1));
    let key = request.key;
    let (events, end) = read(within(session.turn(request)).await.unwrap()).await;
    assert_eq!(end.text.as_deref(), Some("Done."));
    let used = events.iter().any(|event| matches!(event, TurnEvent::ToolUse { name, .. } if name == "look"));
    assert!(used, "under the host's name: {events:?}");
    let calls = port.0.lock().unwrap().clone();
    assert_eq!(calls.len(), 1, "none but its own reaches the host: {calls:?}");
    assert_eq!((calls[0].key, calls[0].id.as_str(), calls[0].name.as_str()), (key, "call_1", "look"));
    assert_eq!(calls[0].arguments, json!({"n": 9_007_199_254_740_991_u64}));
    let text = |text: &str, is_error: bool| json!({"content": [{"type": "text", "text": text}], "isError": is_error});
    let refused = text("this tool is not available in this turn", true);
    let expected = [text("it looks fine", false), refused.clone(), refused.clone(), refused];
    assert_eq!(*answers.lock().unwrap(), expected);
    let patch = &gateway.known.requests("sessions.patch")[0];
    assert_eq!(
        (&patch["inheritedToolAllow"], &patch["inheritedToolDeny"]),
        (&json!([format!("{}look", harness.tool_prefix().unwrap())]), &Value::Null)
    );
}

/// A host that is asked for more than it does at once says so.
#[tokio::test]
async fn calls_on_top_of_the_most_are_refused_and_none_is_left_without_an_answer() {
    const CALLS: usize = 256;
    let (ordered, refused) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let of_all = (Arc::clone(&ordered), Arc::clone(&refused));
    let gateway = FakeGateway::start(move |mut peer| {
        let (ordered, refused) = of_all.clone();
        async move {
            if peer.greet().await.unwrap_or_default()["role"] != "node" {
                if peer.accept().await.is_some() {
                    ordered.notify_one();
                    refused.notified().await;
                    peer.says("Done.").await;
                }
                return peer.idle().await;
            }
            let update = peer.raw_request().await.unwrap();
            peer.answer(&update, json!({"tools": update["params"]["tools"]})).await;
            ordered.notified().await;
            let session = peer.known.requests("agent")[0]["sessionKey"].clone();
            let tool = update["params"]["tools"][0]["name"].clone();
            let params = json!({"server": "party", "tool": tool, "arguments": {}}).to_string();
            for id in 0..=CALLS {
                let payload = json!({"id": id.to_string(), "nodeId": "n", "command": "mcp.tools.call.v1",
                    "paramsJSON": params, "idempotencyKey": id.to_string(), "sessionKey": session});
                peer.send(json!({"type": "event", "event": "node.invoke.request", "payload": payload})).await;
            }
            let answer = peer.raw_request().await.unwrap();
            assert_eq!(answer["params"]["id"], json!(CALLS.to_string()));
            assert!(answer["params"]["payloadJSON"].as_str().unwrap().contains("too many tools"));
            refused.notify_one();
            peer.idle().await;
        }
    })
    .await;
    let harness = harness(&gateway).silence_patience(Duration::from_secs(60));
    let session = within(harness.open(crate::host::spec(), Arc::new(crate::host::Stuck))).await.unwrap();
    let (_, end) = read(within(session.turn(with_look(request(1)))).await.unwrap()).await;
    assert_eq!(end.text.as_deref(), Some("Done."));
}

/// A gateway sees this host for the first time: its tools are approved by the host itself.
#[tokio::test]
async fn a168_a_new_node_is_approved_by_its_own_operator() {
    let gateway = FakeGateway::start(|mut peer| async move {
        let asked = peer.greet().await.unwrap_or_default();
        while let Some(request) = peer.raw_request().await {
            let approved = !peer.known.requests("node.pair.approve").is_empty();
            let known = peer.known.requests("connect");
            let node = known.iter().find(|one| one["role"] == "node").map(|one| one["device"]["id"].clone());
            let mut tools = request["params"]["tools"].clone();
            let payload = match request["method"].as_str().unwrap() {
                "node.pluginTools.update" => {
                    tools = if approved { tools } else { json!([]) };
                    json!({ "tools": tools })
                }
                "node.pair.list" => json!({"pending": [
                    {"requestId": "foreign", "nodeId": "x", "commands": ["system.run"]},
                    {"requestId": "ours", "nodeId": node, "commands": ["mcp.tools.call.v1"]}]}),
                "sessions.patch" => json!({"entry": request["params"]}),
                "agent" => {
                    let status = json!({"status": "ok", "summary": "completed", "result": {"payloads": [{"text": "Hi."}]},
                        "runId": request["params"]["idempotencyKey"]});
                    status
                }
                _ => json!({"messages": []}),
            };
            peer.answer(&request, payload).await;
        }
        drop(asked);
    })
    .await;
    let harness = harness(&gateway);
    let session = open(&harness, &Arc::default()).await;
    let (_, end) = read(within(session.turn(with_look(request(1)))).await.unwrap()).await;
    assert_eq!(end.text.as_deref(), Some("Hi."));
    assert_eq!(gateway.known.requests("node.pair.approve"), [json!({"requestId": "ours"})]);
}

/// Who does not read holds nobody up, and is told all the same.
#[tokio::test]
async fn a_slow_reader_is_told_everything_in_the_end() {
    let gateway = FakeGateway::start(|mut peer| async move {
        peer.greet().await;
        if peer.accept().await.is_some() {
            let mut text = String::new();
            for number in 0..300 {
                text.push_str(&format!("{number} "));
                peer.writes(&text).await;
            }
            peer.says(text.trim()).await;
        }
        peer.idle().await;
    })
    .await;
    let harness = harness(&gateway);
    let session = open(&harness, &Arc::default()).await;
    let turn = within(session.turn(request(1))).await.unwrap();
    within(async {
        while session.state().health != party_harness::Health::Idle {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let (events, end) = read(turn).await;
    assert_eq!(texts(&events).trim(), &*end.text.unwrap());
}

#[tokio::test]
async fn what_a_gateway_calls_free_is_not_said_to_be() {
    for (dollars, cost) in [
        (json!(0), Cost::Unknown),
        (json!(0.002), Cost::Reported(party_harness::core::Usd::from_micros(2000))),
    ] {
        let gateway = FakeGateway::start(move |mut peer| {
            let dollars = dollars.clone();
            async move {
                peer.greet().await;
                if peer.accept().await.is_some() {
                    peer.concludes(
                        json!({"status": "ok", "summary": "completed", "result": {"payloads": [{"text": "x"}],
                        "meta": {"agentMeta": {"usage": {"output": 3}, "costUsd": dollars}}}}),
                    )
                    .await;
                }
                peer.idle().await;
            }
        })
        .await;
        let harness = harness(&gateway).reports_cost();
        assert_eq!(harness.info().capabilities.cost, CostSource::Reported);
        let session = open(&harness, &Arc::default()).await;
        let (_, end) = read(within(session.turn(request(1))).await.unwrap()).await;
        assert_eq!(end.cost, cost);
    }
}
