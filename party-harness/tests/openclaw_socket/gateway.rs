//! A gateway that follows a script.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// What all connections of a gateway know.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The requests of all connections, in their order.
    requests: Mutex<Vec<Value>>,
    /// The names of its starts; each new connection takes the last.
    boot: Mutex<String>,
    /// What it has written down.
    history: Mutex<Value>,
    count: AtomicUsize,
}

impl Known {
    pub(crate) fn requests(&self, method: &str) -> Vec<Value> {
        let all = lock(&self.requests);
        all.iter().filter(|request| request["method"] == method).map(|one| one["params"].clone()).collect()
    }

    pub(crate) fn restart(&self, boot: &str) {
        *lock(&self.boot) = boot.to_owned();
    }

    pub(crate) fn write_down(&self, messages: Value) {
        *lock(&self.history) = messages;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// A server on loopback. Dropped, it hangs up.
#[derive(Debug)]
pub(crate) struct FakeGateway {
    pub(crate) url: String,
    pub(crate) known: Arc<Known>,
    serving: JoinHandle<()>,
}

impl FakeGateway {
    /// Runs `script` for each connection, one after the other or at once.
    pub(crate) async fn start<F, Fut>(script: F) -> Self
    where
        F: Fn(Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let known = Arc::new(Known::default());
        known.restart("boot-1");
        known.write_down(json!([]));
        let of_all = Arc::clone(&known);
        let serving = tokio::spawn(async move {
            let mut peers = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
                let accepted = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await;
                let Ok(socket) = accepted else { continue };
                let number = of_all.count.fetch_add(1, Ordering::SeqCst);
                let boot = lock(&of_all.boot).clone();
                let known = Arc::clone(&of_all);
                peers.spawn(script(Peer { socket, number, boot, known, run: None, tick: 30_000 }));
            }
        });
        Self { url, known, serving }
    }
}

impl FakeGateway {
    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.known.count.load(Ordering::SeqCst)
    }
}

impl Drop for FakeGateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
    /// Counted from 0 over all connections.
    pub(crate) number: usize,
    boot: String,
    pub(crate) known: Arc<Known>,
    /// The run and session of the last order.
    run: Option<(Value, Value, Value)>,
    /// Milliseconds between two signs of life.
    pub(crate) tick: u64,
}

impl Peer {
    pub(crate) async fn send(&mut self, frame: Value) {
        self.message(Message::text(frame.to_string())).await;
    }

    pub(crate) async fn message(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }

    pub(crate) async fn close(mut self, code: u16, why: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: why.into() };
        let _ = self.socket.close(Some(frame)).await;
    }

    /// The next request, whatever it is.
    pub(crate) async fn raw_request(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(text) => {
                    let request: Value = serde_json::from_str(&text).unwrap();
                    lock(&self.known.requests).push(request.clone());
                    return Some(request);
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    pub(crate) async fn challenge(&mut self) {
        let payload = json!({"nonce": "nonce-1", "ts": 1_795_174_173_524_u64});
        self.send(json!({"type": "event", "event": "connect.challenge", "payload": payload})).await;
    }

    /// The whole greeting; gives what was asked for.
    pub(crate) async fn greet(&mut self) -> Option<Value> {
        self.challenge().await;
        let request = self.raw_request().await?;
        let hello = json!({"type": "hello-ok", "protocol": 4,
            "server": {"version": "2026.9.6", "bootId": self.boot, "connId": "c"},
            "auth": {"scopes": request["params"]["scopes"]}, "policy": {"tickIntervalMs": self.tick}});
        self.answer(&request, hello).await;
        Some(request["params"].clone())
    }

    pub(crate) async fn answer(&mut self, request: &Value, payload: Value) {
        self.send(json!({"type": "res", "id": request["id"], "ok": true, "payload": payload})).await;
    }

    pub(crate) async fn refuse(&mut self, request: &Value, error: Value) {
        self.send(json!({"type": "res", "id": request["id"], "ok": false, "error": error})).await;
    }

    /// The next order of a run, question for one, or abort; all else is answered as by a gateway that
    /// minds nothing.
    pub(crate) async fn request(&mut self) -> Option<Value> {
        loop {
            let request = self.raw_request().await?;
            let params = &request["params"];
            match request["method"].as_str().unwrap() {
                "agent" => {
                    let key = params["idempotencyKey"].clone();
                    self.run = Some((request["id"].clone(), key, params["sessionKey"].clone()));
                    return Some(request);
                }
                "agent.wait" | "chat.abort" => return Some(request),
                "sessions.patch" => self.answer(&request, json!({ "entry": params })).await,
                "chat.history" => {
                    let messages = lock(&self.known.history).clone();
                    self.answer(
                        &request,
                        json!({"messages": messages, "sessionInfo": {"hasActiveRun": false}}),
                    )
                    .await;
                }
                "node.pluginTools.update" => self.answer(&request, json!({"tools": params["tools"]})).await,
                _ => self.answer(&request, json!({"ok": true})).await,
            }
        }
    }

    /// The next order, with its first answer given.
    pub(crate) async fn accept(&mut self) -> Option<Value> {
        loop {
            let request = self.request().await?;
            if request["method"] == "agent" {
                let session = request["params"]["sessionKey"].clone();
                let run = request["params"]["idempotencyKey"].clone();
                let payload = json!({"runId": run, "sessionKey": session, "status": "accepted"});
                self.answer(&request, payload).await;
                return Some(request["params"].clone());
            }
        }
    }

    /// An event of the run.
    pub(crate) async fn tells(&mut self, stream: &str, data: Value) {
        let (_, run, session) = self.run.clone().unwrap();
        let payload = json!({"runId": run, "sessionKey": session, "stream": stream, "data": data});
        self.send(json!({"type": "event", "event": "agent", "payload": payload})).await;
    }

    pub(crate) async fn writes(&mut self, text: &str) {
        self.tells("assistant", json!({"text": text, "itemId": "1"})).await;
    }

    /// The end of the run with an answer.
    pub(crate) async fn says(&mut self, text: &str) {
        self.tells("lifecycle", json!({"phase": "end", "stopReason": "stop"})).await;
        self.concludes(json!({"status": "ok", "summary": "completed",
            "result": {"payloads": [{"text": text}], "meta": {"agentMeta": {"usage": {"output": 3}}}}}))
            .await;
    }

    /// The last answer to the order.
    pub(crate) async fn concludes(&mut self, mut payload: Value) {
        let (id, run, _) = self.run.clone().unwrap();
        payload["runId"] = run;
        self.send(json!({"type": "res", "id": id, "ok": true, "payload": payload})).await;
    }

    /// Serves requests until the other side goes.
    pub(crate) async fn idle(mut self) {
        while self.request().await.is_some() {}
    }
}
