//! The stage on which Codex plays: one server for all seats, and one fake model, which tells its agents
//! apart by their prompts.

use crate::stages::{self, Folders};
use party_harness::{
    Capabilities, Harness, RuntimeSpec, async_trait,
    codex::Codex,
    conformance::{Act, Cast, Heard, Part, Stage},
    core::{SeatId, Usd},
    prices::{Price, Prices, Rates},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, sync::OnceLock, time::Duration};
use test_support::{Block, FakeModel, Gate, ModelTurn, Scenario, codex_binary};

/// What stands in each request of a seat's agent.
fn mark(seat: SeatId) -> String {
    format!("of seat {seat};")
}

pub(crate) struct CodexStage {
    folders: Folders,
    model: OnceLock<FakeModel>,
    /// Where agents wait that await a message in mid-turn.
    steered: Gate,
}

impl CodexStage {
    pub(crate) fn new() -> Self {
        Self { folders: Folders::new(), model: OnceLock::new(), steered: Gate::new() }
    }

    fn env(&self, seat: SeatId) -> BTreeMap<String, String> {
        let home = self.folders.of(seat, "home").display().to_string();
        [
            ("HOME", home.as_str()),
            ("PATH", "/usr/bin:/bin"),
            ("LANG", "C.UTF-8"),
            ("OPENAI_API_KEY", "sk-fake"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

#[async_trait]
impl Stage for CodexStage {
    fn capabilities(&self) -> Capabilities {
        Codex::new(codex_binary()).info().capabilities
    }

    async fn harness(&self, cast: Cast) -> Option<Arc<dyn Harness>> {
        let mut scenario = Scenario::new();
        for (seat, parts) in cast {
            scenario.turns.extend(scenes(seat, &parts, &self.steered)?);
        }
        let model = FakeModel::start(scenario).await;
        let provider = json!({"name": "fake", "base_url": format!("{}/v1", model.base_url()),
            "wire_api": "responses", "env_key": "OPENAI_API_KEY", "request_max_retries": 0,
            "stream_max_retries": 0});
        self.model.set(model).ok()?;
        let harness = Codex::new(codex_binary())
            .env(self.env(SeatId(0)))
            .config("model_provider", "fake")
            .config("model_providers.fake", provider)
            .prices(prices())
            .stop_patience(Duration::from_secs(3));
        Some(Arc::new(harness))
    }

    fn spec(&self, seat: SeatId) -> RuntimeSpec {
        let spec = self.folders.spec(seat, self.env(seat));
        RuntimeSpec { model: Some("fake-1".to_owned()), ..spec }
    }

    fn heard(&self, seat: SeatId) -> Option<Vec<Heard>> {
        let requests = self.model.get().map(FakeModel::model_requests).unwrap_or_default();
        let of_seat = requests.iter().filter(|request| request["body"].to_string().contains(&mark(seat)));
        Some(of_seat.map(|request| heard(&request["body"])).collect())
    }

    /// The server is no seat's.
    fn alive(&self, seat: SeatId) -> Option<usize> {
        let folder = self.folders.of(seat, "own");
        Some(stages::alive("PARTY_CODEX_SEAT", &folder.display().to_string()))
    }

    fn steered(&self, _seat: SeatId) {
        self.steered.open();
    }

    fn own_tool(&self) -> Option<(String, Value)> {
        let cwd = self.folders.of(SeatId(1), "work");
        Some(("shell".to_owned(), json!({"command": "/bin/bash -lc 'echo used'", "cwd": cwd})))
    }

    /// On a machine that may have a lot to do.
    fn patience(&self) -> Duration {
        Duration::from_secs(120)
    }
}

/// A token that is written costs 10 micro-dollars, one that is read nothing.
fn prices() -> Prices {
    let output = Usd::from_micros(10_000_000);
    Prices::none().with("fake-1", Price::new(Rates::new(Usd::ZERO, output)))
}

/// Later cues come first, because a conversation holds the earlier ones too.
fn scenes(seat: SeatId, parts: &[Part], steered: &Gate) -> Option<Vec<ModelTurn>> {
    let order: Vec<&Part> = if parts.iter().any(|part| part.cue.is_empty()) {
        parts.iter().collect()
    } else {
        parts.iter().rev().collect()
    };
    let mut scenes = Vec::new();
    for part in order {
        for turn in model_turns(&part.acts, steered)? {
            let turn = turn.when(mark(seat));
            scenes.push(if part.cue.is_empty() { turn } else { turn.when(&part.cue) });
        }
    }
    Some(scenes)
}

/// The model's calls of a turn: one ends where a tool is called.
fn model_turns(acts: &[Act], steered: &Gate) -> Option<Vec<ModelTurn>> {
    let (mut turns, mut turn) = (Vec::new(), ModelTurn::empty());
    for act in acts {
        turn = match act {
            Act::Think(text) => turn.block(Block::thinking(text)),
            Act::Spend(usd) => turn.with(|turn| {
                turn.usage.insert("output_tokens".to_owned(), json!(usd.as_micros() / 10));
            }),
            Act::Call { .. } | Act::Own => {
                let call = match act {
                    Act::Call { tool, arguments } => {
                        Block::tool_use(format!("party.{tool}"), arguments.clone())
                    }
                    _ => Block::tool_use("exec_command", json!({"cmd": "echo used"})),
                };
                turns.push(turn.block(call));
                ModelTurn::empty()
            }
            // What it says meanwhile is cut off by the message, or comes after it.
            Act::AwaitSteer => {
                turns.push(turn.block(Block::text("Let me think.")).gate(steered).unless("And hurry."));
                ModelTurn::empty()
            }
            Act::Say(text) => return Some([turns, vec![turn.block(Block::text(text))]].concat()),
            Act::Fail => {
                turns.push(ModelTurn::error(400, "invalid_request_error", "the part says so").repeat());
                return Some(turns);
            }
            Act::Hang => return Some([turns, vec![turn.hang().repeat()]].concat()),
            _ => return None,
        };
    }
    Some([turns, vec![turn]].concat())
}

fn heard(body: &Value) -> Heard {
    let items = || body["input"].as_array().into_iter().flatten();
    let by = |role: &'static str| items().filter(move |item| item["role"] == role);
    let system = by("developer").flat_map(|item| texts(&item["content"]));
    let system = system.chain(body["instructions"].as_str().map(str::to_owned));
    let said = items().filter_map(|item| match item["type"].as_str() {
        Some("function_call_output") => Some(texts(&item["output"]).concat()),
        Some("message") if item["role"] == "user" => Some(texts(&item["content"]).concat()),
        _ => None,
    });
    Heard {
        system: system.collect::<Vec<_>>().join("\n"),
        model: body["model"].as_str().map(str::to_owned),
        said: said.filter(|text| !text.starts_with("<environment_context>")).collect(),
        tools: body["tools"].as_array().into_iter().flatten().flat_map(names).collect(),
    }
}

fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        parts => {
            let parts = parts.as_array().into_iter().flatten();
            parts.filter_map(|part| part["text"].as_str().map(str::to_owned)).collect()
        }
    }
}

fn names(tool: &Value) -> Vec<String> {
    match tool["tools"].as_array() {
        Some(tools) => tools.iter().flat_map(names).collect(),
        None => tool["name"].as_str().map(str::to_owned).into_iter().collect(),
    }
}
