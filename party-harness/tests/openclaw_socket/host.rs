//! The host of these tests: one seat, its turns, and a tool.

use crate::gateway::FakeGateway;
use futures::StreamExt as _;
use party_harness::{
    FullView, Harness as _, Result, RuntimeSession, RuntimeSpec, ToolCall, ToolChoice, ToolPort, ToolReply,
    ToolSpec, Turn, TurnEnd, TurnEvent, TurnKey, TurnRequest, async_trait,
    core::{Framing, ModelMessage, Offset, SeatId, SessionId, TurnId},
    openclaw::OpenClaw,
};
use serde_json::json;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What nothing here may take, on a machine that has a lot to do.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// A harness that waits for nothing for long.
pub(crate) fn harness(gateway: &FakeGateway) -> OpenClaw {
    let second = Duration::from_secs(1);
    OpenClaw::attach(&gateway.url, "tok-secret")
        .unwrap()
        .connect_patience(5 * second)
        .reconnect_patience(3 * second)
        .answer_patience(2 * second)
        .silence_patience(2 * second)
        .stop_patience(2 * second)
}

#[derive(Debug, Default)]
pub(crate) struct Port(pub(crate) Mutex<Vec<ToolCall>>);

#[async_trait]
impl ToolPort for Port {
    async fn call(&self, call: ToolCall) -> ToolReply {
        self.0.lock().unwrap().push(call);
        ToolReply::text("it looks fine")
    }
}

/// A host whose tools never come to an end.
#[derive(Debug)]
pub(crate) struct Stuck;

#[async_trait]
impl ToolPort for Stuck {
    async fn call(&self, _: ToolCall) -> ToolReply {
        std::future::pending().await
    }
}

#[derive(Debug)]
struct Whole;

#[async_trait]
impl FullView for Whole {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        Ok(vec![message("the whole")])
    }
}

fn message(text: &str) -> ModelMessage {
    Framing::new(text).into_message()
}

fn session_id() -> SessionId {
    SessionId::derive(&[b"openclaw socket"])
}

pub(crate) fn spec() -> RuntimeSpec {
    let folder = PathBuf::from("/");
    RuntimeSpec {
        session: session_id(),
        seat: SeatId(1),
        agent: "Ann".to_owned(),
        system_prompt: "You are Ann.".to_owned(),
        model: Some("fake/m2".to_owned()),
        cwd: folder.clone(),
        folder,
        env: Default::default(),
        resume: None,
    }
}

pub(crate) fn request(turn: u64) -> TurnRequest {
    let turn = TurnId(Offset(turn));
    TurnRequest {
        key: TurnKey { session: session_id(), turn, attempt: 1 },
        delta: vec![message("the news")],
        full: Arc::new(Whole),
        continuation: None,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        completion: Default::default(),
        most_steps: None,
        mcp: None,
        own_tools: Vec::new(),
        ask: false,
        limit: None,
        alongside: vec![turn],
    }
}

pub(crate) fn with_look(mut request: TurnRequest) -> TurnRequest {
    request.tools = vec![ToolSpec::new("look", "Looks.", json!({"type": "object"}))];
    request
}

pub(crate) async fn open(harness: &OpenClaw, port: &Arc<Port>) -> Arc<dyn RuntimeSession> {
    let port = Arc::clone(port) as Arc<dyn ToolPort>;
    within(harness.open(spec(), port)).await.expect("it opens")
}

/// A turn's events to its one end.
pub(crate) async fn read(mut turn: Turn) -> (Vec<TurnEvent>, TurnEnd) {
    let mut events = Vec::new();
    within(async {
        while let Some(event) = turn.events.next().await {
            events.push(event);
        }
    })
    .await;
    let ends = events.iter().filter(|event| matches!(event, TurnEvent::Ended(_))).count();
    assert_eq!(ends, 1, "{events:?}");
    match events.pop() {
        Some(TurnEvent::Ended(end)) => (events, end),
        other => panic!("the last event is no end: {other:?}"),
    }
}

/// Opens a session and runs one turn in it.
pub(crate) async fn one_turn(gateway: &FakeGateway) -> (Vec<TurnEvent>, TurnEnd) {
    let harness = harness(gateway);
    let session = open(&harness, &Arc::default()).await;
    let turn = within(session.turn(request(1))).await.expect("a turn starts");
    read(turn).await
}

pub(crate) fn texts(events: &[TurnEvent]) -> String {
    let text = |event: &TurnEvent| match event {
        TurnEvent::Text { text } => Some(text.to_string()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}
