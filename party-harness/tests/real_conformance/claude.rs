//! The stage on which Claude Code plays: each agent has a fake model of its own, which does what the
//! agent's part says.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use crate::{
    mcp::McpServer,
    stages::{self, Folders},
};
use party_harness::{
    Capabilities, Harness, McpEndpoint, RuntimeSpec, ToolDoor, ToolPort, ToolSpec, TurnKey, async_trait,
    claude_code::ClaudeCode,
    conformance::{Act, Cast, Heard, Part, Stage},
    core::SeatId,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use test_support::{Block, ClaudeVersion, FakeModel, Gate, ModelTurn, Scenario, claude_env};

/// What the host's server is called in the names that the model sees.
const PREFIX: &str = "mcp__party__";

/// Makes the adapter that is tested from the binary's path.
type Make = fn(PathBuf) -> ClaudeCode;

pub(crate) struct ClaudeStage {
    version: ClaudeVersion,
    make: Make,
    folders: Folders,
    models: Mutex<BTreeMap<SeatId, FakeModel>>,
    /// Where agents wait that await a message in mid-turn.
    steered: Gate,
    mcp: tokio::sync::OnceCell<McpServer>,
}

impl ClaudeStage {
    pub(crate) fn new(version: ClaudeVersion, make: Make) -> Self {
        let (models, mcp) = (Mutex::default(), tokio::sync::OnceCell::new());
        Self { version, make, folders: Folders::new(), models, steered: Gate::new(), mcp }
    }

    fn env(&self, seat: SeatId) -> BTreeMap<String, String> {
        let models = self.models.lock().unwrap();
        // Nothing listens at that port.
        let url = models.get(&seat).map_or("http://127.0.0.1:9", |model| model.base_url());
        let mut env = claude_env(&self.folders.of(seat, "home"), url);
        env.push(("CLAUDE_CODE_MAX_RETRIES".to_owned(), "1".to_owned()));
        env.into_iter().collect()
    }
}

#[async_trait]
impl Stage for ClaudeStage {
    fn capabilities(&self) -> Capabilities {
        (self.make)(self.version.binary()).info().capabilities
    }

    async fn harness(&self, cast: Cast) -> Option<Arc<dyn Harness>> {
        for (seat, parts) in cast {
            let model = FakeModel::start(scenario(&parts, &self.steered)?).await;
            self.models.lock().unwrap().insert(seat, model);
        }
        let harness = (self.make)(self.version.binary()).stop_patience(Duration::from_secs(3));
        Some(Arc::new(harness.env(self.env(SeatId(0)))))
    }

    fn spec(&self, seat: SeatId) -> RuntimeSpec {
        let spec = self.folders.spec(seat, self.env(seat));
        RuntimeSpec { model: Some("claude-opus-5-5".to_owned()), ..spec }
    }

    async fn serve(
        &self,
        key: TurnKey,
        tools: Vec<ToolSpec>,
        port: Arc<dyn ToolPort>,
    ) -> Option<McpEndpoint> {
        let server = self.mcp.get_or_init(McpServer::start).await;
        Some(server.admit(key, tools, port))
    }

    fn heard(&self, seat: SeatId) -> Option<Vec<Heard>> {
        let models = self.models.lock().unwrap();
        let requests = models.get(&seat).map(FakeModel::model_requests).unwrap_or_default();
        Some(requests.iter().map(|request| heard(&request["body"])).collect())
    }

    fn alive(&self, seat: SeatId) -> Option<usize> {
        let home = self.folders.of(seat, "home");
        Some(stages::alive("HOME", &home.display().to_string()))
    }

    /// A process that serves many turns lives on.
    fn kept_between_turns(&self) -> usize {
        usize::from(self.capabilities().tools == ToolDoor::InProcess)
    }

    fn steered(&self, _seat: SeatId) {
        self.steered.open();
    }

    fn own_tool(&self) -> Option<(String, Value)> {
        Some(("Bash".to_owned(), json!({"command": "echo used"})))
    }

    /// A case starts the binary up to ten times, on a machine that may have a lot to do.
    fn patience(&self) -> Duration {
        Duration::from_secs(180)
    }
}

/// Later cues come first, because a conversation holds the earlier ones too.
fn scenario(parts: &[Part], steered: &Gate) -> Option<Scenario> {
    // A request without tools is one of the CLI's own to the fake, and of a seat without tools here.
    let mut scenario = Scenario::new().count_side();
    let order: Vec<&Part> = if parts.iter().any(|part| part.cue.is_empty()) {
        parts.iter().collect()
    } else {
        parts.iter().rev().collect()
    };
    for part in order {
        for turn in model_turns(&part.acts, steered)? {
            scenario = scenario.turn(if part.cue.is_empty() { turn } else { turn.when(&part.cue) });
        }
    }
    Some(scenario)
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
                        Block::tool_use(format!("{PREFIX}{tool}"), arguments.clone())
                    }
                    _ => Block::tool_use("Bash", json!({"command": "echo used"})),
                };
                turns.push(turn.block(call));
                ModelTurn::empty()
            }
            // The message is taken at the end of what it says meanwhile.
            Act::AwaitSteer => {
                turns.push(turn.block(Block::text("Let me think.")).gate(steered));
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
    // The CLI asks once more where nothing was said.
    Some([turns, vec![turn.times(2)]].concat())
}

fn heard(body: &Value) -> Heard {
    let texts = |content: &Value| match content {
        Value::String(text) => vec![text.clone()],
        blocks => blocks.as_array().into_iter().flatten().filter_map(text_of).collect(),
    };
    // An empty block is the adapter's, a reminder the CLI's own.
    let messages = body["messages"].as_array().into_iter().flatten();
    let said =
        messages.filter(|message| message["role"] == "user").flat_map(|message| texts(&message["content"]));
    let offered = body["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["name"].as_str());
    Heard {
        system: texts(&body["system"]).join("\n"),
        model: body["model"].as_str().map(str::to_owned),
        said: said.filter(|text| !text.is_empty() && !text.starts_with("<system-reminder>\n")).collect(),
        tools: offered.map(|name| name.strip_prefix(PREFIX).unwrap_or(name).to_owned()).collect(),
    }
}

/// The text of a block, or of a tool's answer in it.
fn text_of(block: &Value) -> Option<String> {
    match &block["content"] {
        Value::Null => block["text"].as_str().map(str::to_owned),
        Value::String(text) => Some(text.clone()),
        blocks => Some(blocks.as_array()?.iter().filter_map(text_of).collect()),
    }
}
