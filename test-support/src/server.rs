//! The fake's HTTP side.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::dialect::{Asked, Dialect};
use crate::log::{Flight, RequestLog};
use crate::playing::{Playing, pause};
use crate::queue::{Picked, Queue};
use crate::wire::{Cutter, Wires};
use crate::{ModelTurn, Scenario};

/// A fake model provider on loopback, which speaks the APIs of Anthropic, OpenAI and Google; dropped, it
/// cuts its connections and stops.
#[derive(Debug)]
pub struct FakeModel {
    base_url: String,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    log: RequestLog,
    ids: AtomicU64,
}

impl FakeModel {
    /// Starts on a free port, in the current Tokio runtime.
    ///
    /// # Panics
    /// If no port of 127.0.0.1 can be had.
    pub async fn start(scenario: Scenario) -> Self {
        Self::serve(TcpListener::bind(("127.0.0.1", 0)).await.expect("a free loopback port"), scenario)
    }

    /// Not in an async function, whose code each test program would compile anew with all of the server.
    fn serve(listener: TcpListener, scenario: Scenario) -> Self {
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(scenario)),
            log: RequestLog::new(),
            ids: AtomicU64::new(0),
        });
        let shutdown = CancellationToken::new();
        let router = Router::new()
            .fallback(handle)
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<Cutter>();
        let wires = Wires::new(listener, shutdown.clone());
        let task = tokio::spawn(async move {
            // Serving ends only with the task.
            let _ = axum::serve(wires, router).await;
        });
        Self { base_url: format!("http://127.0.0.1:{port}"), shared, shutdown, task }
    }

    /// What to put into `ANTHROPIC_BASE_URL`; other APIs are found below it at their usual paths.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// All requests since the start or the last [`FakeModel::set`], in order of arrival.
    ///
    /// Each is `{method, path, headers, body, turn, outcome}`: `turn` (of message requests) is an index into
    /// the scenario, `"side"` or `"default"`; `outcome` is `"open"`, `"sent"`, `"cut"` by the scenario, or
    /// `"aborted"` by the client.
    pub fn requests(&self) -> Vec<Value> {
        self.shared.log.all()
    }

    /// Those [`FakeModel::requests`] that asked the model for a turn: no side calls, no other paths.
    pub fn model_requests(&self) -> Vec<Value> {
        let mut requests = self.requests();
        requests.retain(is_model_request);
        requests
    }

    /// Waits until the model was asked `count` times.
    pub async fn wait_for_model_requests(&self, count: usize) {
        let enough = |all: &[Value]| all.iter().filter(|one| is_model_request(one)).count() >= count;
        self.shared.log.wait(enough).await;
    }

    /// Waits until the requests satisfy a condition, such as an `outcome`.
    pub async fn wait_until(&self, condition: impl Fn(&[Value]) -> bool) {
        self.shared.log.wait(condition).await;
    }

    /// Adds turns behind those of the scenario: for a server that several tests share, whose turns name
    /// a text of their own in `when`.
    pub fn extend(&self, more: Scenario) {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
    }

    /// Replaces the scenario and forgets the requests; replies under way go on as they were.
    pub fn set(&self, scenario: Scenario) {
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        *queue = Queue::new(scenario);
        self.shared.log.clear();
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.task.abort();
    }
}

fn is_model_request(request: &Value) -> bool {
    matches!(&request["turn"], Value::Number(_)) || request["turn"] == "default"
}

impl Shared {
    fn next_id(&self, prefix: &str) -> String {
        format!("{prefix}_fake{:04}", self.ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Picks and records under one lock, so that the log's order is the order of the turns.
    fn take(&self, dialect: Dialect, raw: &str, mut request: Value) -> (ModelTurn, Flight) {
        let has_tools = !dialect.has_side_calls()
            || request["body"]["tools"].as_array().is_some_and(|tools| !tools.is_empty());
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, turn) = match queue.pick(raw, has_tools) {
            Picked::Turn(index, turn) => (json!(index), *turn),
            Picked::Side => (json!("side"), ModelTurn::text(r#"{"title":"side call"}"#)),
            Picked::Default(Some(turn)) => (json!("default"), *turn),
            Picked::Default(None) => (json!("default"), ModelTurn::text("(default reply)")),
        };
        request["turn"] = name;
        (turn, self.log.record(request))
    }
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let raw = String::from_utf8_lossy(&body);
    let request = captured(&method, &uri, &headers, &raw);
    if let Some(asked) = Asked::of(&uri).filter(|_| method == Method::POST) {
        let body = &request["body"];
        let streams = asked.streams.unwrap_or_else(|| body["stream"] == true);
        let model = asked.model.or_else(|| body["model"].as_str().map(str::to_owned));
        let (turn, flight) = shared.take(asked.dialect, &raw, request);
        let question = Question { dialect: asked.dialect, model: model.unwrap_or_default(), streams };
        return reply(&shared, cutter, turn, flight, question).await;
    }
    let mut flight = shared.log.record(request);
    flight.finish("sent");
    match (method.as_str(), uri.path()) {
        ("HEAD", _) => StatusCode::OK.into_response(),
        ("POST", "/v1/messages/count_tokens") => {
            shared.json(StatusCode::OK, &BTreeMap::new(), &json!({"input_tokens": (raw.len() / 4).max(1)}))
        }
        ("GET", path) if path.starts_with("/v1/models") => {
            shared.json(StatusCode::OK, &BTreeMap::new(), &json!({"data": [], "has_more": false}))
        }
        (_, path) => {
            let error = Dialect::Anthropic.error(404, "not_found_error", path);
            shared.json(StatusCode::NOT_FOUND, &BTreeMap::new(), &error)
        }
    }
}

fn captured(method: &Method, uri: &Uri, headers: &HeaderMap, raw: &str) -> Value {
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let body = match raw {
        "" => Value::Null,
        raw => serde_json::from_str(raw).unwrap_or_else(|_| json!({"raw": raw})),
    };
    json!({"method": method.as_str(), "path": uri.to_string(), "headers": headers, "body": body})
}

/// What a request for a turn asks for.
#[derive(Debug)]
struct Question {
    dialect: Dialect,
    model: String,
    streams: bool,
}

async fn reply(
    shared: &Shared,
    cutter: Cutter,
    turn: ModelTurn,
    mut flight: Flight,
    question: Question,
) -> Response {
    let Question { dialect, model, streams } = question;
    if turn.drop {
        flight.finish("cut");
        let never: Infallible = cutter.cut().await;
        match never {}
    }
    pause(turn.delay_ms).await;
    if let (Some(gate), None) = (&turn.gate, turn.gate_at_block) {
        gate.pass().await;
    }
    if let Some(raw) = turn.raw.clone() {
        flight.finish("sent");
        let status = StatusCode::from_u16(turn.status.unwrap_or(200)).unwrap_or(StatusCode::OK);
        let kind = turn.content_type.as_deref().unwrap_or("text/event-stream");
        return shared.respond(status, kind, &turn.headers, Body::from(raw));
    }
    if let Some(status) = turn.status.filter(|status| *status != 200) {
        flight.finish("sent");
        let kind = turn.error_type.as_deref().unwrap_or("api_error");
        let error = dialect.error(status, kind, turn.message.as_deref().unwrap_or("fake error"));
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return shared.json(status, &turn.headers, &error);
    }
    let answer = Answer::new(turn, &model, |prefix| shared.next_id(prefix));
    if streams {
        return shared.event_stream(dialect, answer, flight);
    }
    if answer.turn.hang {
        std::future::pending::<()>().await;
    }
    flight.finish("sent");
    shared.json(StatusCode::OK, &answer.turn.headers, &dialect.message(&answer))
}

impl Shared {
    fn json(&self, status: StatusCode, headers: &BTreeMap<String, String>, body: &Value) -> Response {
        self.respond(status, "application/json", headers, Body::from(body.to_string()))
    }

    fn event_stream(&self, dialect: Dialect, answer: Answer, flight: Flight) -> Response {
        let (headers, kind) = (answer.turn.headers.clone(), answer.turn.content_type.clone());
        let body = Body::from_stream(Playing::new(dialect, answer, flight).into_stream());
        let kind = kind.as_deref().unwrap_or("text/event-stream");
        self.respond(StatusCode::OK, kind, &headers, body)
    }

    fn respond(
        &self,
        status: StatusCode,
        content_type: &str,
        headers: &BTreeMap<String, String>,
        body: Body,
    ) -> Response {
        let mut builder = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, content_type)
            .header("request-id", self.next_id("req"));
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        builder.body(body).expect("the scenario's headers are valid")
    }
}
