//! A seat whose model can be told apart from those of others.

use futures::StreamExt as _;
use party_harness::{
    FullView, Harness, Result, ResumeToken, RuntimeSession, RuntimeSpec, ToolCall, ToolChoice, ToolPort,
    ToolReply, ToolSpec, Turn, TurnEnd, TurnEvent, TurnKey, TurnRequest, async_trait,
    core::{Framing, ModelMessage, Offset, SeatId, SessionId, TurnId},
};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use test_support::{Block, ModelTurn};

/// What nothing here may take.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// The host's end of one agent.
#[derive(Debug)]
pub(crate) struct Seat {
    session: SessionId,
    pub(crate) marker: String,
    folder: tempfile::TempDir,
    pub(crate) calls: Mutex<Vec<ToolCall>>,
}

#[async_trait]
impl ToolPort for Seat {
    async fn call(&self, call: ToolCall) -> ToolReply {
        self.calls.lock().unwrap().push(call);
        ToolReply::text("it is on the bus")
    }
}

#[derive(Debug)]
struct Whole(String);

#[async_trait]
impl FullView for Whole {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        Ok(vec![message(&self.0)])
    }
}

fn message(text: &str) -> ModelMessage {
    let mut message = Framing::new(text).into_message();
    message.injected = 0;
    message
}

impl Seat {
    pub(crate) fn new() -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let session = SessionId::derive(&[folder.path().as_os_str().as_encoded_bytes()]);
        let marker = format!("the agent of {session}");
        Arc::new(Self { session, marker, folder, calls: Mutex::default() })
    }

    pub(crate) fn keys(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn open(
        self: &Arc<Self>,
        harness: &impl Harness,
        resume: Option<ResumeToken>,
    ) -> Arc<dyn RuntimeSession> {
        let spec = RuntimeSpec {
            session: self.session,
            seat: SeatId(0),
            agent: "Ann".to_owned(),
            system_prompt: format!("You are {}.", self.marker),
            model: None,
            cwd: self.folder.path().to_owned(),
            folder: self.folder.path().to_owned(),
            env: Default::default(),
            resume,
        };
        let port = Arc::clone(self) as Arc<dyn ToolPort>;
        within(harness.open(spec, port)).await.expect("it opens")
    }

    /// A turn with these tools of the host and of the agent's own.
    pub(crate) fn request(&self, turn: u64, text: &str, tools: &[&str], own: &[&str]) -> TurnRequest {
        let turn = TurnId(Offset(turn));
        let spec = |name: &&str| ToolSpec::new(*name, "A tool.", json!({"type": "object"}));
        TurnRequest {
            key: TurnKey { session: self.session, turn, attempt: 1 },
            delta: vec![message(text)],
            full: Arc::new(Whole(text.to_owned())),
            continuation: None,
            tools: tools.iter().map(spec).collect(),
            tool_choice: ToolChoice::Auto,
            completion: Default::default(),
            most_steps: None,
            mcp: None,
            own_tools: own.iter().map(|name| (*name).to_owned()).collect(),
            ask: false,
            limit: None,
            alongside: vec![turn],
        }
    }

    /// What the model says to this seat where this stands in the conversation.
    pub(crate) fn turn(&self, cue: &str, turn: ModelTurn) -> ModelTurn {
        turn.when(&self.marker).when(cue)
    }

    pub(crate) fn calls(&self, cue: &str, tool: &str, arguments: Value) -> ModelTurn {
        self.turn(cue, ModelTurn::empty().block(Block::tool_use(tool, arguments)))
    }
}

/// Reads until the first event that is so.
pub(crate) async fn until(turn: &mut Turn, found: impl Fn(&TurnEvent) -> bool) {
    within(async {
        loop {
            let event = turn.events.next().await.expect("the turn has not ended");
            assert!(!matches!(event, TurnEvent::Ended(_)), "it ended: {event:?}");
            if found(&event) {
                return;
            }
        }
    })
    .await;
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

pub(crate) async fn run(session: &Arc<dyn RuntimeSession>, request: TurnRequest) -> TurnEnd {
    read(within(session.turn(request)).await.expect("a turn starts")).await.1
}

/// The names of the tools that a request to the model offers.
pub(crate) fn offered(body: &Value) -> Vec<String> {
    let tools = body["tools"].as_array().into_iter().flatten();
    let mut names: Vec<String> =
        tools.map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}
