//! What a model is offered, and what it may use.

use crate::{
    codex::{begin, end_in, events_of, request, run, tool},
    mcp::McpServer,
    stage::{Stage, offered, said},
};
use futures::FutureExt as _;
use party_harness::{Harness as _, ToolPort, TurnEvent, TurnRequest};
use serde_json::{Value, json};
use std::{fs, sync::Arc};
use test_support::{Block, ModelTurn, Scenario};
use tokio::net::TcpListener;

fn shares() -> Scenario {
    let call = ModelTurn::tool_use("party.share", json!({"text": "hi"}));
    Scenario::new().turn(call).turn(ModelTurn::text("Shared."))
}

/// One turn of a model with `share`; what its first request offered.
async fn offer(model: &str) -> Vec<String> {
    let stage = Stage::new(shares()).await;
    let codex = stage.codex().model(model);
    let end = run(&stage.open(&codex).await, request(1, "Share.", &["share"])).await;
    assert_eq!(end.text.as_deref(), Some("Shared."), "{model}: {end:?}");
    assert_eq!(stage.tools.calls()[0].arguments, json!({"text": "hi"}));
    codex.shutdown().await.unwrap();
    offered(&stage.fake.model_requests()[0])
}

/// Models that know Codex's own search for tools, and those that call tools from programs. Neither its
/// editor nor its programs can be taken from such a model; the one may write nothing, and the others
/// reach nothing.
#[tokio::test]
async fn a167_a168_the_hosts_tools_are_in_the_first_request_and_codex_has_no_others() {
    assert_eq!(offer("fake-1").await, ["party.share"]);
    assert_eq!(offer("gpt-5.5").await, ["apply_patch", "party.share"]);
    for model in ["gpt-6.1-sol", "gpt-6-astra"] {
        assert_eq!(offer(model).await, ["functions.exec", "functions.wait", "party.share"], "{model}");
    }
}

#[tokio::test]
async fn a167_agents_of_codexs_own_are_offered_where_the_configuration_asks() {
    let stage = Stage::new(Scenario::new().turn(ModelTurn::text("Alone."))).await;
    let codex = stage.codex().config("agents.enabled", true).config("features.multi_agent", true);
    run(&stage.open(&codex).await, request(1, "Go.", &[])).await;
    let offered = offered(&stage.fake.model_requests()[0]);
    assert!(offered.iter().any(|name| name.contains("spawn_agent")), "{offered:?}");
    codex.shutdown().await.unwrap();
}

/// A server in Codex's own configuration, and one of the host that the turn does not list.
#[tokio::test]
async fn a180_without_mcp_access_no_foreign_tool_is_offered_and_share_works() {
    let stage = Stage::new(shares()).await;
    let [own, unlisted] =
        [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let url = |listener: &TcpListener| format!("http://{}/mcp", listener.local_addr().unwrap());
    let config = format!("[mcp_servers.own]\nurl = \"{}\"\n", url(&own));
    fs::write(stage.home().join("config.toml"), config).unwrap();
    let codex = stage.codex().mcp_server("unlisted", json!({"url": url(&unlisted)}));
    let end = run(&stage.open(&codex).await, request(1, "Share.", &["share"])).await;
    assert_eq!(end.text.as_deref(), Some("Shared."));
    assert_eq!(stage.tools.names(), ["share"]);
    for request in stage.fake.model_requests() {
        assert_eq!(offered(&request), ["party.share"]);
    }
    for listener in [own, unlisted] {
        assert!(listener.accept().now_or_never().is_none(), "a foreign server was asked for its tools");
    }
    codex.shutdown().await.unwrap();
}

/// A turn with a server of the host's, which it lists; the server is `docs` and has the tool `find`.
fn with_docs(stage: &Stage, server: &McpServer) -> (Value, TurnRequest) {
    let mut request = request(1, "Find.", &["share"]);
    let port = Arc::clone(&stage.tools) as Arc<dyn ToolPort>;
    let door = server.admit(request.key, vec![tool("find"), tool("other")], port);
    request.own_tools = vec!["mcp__docs__find".to_owned()];
    let authorization = format!("Bearer {}", door.secret);
    (json!({"url": door.url, "http_headers": {"Authorization": authorization}}), request)
}

#[tokio::test]
async fn a180_with_mcp_access_the_listed_tool_is_offered_at_once_and_runs() {
    for model in ["fake-1", "gpt-5.5", "gpt-6.1-sol"] {
        let call = ModelTurn::tool_use("mcp__docs.find", json!({"text": "x"}));
        let stage = Stage::new(Scenario::new().turn(call).turn(ModelTurn::text("Found."))).await;
        let server = McpServer::start().await;
        let (config, request) = with_docs(&stage, &server);
        let codex = stage.codex().model(model).mcp_server("docs", config);
        let events = events_of(begin(&stage.open(&codex).await, request).await).await;
        assert_eq!(end_in(&events).text.as_deref(), Some("Found."), "{model}: {events:?}");
        assert_eq!(stage.tools.names(), ["find"], "{model}");
        let offered = offered(&stage.fake.model_requests()[0]);
        let of_docs: Vec<_> = offered.iter().filter(|name| name.contains("docs")).collect();
        assert_eq!(of_docs, ["mcp__docs.find"], "{model}: {offered:?}");
        codex.shutdown().await.unwrap();
    }
}

/// The key of the model's provider, and what is called a secret, is none of the agent's.
#[tokio::test]
async fn a_command_has_the_seats_environment_without_secrets() {
    let call = ModelTurn::tool_use("exec_command", json!({"cmd": "env"}));
    let stage = Stage::new(Scenario::new().turn(call).turn(ModelTurn::text("Done."))).await;
    let codex = stage.codex();
    let mut spec = stage.bench.spec(1, None);
    spec.env.insert("SEAT_COLOUR".to_owned(), "green".to_owned());
    spec.env.insert("SOME_API_KEY".to_owned(), "sk-seat".to_owned());
    let session = codex.open(spec, Arc::clone(&stage.tools) as Arc<dyn ToolPort>).await.unwrap();
    let mut request = request(1, "Look.", &[]);
    request.own_tools = vec!["shell".to_owned()];
    let events = events_of(begin(&session, request).await).await;
    let told = said(&stage.fake.model_requests()[1]).pop().unwrap();
    assert!(told.contains("SEAT_COLOUR=green"), "{told}");
    assert!(!told.contains("sk-fake") && !told.contains("sk-seat"), "{told}");
    let used = events.iter().find_map(|event| match event {
        TurnEvent::ToolUse { name, input, .. } => Some((name.as_str(), input.value()["command"].clone())),
        _ => None,
    });
    assert_eq!(used, Some(("shell", json!("/bin/bash -lc env"))));
    codex.shutdown().await.unwrap();
}

/// Its editor cannot be taken from some models; it writes where the turn lists it, and nowhere else.
#[tokio::test]
async fn codexs_editor_writes_only_for_a_turn_that_lists_it() {
    for own in [vec![], vec!["apply_patch".to_owned()]] {
        let patch = "*** Begin Patch\n*** Add File: made.txt\n+hello\n*** End Patch\n";
        let mut call = Block::tool_use("custom:apply_patch", json!({}));
        if let Block::ToolUse { raw_json, .. } = &mut call {
            *raw_json = Some(patch.to_owned());
        }
        let scenario = Scenario::new().turn(ModelTurn::empty().block(call)).turn(ModelTurn::text("Done."));
        let stage = Stage::new(scenario).await;
        let codex = stage.codex().model("gpt-5.5");
        let (mut request, is_listed) = (request(1, "Write.", &[]), !own.is_empty());
        request.own_tools = own;
        let events = events_of(begin(&stage.open(&codex).await, request).await).await;
        assert_eq!(end_in(&events).text.as_deref(), Some("Done."), "{events:?}");
        assert_eq!(stage.bench.folder("work-1").join("made.txt").exists(), is_listed);
        codex.shutdown().await.unwrap();
    }
}
