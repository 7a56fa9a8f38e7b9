//! An agent on a model API whose provider is a fake.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use futures::StreamExt as _;
use party_harness::{
    Completion, FullView, Harness as _, Result, RuntimeSession, RuntimeSpec, ToolCall, ToolChoice, ToolPort,
    ToolReply, ToolSpec, TurnEnd, TurnEvent, TurnKey, TurnRequest, async_trait,
    core::{ModelMessage, Offset, SeatId, SessionId, TurnId, Usd},
    model::{ModelApi, Retry},
    prices::{Price, Prices, Rates},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use test_support::{FakeModel, ModelTurn, Scenario};

/// The key of all agents.
pub(crate) const KEY: &str = "sk-a-very-secret-key";

/// A model with a price: a millionth of a dollar for a token read, ten for one written.
pub(crate) const MODEL: &str = "priced";

/// The wires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    Anthropic,
    Gemini,
    OpenAi,
    Responses,
}

pub(crate) const APIS: [Api; 4] = [Api::Anthropic, Api::Gemini, Api::OpenAi, Api::Responses];

impl Api {
    /// One that makes a failed call again at once, and three times.
    pub(crate) fn at(self, url: &str) -> ModelApi {
        let api = match self {
            Self::Anthropic => ModelApi::anthropic().at(url),
            Self::Gemini => ModelApi::gemini().at(url),
            Self::OpenAi => ModelApi::openai().at(format!("{url}/v1")),
            Self::Responses => ModelApi::openai_responses().at(format!("{url}/v1")),
        };
        let dollars = |dollars: u64| Usd::from_micros(dollars * 1_000_000);
        let rates = Rates::new(dollars(1), dollars(10));
        api.key(KEY)
            .prices(Prices::none().with(MODEL, Price::new(rates)))
            .retry(Retry::new(3, Duration::ZERO))
    }

    /// `auto` or `forced`, as a request has it; none where it says nothing.
    pub(crate) fn choice(self, request: &Value) -> Option<&'static str> {
        let body = &request["body"];
        let said = match self {
            Self::Anthropic => &body["tool_choice"]["type"],
            Self::Gemini => &body["toolConfig"]["functionCallingConfig"]["mode"],
            Self::OpenAi | Self::Responses => &body["tool_choice"],
        };
        match said.as_str()?.to_lowercase().as_str() {
            "auto" => Some("auto"),
            "any" | "required" => Some("forced"),
            other => panic!("no choice: {other}"),
        }
    }

    /// What the model is told last.
    pub(crate) fn last(self, request: &Value) -> String {
        let name = match self {
            Self::Gemini => "contents",
            Self::Responses => "input",
            Self::Anthropic | Self::OpenAi => "messages",
        };
        request["body"][name].as_array().unwrap().last().unwrap().to_string()
    }
}

/// An agent, its provider, and its host.
pub(crate) struct Bench {
    pub(crate) api: Api,
    pub(crate) fake: FakeModel,
    pub(crate) harness: ModelApi,
    pub(crate) port: Arc<Port>,
}

impl Bench {
    pub(crate) async fn new(api: Api, turns: impl IntoIterator<Item = ModelTurn>) -> Self {
        Self::with(api, turns, |api| api).await
    }

    pub(crate) async fn with(
        api: Api,
        turns: impl IntoIterator<Item = ModelTurn>,
        change: impl FnOnce(ModelApi) -> ModelApi,
    ) -> Self {
        let scenario = turns.into_iter().fold(Scenario::new().count_side(), Scenario::turn);
        let fake = FakeModel::start(scenario).await;
        let harness = change(api.at(fake.base_url()));
        Self { api, fake, harness, port: Arc::default() }
    }

    pub(crate) async fn open(&self) -> Arc<dyn RuntimeSession> {
        self.open_with(Some(MODEL)).await
    }

    pub(crate) async fn open_with(&self, model: Option<&str>) -> Arc<dyn RuntimeSession> {
        let port = Arc::clone(&self.port) as Arc<dyn ToolPort>;
        self.harness.open(spec(model), port).await.unwrap()
    }

    /// Runs a turn to its end.
    pub(crate) async fn run(&self, request: TurnRequest) -> (Vec<TurnEvent>, TurnEnd) {
        read(&self.open().await, request).await
    }

    pub(crate) async fn end(&self, request: TurnRequest) -> TurnEnd {
        self.run(request).await.1
    }

    /// What the provider was asked, in order.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.fake.model_requests()
    }
}

pub(crate) fn spec(model: Option<&str>) -> RuntimeSpec {
    RuntimeSpec {
        session: SessionId::from_bytes([1; 16]),
        seat: SeatId(0),
        agent: "Mary".to_owned(),
        system_prompt: "You are Mary.".to_owned(),
        model: model.map(str::to_owned),
        cwd: "/".into(),
        folder: "/".into(),
        env: party_harness::Environment::default(),
        resume: None,
    }
}

pub(crate) async fn read(
    session: &Arc<dyn RuntimeSession>,
    request: TurnRequest,
) -> (Vec<TurnEvent>, TurnEnd) {
    let turn = session.turn(request).await.unwrap();
    let events: Vec<TurnEvent> = turn.events.collect().await;
    let ends: Vec<&TurnEvent> = events.iter().filter(|event| matches!(event, TurnEvent::Ended(_))).collect();
    assert_eq!(ends.len(), 1, "one end: {events:?}");
    let Some(TurnEvent::Ended(end)) = events.last().cloned() else { panic!("no end: {events:?}") };
    (events, end)
}

/// A turn that offers these tools.
pub(crate) fn request(tools: &[&str]) -> TurnRequest {
    let turn = TurnId(Offset(1));
    TurnRequest {
        key: TurnKey { session: SessionId::from_bytes([1; 16]), turn, attempt: 1 },
        delta: Vec::new(),
        full: Arc::new(Asked),
        continuation: None,
        tools: tools.iter().map(|name| ToolSpec::new(*name, "A tool.", json!({"type": "object"}))).collect(),
        tool_choice: ToolChoice::Auto,
        completion: Completion::NoToolCall,
        most_steps: None,
        mcp: None,
        own_tools: Vec::new(),
        ask: false,
        limit: None,
        alongside: vec![turn],
    }
}

/// What the agent is asked.
#[derive(Debug)]
struct Asked;

#[async_trait]
impl FullView for Asked {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        let asked = json!([{"role": "user", "content": [{"type": "text", "text": "Should we?"}]}]);
        Ok(serde_json::from_value(asked).unwrap())
    }
}

/// A host whose tools say their name; `broken` fails, and two calls of `both` answer each other.
#[derive(Debug)]
pub(crate) struct Port {
    calls: Mutex<Vec<ToolCall>>,
    both: tokio::sync::Barrier,
}

impl Default for Port {
    fn default() -> Self {
        Self { calls: Mutex::default(), both: tokio::sync::Barrier::new(2) }
    }
}

impl Port {
    /// The names and arguments of all calls.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|call| (call.name.clone(), call.arguments.clone())).collect()
    }
}

#[async_trait]
impl ToolPort for Port {
    async fn call(&self, call: ToolCall) -> ToolReply {
        let (name, n) = (call.name.clone(), call.arguments["n"].clone());
        self.calls.lock().unwrap().push(call);
        if name == "both" {
            self.both.wait().await;
        }
        ToolReply::new(format!("{name} {n} has answered"), name == "broken")
    }
}
