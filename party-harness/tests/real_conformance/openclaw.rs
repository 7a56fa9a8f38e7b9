//! The stage on which OpenClaw plays: all agents are sessions of one gateway, whose model tells them apart
//! by a word in their system prompts.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use crate::{
    openclaw_gateway::{Shared, alone, shared},
    stages::Folders,
};
use party_harness::{
    Capabilities, Harness, RuntimeSpec, async_trait,
    conformance::{Act, Cast, Heard, Part, Stage},
    core::{SeatId, SessionId},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use test_support::{Block, ModelTurn, Scenario};
use tokio::sync::MutexGuard;

pub(crate) struct OpenClawStage {
    folders: Folders,
    gateway: &'static Shared,
    session: SessionId,
    /// Each case brings a node of its own.
    _alone: MutexGuard<'static, ()>,
}

impl OpenClawStage {
    pub(crate) async fn new() -> Self {
        let folders = Folders::new();
        let session = SessionId::derive(&[folders.of(SeatId(0), "own").as_os_str().as_encoded_bytes()]);
        Self { folders, gateway: shared().await, session, _alone: alone().await }
    }

    fn marker(&self, seat: SeatId) -> String {
        format!("agent {} of {}", seat, self.session)
    }

    fn make(&self) -> party_harness::openclaw::OpenClaw {
        self.gateway.harness(&self.folders.of(SeatId(0), "keys")).reports_cost()
    }
}

#[async_trait]
impl Stage for OpenClawStage {
    fn capabilities(&self) -> Capabilities {
        self.make().info().capabilities
    }

    async fn harness(&self, cast: Cast) -> Option<Arc<dyn Harness>> {
        let harness = self.make();
        let prefix = harness.tool_prefix().unwrap();
        for (seat, parts) in cast {
            self.gateway.model.extend(scenario(&parts, &self.marker(seat), &prefix)?);
        }
        Some(Arc::new(harness))
    }

    fn spec(&self, seat: SeatId) -> RuntimeSpec {
        let mut spec = self.folders.spec(seat, Default::default());
        (spec.session, spec.model) = (self.session, Some("fake/m2".to_owned()));
        spec.system_prompt.push_str(&format!("\nYou are {}.", self.marker(seat)));
        spec
    }

    fn heard(&self, seat: SeatId) -> Option<Vec<Heard>> {
        let prefix = self.make().tool_prefix().unwrap();
        Some(self.gateway.asked(&self.marker(seat)).iter().map(|body| heard(body, &prefix)).collect())
    }

    fn own_tool(&self) -> Option<(String, Value)> {
        Some(("exec".to_owned(), json!({"command": "echo used"})))
    }

    /// The first turns of a gateway take seconds, and all cases share one.
    fn patience(&self) -> Duration {
        Duration::from_secs(180)
    }
}

/// Later cues come first, because a conversation holds the earlier ones too.
fn scenario(parts: &[Part], marker: &str, prefix: &str) -> Option<Scenario> {
    let mut scenario = Scenario::new();
    let order: Vec<&Part> = if parts.iter().any(|part| part.cue.is_empty()) {
        parts.iter().collect()
    } else {
        parts.iter().rev().collect()
    };
    for part in order {
        for turn in model_turns(&part.acts, prefix)? {
            let turn = turn.when(marker);
            scenario = scenario.turn(if part.cue.is_empty() { turn } else { turn.when(&part.cue) });
        }
    }
    Some(scenario)
}

/// The model's calls of a turn: one ends where a tool is called.
fn model_turns(acts: &[Act], prefix: &str) -> Option<Vec<ModelTurn>> {
    let (mut turns, mut turn) = (Vec::new(), ModelTurn::empty());
    for act in acts {
        turn = match act {
            Act::Think(text) => turn.block(Block::thinking(text)),
            Act::Spend(usd) => turn.with(|turn| {
                turn.usage.insert("output_tokens".to_owned(), json!(usd.as_micros() / 10));
            }),
            Act::Call { tool, arguments } => {
                turns.push(turn.block(Block::tool_use(format!("{prefix}{tool}"), arguments.clone())));
                ModelTurn::empty()
            }
            Act::Own => {
                turns.push(turn.block(Block::tool_use("exec", json!({"command": "echo used"}))));
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
    Some([turns, vec![turn.repeat()]].concat())
}

fn heard(body: &Value, prefix: &str) -> Heard {
    let messages = || body["messages"].as_array().into_iter().flatten();
    let said = messages().filter(|message| message["role"] == "user" || message["role"] == "tool");
    let offered = body["tools"].as_array().into_iter().flatten();
    let offered = offered.filter_map(|tool| tool["function"]["name"].as_str());
    Heard {
        system: messages()
            .filter(|message| message["role"] == "system")
            .flat_map(|message| texts(&message["content"]))
            .collect(),
        model: body["model"].as_str().map(|model| format!("fake/{model}")),
        said: said
            .flat_map(|message| texts(&message["content"]))
            .filter_map(|text| without_frame(&text))
            .collect(),
        tools: offered.map(|name| name.strip_prefix(prefix).unwrap_or(name).to_owned()).collect(),
    }
}

fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        blocks => {
            let blocks = blocks.as_array().into_iter().flatten();
            blocks.filter_map(|block| block["text"].as_str().map(str::to_owned)).collect()
        }
    }
}

/// What the gateway puts around a message: the time before it, and where it runs behind the first.
fn without_frame(text: &str) -> Option<String> {
    if text.starts_with("<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>") {
        return None;
    }
    let text = text.split_once("\n\nRuntime: agent=").map_or(text, |(text, _)| text);
    let is_time = |time: &str| time.ends_with(" UTC") && time.len() < 30;
    let framed =
        text.strip_prefix('[').and_then(|rest| rest.split_once("] ")).filter(|(time, _)| is_time(time));
    Some(framed.map_or(text, |(_, text)| text).to_owned())
}
