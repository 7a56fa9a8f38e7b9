//! Model APIs without a runtime between: Anthropic's Messages, Gemini's `generateContent`, and OpenAI's
//! responses and chat completions, which servers on one's own machine, such as Ollama, speak too.
//!
//! ```
//! use party_harness::model::ModelApi;
//!
//! let claude = ModelApi::anthropic();                      // the key is in ANTHROPIC_API_KEY
//! let gpt = ModelApi::openai().model("gpt-6-sol");         // for seats that name no model
//! let local = ModelApi::ollama().model("qwen3:8b");        // on this machine, free, no key
//! let other = ModelApi::openai_compatible("https://llm.example.com/v1").key_from("EXAMPLE_KEY");
//! ```
//!
//! ```text
//! TurnRequest ── talk ──> conversation ── wire ──> body ── http ──> bytes ── sse ──> wire ──> TurnEvents
//!                               ▲                    (retry, hints)                     │
//!                               └──────────── answers <── ToolPort <── calls ───────────┘
//! ```
//!
//! A step is one model call, with what its answer calls at once; a turn is as many steps as its
//! [`Completion`](crate::Completion) and step limits say. Each step offers exactly the turn's tools, and
//! is made to call one where the turn's [`ToolChoice`](crate::ToolChoice) says so. A call whose arguments
//! are no JSON object, or of a tool that is not listed, is answered by an error that the model can mend.
//!
//! Some models refuse to be made to call a tool, and OpenAI's newest to reason beside tools over chat
//! completions;
//! a session that finds that out asks for less from then on, and says so by a
//! [`Waiting`](crate::TurnEvent::Waiting).
//!
//! A session remembers nothing, and there is nothing to resume: the host's log is the memory, and each
//! turn is told the whole view. So a session survives whatever the log survives.
//!
//! What a turn used is the provider's count; where an answer was cut off before it was counted, the
//! bytes tell about. What it cost comes of that and of [`Prices`], and is
//! unknown for a model without a price. A turn's limit is looked at between its steps.
//!
//! The wires are this module's own, on top of reqwest. Read in their source, the client libraries that
//! speak all three do not keep what is promised here: genai 0.7.2 makes room for as many calls as a
//! number in the stream says (`openai/streamer.rs`, `calls.resize(index + 1, …)`), reads lines and
//! refusals without a limit (`webc/web_stream.rs`), ends a turn over a delta that it does not know
//! (`anthropic/streamer.rs`, `"/delta/text"`), takes a cut stream of Gemini for a whole one
//! (`gemini/streamer.rs`), and tells usage only at a stream's end. It and rig-core 0.44, which needs a
//! newer compiler, also turn on serde_json's `preserve_order` for all of a program; async-openai 0.43
//! speaks one of the three.

mod bill;
mod endpoint;
mod fault;
mod hints;
mod http;
mod retry;
mod run;
mod session;
mod sse;
mod step;
mod talk;
mod wire;

pub use retry::Retry;

use crate::{
    Capabilities, Close, CostSource, Environment, Harness, HarnessInfo, Pricing, Probe, Result,
    RuntimeSession, RuntimeSpec, ToolDoor, ToolForce, ToolPort, prices::Prices,
};
use async_trait::async_trait;
use endpoint::Key;
use http::{Http, Limits};
use session::{Inner, ModelSession};
use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use wire::Wire;

/// How a model API is asked, whatever the session.
#[derive(Debug, Clone)]
struct Setup {
    wire: Wire,
    endpoint: String,
    allows_plain: bool,
    key: Key,
    model: Option<String>,
    prices: Arc<Prices>,
    retry: Retry,
    limits: Limits,
    most_steps: u32,
    most_output: Option<u32>,
    names_completion: bool,
    temperature: Option<f32>,
}

/// A model API as a harness.
#[derive(Debug)]
pub struct ModelApi {
    info: HarnessInfo,
    env: Environment,
    setup: Setup,
    /// Made when it is first needed, and shared by all sessions.
    http: Mutex<Option<Http>>,
    open: Mutex<Vec<Weak<Inner>>>,
}

impl ModelApi {
    /// Anthropic's Messages, as harness `anthropic`; the key is in `ANTHROPIC_API_KEY`.
    pub fn anthropic() -> Self {
        Self::new("anthropic", Wire::Anthropic, "https://api.anthropic.com").key_from("ANTHROPIC_API_KEY")
    }

    /// OpenAI's chat completions, as harness `openai`; the key is in `OPENAI_API_KEY`.
    pub fn openai() -> Self {
        let mut api = Self::new("openai", Wire::OpenAi, "https://api.openai.com/v1");
        api.setup.names_completion = true;
        api.key_from("OPENAI_API_KEY")
    }

    /// OpenAI's responses, as harness `openai`; the key is in `OPENAI_API_KEY`. By this API its models
    /// reason in the midst of calling tools, which the newest do not by [chat completions](Self::openai).
    pub fn openai_responses() -> Self {
        let address = "https://api.openai.com/v1";
        Self::new("openai", Wire::Responses, address).key_from("OPENAI_API_KEY")
    }

    /// Gemini's `generateContent`, as harness `gemini`; the key is in `GEMINI_API_KEY`.
    pub fn gemini() -> Self {
        let address = "https://generativelanguage.googleapis.com";
        Self::new("gemini", Wire::Gemini, address).key_from("GEMINI_API_KEY")
    }

    /// A server of another make that speaks OpenAI's chat completions below `address`, as harness
    /// `model`; without a key and without prices until they are given.
    pub fn openai_compatible(address: impl Into<String>) -> Self {
        Self::new("model", Wire::OpenAi, address).prices(Prices::none())
    }

    /// Ollama on this machine, as harness `ollama`: without a key, and free. It leaves it to the model
    /// whether a tool is called, so a call that is needed is asked for again.
    pub fn ollama() -> Self {
        let mut api = Self::new("ollama", Wire::OpenAi, "http://127.0.0.1:11434/v1").prices(Prices::free());
        api.info.capabilities.tool_choice = ToolForce::Told;
        api
    }

    fn new(name: &str, wire: Wire, endpoint: impl Into<String>) -> Self {
        let capabilities = Capabilities {
            tools: ToolDoor::InProcess,
            tool_choice: ToolForce::Forced,
            steps: true,
            cost: CostSource::Estimated,
            ..Capabilities::TEXT_ONLY
        };
        let setup = Setup {
            wire,
            endpoint: endpoint.into(),
            allows_plain: false,
            key: Key::None,
            model: None,
            prices: Arc::new(Prices::shipped()),
            retry: Retry::default(),
            limits: Limits::default(),
            most_steps: 100,
            most_output: None,
            names_completion: false,
            temperature: None,
        };
        let info = HarnessInfo::new(name, capabilities);
        let env = Environment::default();
        Self { info, env, setup, http: Mutex::default(), open: Mutex::default() }.priced()
    }

    /// Another address for the same API, such as a gateway's. What the API adds to it stands behind it.
    /// One that is no address, or plain http to another machine, is an error when it is first used.
    #[must_use]
    pub fn at(mut self, address: impl Into<String>) -> Self {
        self.setup.endpoint = address.into();
        self
    }

    /// Lets the key and all that is said go over plain http to another machine, where others may read
    /// it: for a network of one's own.
    #[must_use]
    pub const fn allow_plain_http(mut self) -> Self {
        self.setup.allows_plain = true;
        self
    }

    /// The key itself.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.setup.key = Key::Given(key.into().into());
        self
    }

    /// The variable that holds the key: of the seat's environment, else of this process.
    #[must_use]
    pub fn key_from(mut self, variable: impl Into<String>) -> Self {
        self.setup.key = Key::Variable(variable.into());
        self
    }

    /// Where a probe looks for the key, before this process's own environment; sessions bring their own.
    #[must_use]
    pub fn env(mut self, env: impl Into<Environment>) -> Self {
        self.env = env.into();
        self
    }

    /// The model of seats that name none.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.setup.model = Some(model.into());
        self.priced()
    }

    /// What models cost, in the place of [`Prices::shipped`].
    #[must_use]
    pub fn prices(mut self, prices: Prices) -> Self {
        self.setup.prices = Arc::new(prices);
        self.priced()
    }

    /// When a call that failed is made again.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.setup.retry = retry;
        self
    }

    /// How long a provider may send nothing in the middle of a call; 5 minutes, since some send nothing
    /// while their model reasons.
    #[must_use]
    pub const fn idle_patience(mut self, patience: Duration) -> Self {
        self.setup.limits.idle = patience;
        self
    }

    /// How long one call may take; 30 minutes.
    #[must_use]
    pub const fn call_patience(mut self, patience: Duration) -> Self {
        self.setup.limits.whole = patience;
        self
    }

    /// How many bytes the answer to one call may have; 64 MiB.
    #[must_use]
    pub const fn answer_limit(mut self, bytes: usize) -> Self {
        self.setup.limits.bytes = bytes;
        self
    }

    /// How many steps a turn may take that says nothing of it itself; 100.
    #[must_use]
    pub const fn most_steps(mut self, steps: u32) -> Self {
        self.setup.most_steps = steps;
        self
    }

    /// How many tokens the model may write in a step, its reasoning included; the provider's own limit,
    /// and 16,384 of Anthropic's models, which want one.
    #[must_use]
    pub const fn most_output(mut self, tokens: u32) -> Self {
        self.setup.most_output = Some(tokens);
        self
    }

    /// How much chance there is in what the model writes; the model's own where it is not set.
    #[must_use]
    pub const fn temperature(mut self, temperature: f32) -> Self {
        self.setup.temperature = Some(temperature);
        self
    }

    /// Tells hosts by what costs are worked out.
    fn priced(mut self) -> Self {
        let (prices, model) = (Arc::clone(&self.setup.prices), self.setup.model.clone());
        self.info.pricing = Some(Pricing { prices, model });
        self
    }

    fn http(&self) -> Result<Http> {
        let mut made = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(http) = &*made {
            return Ok(http.clone());
        }
        let endpoint = endpoint::read(&self.setup.endpoint, self.setup.allows_plain)?;
        let http = Http::new(self.setup.wire, endpoint, self.setup.limits)?;
        Ok(made.insert(http).clone())
    }

    fn sessions(&self) -> Vec<Arc<Inner>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|inner| inner.strong_count() > 0);
        open.iter().filter_map(Weak::upgrade).collect()
    }
}

#[async_trait]
impl Harness for ModelApi {
    fn info(&self) -> &HarnessInfo {
        &self.info
    }

    /// Asks for the list of models, with the key.
    async fn probe(&self) -> Result<Probe> {
        let http = self.http()?;
        http.probe(self.setup.key.header(self.setup.wire, &self.env)?).await?;
        Ok(Probe::new(format!("{} at {}", self.setup.wire.name(), http.host())))
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        let setup = self.setup.clone();
        let inner = Arc::new(Inner::new(setup, self.info.capabilities, self.http()?, spec, tools)?);
        self.sessions();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&inner));
        Ok(Arc::new(ModelSession::new(inner)))
    }

    async fn shutdown(&self) -> Result<()> {
        futures::future::join_all(self.sessions().iter().map(|inner| inner.life.end(Close::Now))).await;
        Ok(())
    }
}
