//! A minimal MCP server of the host's, whole or broken.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::post,
};
use party_harness::{McpEndpoint, ToolSpec, TurnRequest};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What the server was asked.
pub(crate) type Seen = Arc<Mutex<Vec<Value>>>;

pub(crate) async fn mcp() -> (McpEndpoint, Seen) {
    broken("not").await
}

/// A server that fails in one way.
pub(crate) async fn broken(how: &str) -> (McpEndpoint, Seen) {
    let seen = Seen::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/{how}/mcp", listener.local_addr().unwrap());
    let app = Router::new().route("/{how}/mcp", post(answer)).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (McpEndpoint { name: "party".into(), url, secret: "s3cret".into() }, seen)
}

async fn answer(Path(how): Path<String>, State(seen): State<Seen>, Json(call): Json<Value>) -> Response {
    seen.lock().unwrap().push(call.clone());
    match how.as_str() {
        "unauthorized" => StatusCode::UNAUTHORIZED.into_response(),
        "html" => Html("<html>A page.</html>").into_response(),
        "silent" => std::future::pending().await,
        how => whole(how, &call),
    }
}

fn whole(how: &str, call: &Value) -> Response {
    let Some(id) = call.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let named = |name: &str| json!({"name": name, "description": "Does.", "inputSchema": {"type": "object"}});
    let result = match call["method"].as_str() {
        Some("initialize") => json!({"protocolVersion": call["params"]["protocolVersion"],
            "capabilities": {"tools": {}}, "serverInfo": {"name": "party", "version": "1"}}),
        Some("tools/list") if how == "other" => json!({"tools": [named("other")]}),
        Some("tools/list") if how != "listless" => json!({"tools": [named("share"), named("other")]}),
        Some("tools/call") => json!({"content": [{"type": "text", "text": "shared as 7"}]}),
        _ => {
            let error = json!({"code": -32601, "message": "no"});
            return Json(json!({"jsonrpc": "2.0", "id": id, "error": error})).into_response();
        }
    };
    Json(json!({"jsonrpc": "2.0", "id": id, "result": result})).into_response()
}

pub(crate) fn with_share(mut request: TurnRequest, endpoint: &McpEndpoint) -> TurnRequest {
    request.mcp = Some(endpoint.clone());
    request.tools = vec![ToolSpec::new("share", "Shares.", json!({"type": "object"}))];
    request
}

pub(crate) fn calls(seen: &Seen) -> Vec<Value> {
    seen.lock().unwrap().iter().filter(|call| call["method"] == "tools/call").cloned().collect()
}
