//! The stage on which model APIs play: one fake provider for all agents, which tells them apart by their
//! model's name.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use crate::{heard::heard, stages::Folders};
use party_harness::{
    Capabilities, Harness, RuntimeSpec, async_trait,
    conformance::{Act, Cast, Heard, Part, Stage},
    core::{SeatId, Usd},
    model::{ModelApi, Retry},
    prices::{Price, Prices, Rates},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use test_support::{Block, FakeModel, ModelTurn, Scenario};

/// Makes the adapter that is tested from the provider's address.
type Make = fn(&str) -> ModelApi;

pub(crate) struct ModelStage {
    make: Make,
    folders: Folders,
    fake: Mutex<Option<FakeModel>>,
}

impl ModelStage {
    pub(crate) fn new(make: Make) -> Self {
        Self { make, folders: Folders::new(), fake: Mutex::default() }
    }
}

#[async_trait]
impl Stage for ModelStage {
    fn capabilities(&self) -> Capabilities {
        (self.make)("http://127.0.0.1:9").info().capabilities
    }

    async fn harness(&self, cast: Cast) -> Option<Arc<dyn Harness>> {
        let mut scenario = Scenario::new().count_side();
        for (seat, parts) in &cast {
            for turn in parts.iter().map(model_turns).collect::<Option<Vec<_>>>()?.concat() {
                scenario = scenario.turn(turn.when(system_of(*seat)));
            }
        }
        let fake = FakeModel::start(scenario).await;
        let harness = (self.make)(fake.base_url());
        *self.fake.lock().unwrap() = Some(fake);
        let dollars = |dollars: u64| Usd::from_micros(dollars * 1_000_000);
        let prices = Prices::none().with("test-*", Price::new(Rates::new(dollars(1), dollars(10))));
        Some(Arc::new(harness.prices(prices).retry(Retry::new(1, Duration::from_millis(1)))))
    }

    fn spec(&self, seat: SeatId) -> RuntimeSpec {
        let spec = self.folders.spec(seat, BTreeMap::new());
        RuntimeSpec { model: Some("test-model".to_owned()), ..spec }
    }

    fn heard(&self, seat: SeatId) -> Option<Vec<Heard>> {
        let fake = self.fake.lock().unwrap();
        let requests = fake.as_ref().map(FakeModel::model_requests).unwrap_or_default();
        let own = |request: &&Value| request["body"].to_string().contains(&system_of(seat));
        Some(requests.iter().filter(own).map(heard).collect())
    }

    /// Texts of several hundred kilobytes are read and written in a debug build.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// What only the system prompt of a seat says.
fn system_of(seat: SeatId) -> String {
    format!("of seat {seat};")
}

/// The model's answers in a turn: one ends where a tool is called.
fn model_turns(part: &Part) -> Option<Vec<ModelTurn>> {
    let (mut turns, mut turn) = (Vec::new(), ModelTurn::empty());
    let mut spent = None;
    for act in &part.acts {
        turn = match act {
            Act::Think(text) => turn.block(Block::thinking(text)),
            Act::Spend(usd) => {
                spent = Some(*usd);
                turn
            }
            Act::Call { tool, arguments } => {
                turns.push(turn.block(Block::tool_use(tool, arguments.clone())));
                ModelTurn::empty()
            }
            Act::Say(text) => {
                turns.push(turn.block(Block::text(text)));
                break;
            }
            Act::Fail => {
                turns.push(ModelTurn::error(400, "invalid_request_error", "the part says so"));
                break;
            }
            Act::Hang => {
                turns.push(turn.hang());
                break;
            }
            _ => return None,
        };
    }
    if part.acts.iter().all(|act| matches!(act, Act::Think(_) | Act::Call { .. } | Act::Spend(_))) {
        turns.push(ModelTurn::empty());
    }
    let cued = |turn: ModelTurn| if part.cue.is_empty() { turn } else { turn.when(&part.cue) };
    let spends = |turn: ModelTurn| match spent {
        Some(usd) => turn.with(|turn| {
            turn.usage.insert("output_tokens".to_owned(), json!(usd.as_micros() / 10));
        }),
        None => turn,
    };
    Some(turns.into_iter().map(cued).map(spends).collect())
}
