//! A small MCP server over HTTP, as much as a runtime needs to call a host's tools.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use party_harness::{McpEndpoint, ToolCall, ToolPort, ToolSpec, TurnKey};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::task::JoinHandle;

/// What each secret opens.
type Grants = Arc<Mutex<BTreeMap<String, Grant>>>;

#[derive(Clone)]
struct Grant {
    key: TurnKey,
    tools: Vec<ToolSpec>,
    port: Arc<dyn ToolPort>,
}

/// Serves until it is dropped.
pub(crate) struct McpServer {
    url: String,
    grants: Grants,
    serving: JoinHandle<()>,
}

impl McpServer {
    pub(crate) async fn start() -> Self {
        let grants = Grants::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let app = Router::new().route("/mcp", post(answer)).with_state(Arc::clone(&grants));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, grants, serving }
    }

    pub(crate) fn admit(&self, key: TurnKey, tools: Vec<ToolSpec>, port: Arc<dyn ToolPort>) -> McpEndpoint {
        let mut grants = self.grants.lock().unwrap();
        let secret = format!("secret-{}", grants.len());
        grants.insert(format!("Bearer {secret}"), Grant { key, tools, port });
        McpEndpoint { name: "party".to_owned(), url: self.url.clone(), secret }
    }
}

impl Drop for McpServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(grants): State<Grants>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    let secret = headers.get("authorization").and_then(|secret| secret.to_str().ok()).unwrap_or_default();
    let Some(grant) = grants.lock().unwrap().get(secret).cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let Some(id) = request.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let result = match request["method"].as_str() {
        Some("initialize") => json!({"protocolVersion": request["params"]["protocolVersion"],
            "capabilities": {"tools": {}}, "serverInfo": {"name": "party", "version": "1"}}),
        Some("tools/list") => json!({ "tools": grant.tools }),
        Some("tools/call") => call(&grant, &request["params"]).await,
        _ => {
            let error = json!({"code": -32601, "message": "no such method"});
            return Json(json!({"jsonrpc": "2.0", "id": id, "error": error})).into_response();
        }
    };
    Json(json!({"jsonrpc": "2.0", "id": id, "result": result})).into_response()
}

async fn call(grant: &Grant, params: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let call = ToolCall {
        key: grant.key,
        id: text(&params["_meta"]["claudecode/toolUseId"]),
        name: text(&params["name"]),
        arguments: params["arguments"].clone(),
    };
    let reply = grant.port.call(call).await;
    json!({"content": [{"type": "text", "text": reply.text}], "isError": reply.is_error})
}
