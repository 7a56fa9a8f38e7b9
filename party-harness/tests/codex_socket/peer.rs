//! A server of which the test is the brain.

use crate::codex::within;
use futures::{SinkExt as _, StreamExt as _};
use party_harness::codex::Codex;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::server},
};

/// The thread and turn that a peer gives.
pub(crate) const THREAD: &str = "01a1f8cb-08d2-7652-a0e1-0e154ba1f9e2";
pub(crate) const TURN: &str = "01a1f8cb-0927-7972-bcd1-2f4b16a899f4";

/// Where a test listens.
pub(crate) struct Fake {
    pub(crate) listener: TcpListener,
    pub(crate) url: String,
    /// What it asks clients to show.
    token: Option<&'static str>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        Self { listener, url, token: Some("tok") }
    }

    /// The same in the place of a server that a harness starts, which makes the token.
    pub(crate) async fn started() -> Self {
        Self { token: None, ..Self::start().await }
    }

    /// A harness on it. None of its waits ends in a test that does not say so.
    pub(crate) fn codex(&self) -> Codex {
        Codex::attach(&self.url, Some("tok"))
            .unwrap()
            .request_patience(Duration::from_secs(30))
            .reconnect_patience(Duration::from_secs(30))
            .stop_patience(Duration::from_secs(10))
    }

    /// The next connection that is upgraded; it shows the token.
    #[expect(clippy::result_large_err, reason = "the callback's type is another's")]
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        let look = |request: &server::Request, response: server::Response| {
            let shown = request.headers()["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
            assert_eq!(shown, self.token.unwrap_or(shown));
            assert!(request.headers().get("origin").is_none());
            Ok(response)
        };
        Peer(tokio_tungstenite::accept_hdr_async(stream, look).await.unwrap())
    }

    /// The next connection, as far as a client gets before its first thread.
    pub(crate) async fn greeted(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.greet().await;
        peer
    }

    /// The next connection, with a turn that runs.
    pub(crate) async fn running(&self) -> Peer {
        let mut peer = self.greeted().await;
        peer.open().await;
        peer.begin().await;
        peer
    }
}

/// A connection, from the server's side.
pub(crate) struct Peer(pub(crate) WebSocketStream<TcpStream>);

impl Peer {
    pub(crate) async fn next(&mut self) -> Value {
        let text = within(async {
            loop {
                match self.0.next().await.expect("the client went").unwrap() {
                    Message::Text(text) => return text,
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        serde_json::from_str(&text.await).unwrap()
    }

    /// The next message is a request of this method; its params.
    pub(crate) async fn answer(&mut self, method: &str, result: Value) -> Value {
        let asked = self.next().await;
        assert_eq!(asked["method"], method, "{asked}");
        self.send(&json!({"id": asked["id"], "result": result})).await;
        asked["params"].clone()
    }

    pub(crate) async fn refuse(&mut self, method: &str, code: i64, why: &str) {
        let asked = self.next().await;
        assert_eq!(asked["method"], method, "{asked}");
        self.send(&json!({"id": asked["id"], "error": {"code": code, "message": why}})).await;
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.raw(message.to_string()).await;
    }

    pub(crate) async fn raw(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// A notification of the turn.
    pub(crate) async fn tell(&mut self, method: &str, mut params: Value) {
        (params["threadId"], params["turnId"]) = (json!(THREAD), json!(TURN));
        self.send(&json!({"method": method, "params": params, "emittedAtMs": 1})).await;
    }

    /// A question about the turn.
    pub(crate) async fn ask(&mut self, id: u64, method: &str, mut params: Value) {
        (params["threadId"], params["turnId"]) = (json!(THREAD), json!(TURN));
        self.send(&json!({"method": method, "id": id, "params": params})).await;
    }

    pub(crate) async fn call(&mut self, id: u64, tool: &str) {
        let params = json!({"callId": format!("call-{tool}"), "namespace": "party", "tool": tool, "arguments": {"text": "hi"}});
        self.ask(id, "item/tool/call", params).await;
    }

    pub(crate) async fn greet(&mut self) {
        let agent = json!({"userAgent": "party_harness/0.169.0 (Debian; x86_64) unknown"});
        let asked = self.answer("initialize", agent).await;
        assert_eq!(asked["capabilities"]["experimentalApi"], true);
        assert_eq!(self.next().await["method"], "initialized");
    }

    /// Tells what its own configuration has; asked before a thread is opened.
    pub(crate) async fn configured(&mut self) {
        let config = json!({"mcp_servers": {"foreign": {"url": "http://127.0.0.1:9"}}});
        self.answer("config/read", json!({ "config": config })).await;
    }

    pub(crate) async fn open(&mut self) -> Value {
        self.configured().await;
        self.answer("thread/start", json!({"thread": {"id": THREAD}})).await
    }

    pub(crate) async fn resume(&mut self, status: &str) -> Value {
        self.configured().await;
        self.answer("thread/resume", json!({"thread": {"id": THREAD, "status": {"type": status}}})).await
    }

    /// Takes a turn, and lets it begin.
    pub(crate) async fn begin(&mut self) -> Value {
        let asked = self.answer("turn/start", json!({"turn": {"id": TURN, "status": "inProgress"}})).await;
        self.tell("turn/started", json!({"turn": {"id": TURN}})).await;
        asked
    }

    pub(crate) async fn say(&mut self, id: &str, text: &str) {
        self.tell("item/completed", json!({"item": {"type": "agentMessage", "id": id, "text": text}})).await;
    }

    /// A model call ended, with which the thread has used so many tokens.
    pub(crate) async fn spend(&mut self, tokens: u64) {
        let total = json!({"inputTokens": tokens, "cachedInputTokens": 0, "outputTokens": 0});
        let usage = json!({"total": total, "last": total});
        self.tell("thread/tokenUsage/updated", json!({ "tokenUsage": usage })).await;
    }

    pub(crate) async fn complete(&mut self, status: &str, text: Option<&str>) {
        self.tell("turn/completed", json!({ "turn": turn(status, text) })).await;
    }
}

/// The turn as a server tells of it.
pub(crate) fn turn(status: &str, text: Option<&str>) -> Value {
    let items: Vec<Value> =
        text.into_iter().map(|text| json!({"type": "agentMessage", "id": "m", "text": text})).collect();
    json!({"id": TURN, "status": status, "error": null, "items": items})
}
