//! The peer of a tool call: an axum handler that checks a secret, reads the call, commits the records
//! that a call leaves, and answers. It knows nothing of turns, engines or MCP beyond this one request.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::post,
};
use party_bus::{Batch, Bus, LeaseOp, Owner, SqliteBus};
use party_core::{
    Author, BatchId, Delivered, How, Item, ItemId, NewRecord, Offset, Op, SeatId, SessionId, ThreadId,
    ThreadKind, Timestamp, ToolAnswered, ToolCalled, TurnId,
};
use serde_json::{Value, json};
use std::{
    future::IntoFuture as _,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, sync::Mutex, task::JoinHandle};

/// A server on loopback, and its task.
#[derive(Debug)]
pub struct Bare {
    /// Where it listens.
    pub url: String,
    /// What it asks for.
    pub secret: String,
    task: JoinHandle<()>,
}

struct Session {
    bus: Arc<SqliteBus>,
    secret: String,
    session: SessionId,
    threads: [ThreadId; 2],
    token: u64,
    head: Mutex<Offset>,
}

impl Bare {
    /// Opens a session on `bus`, and listens.
    pub async fn start(bus: Arc<SqliteBus>) -> party_bus::Result<Self> {
        let session = SessionId::derive(&[b"bare"]);
        let threads = [ThreadId::derive(&[b"feed"]), ThreadId::derive(&[b"mary"])];
        let term = Duration::from_secs(3_600);
        let lease = bus.lease(LeaseOp::Acquire { session, owner: Owner::this_process(), term }).await?;
        let token = lease.expect("nobody else has it").fencing_token;
        let secret = "7".repeat(64);
        let held =
            Session { bus, secret: secret.clone(), session, threads, token, head: Mutex::new(Offset::START) };
        held.open().await?;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback takes listeners");
        let url = format!("http://{}/mcp", listener.local_addr().expect("it is bound"));
        let router = Router::new().route("/mcp", post(call)).with_state(Arc::new(held));
        let serving = axum::serve(listener, router).into_future();
        let task = tokio::spawn(async move { serving.await.expect("a listener accepts") });
        Ok(Self { url, secret, task })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn call(
    State(session): State<Arc<Session>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    let secret = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if secret != Some(&session.secret) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let params = &request["params"];
    let id = params["_meta"]["claudecode/toolUseId"].as_str().ok_or(StatusCode::BAD_REQUEST)?;
    let said = session.share(id, &params["arguments"]).await.ok_or(StatusCode::BAD_REQUEST)?;
    let content = json!([{ "type": "text", "text": said }]);
    let result = json!({ "content": content, "isError": false });
    Ok(Json(json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })))
}

impl Session {
    async fn open(&self) -> party_bus::Result<()> {
        let [feed, private] = self.threads;
        let event = Delivered { item: ItemId::derive(&[]), by: None, turn: None };
        let record = NewRecord::new(now(), &event.into())
            .with_op(Op::Open { thread: feed, kind: ThreadKind::Feed })
            .with_op(Op::Open { thread: private, kind: ThreadKind::Private });
        self.commit(&mut *self.head.lock().await, vec![record]).await
    }

    /// The three records that a share leaves.
    async fn share(&self, id: &str, arguments: &Value) -> Option<String> {
        let text = arguments["text"].as_str()?;
        let turn = TurnId(Offset(1));
        let mut head = self.head.lock().await;
        let item = ItemId::derive(&[self.session.as_bytes(), &head.0.to_be_bytes()]);
        let said = format!("shared as {item}");
        let call = id.to_owned();
        let called = ToolCalled {
            turn,
            attempt: 1,
            call: call.clone(),
            tool: "share".into(),
            arguments: arguments.clone(),
        };
        let (text, answer) = (Item::message(item, Author::agent("Mary"), now(), text), said.clone());
        let answered =
            ToolAnswered { turn, attempt: 1, call, text: answer, is_error: false, repeated: false };
        let delivered = Delivered { item, by: Some(SeatId(0)), turn: Some(turn) };
        let [feed, private] = self.threads;
        let delivered = NewRecord::new(now(), &delivered.into())
            .with_item(text)
            .with_op(Op::Add { threads: vec![private], item, how: How::Said })
            .with_op(Op::Add { threads: vec![feed], item, how: How::Delivered { from: Some(private) } });
        let records =
            vec![NewRecord::new(now(), &called.into()), NewRecord::new(now(), &answered.into()), delivered];
        let records = records.into_iter().map(|record| record.in_turn(turn)).collect();
        self.commit(&mut head, records).await.ok()?;
        Some(said)
    }

    async fn commit(&self, head: &mut Offset, records: Vec<NewRecord>) -> party_bus::Result<()> {
        let count = records.len() as u64;
        let id = BatchId::derive(&[self.session.as_bytes(), &head.0.to_be_bytes()]);
        self.bus.append(Batch::driver(self.session, id, *head, self.token, records)).await?;
        *head = head.plus(count);
        Ok(())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
