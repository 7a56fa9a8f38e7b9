//! Scripted agents.

use crate::stages::Folders;
use party_harness::{
    Capabilities, Harness, RuntimeSpec, async_trait,
    conformance::{Act, Cast, Part, Stage},
    core::SeatId,
    harness_conformance,
    scripted::{Call, Script, Scripted, Step},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) struct Scripts(Folders);

impl Scripts {
    pub(crate) fn new() -> Self {
        Self(Folders::new())
    }
}

#[expect(clippy::unused_async, reason = "the suite takes async makers")]
async fn make() -> Scripts {
    Scripts::new()
}

// Nobody is told a script's system prompt.
harness_conformance!(make, not_shown: [the_system_prompt_and_the_model_arrive]);

fn own_tool() -> (String, Value) {
    ("Bash".to_owned(), json!({"command": "ls"}))
}

fn step(part: &Part) -> Option<Step> {
    let mut step = Step::default();
    for act in part.acts.clone() {
        match act {
            Act::Think(text) => step.think = Some(text),
            Act::Call { tool, arguments } => step.calls.push(Call { tool, arguments }),
            Act::Own => step.ask = Some(Call { tool: own_tool().0, arguments: own_tool().1 }),
            Act::AwaitSteer => step.await_steer = true,
            #[expect(clippy::cast_precision_loss, reason = "the figures of the suite are small")]
            Act::Spend(usd) => step.cost_usd = usd.as_micros() as f64 / 1e6,
            Act::Say(text) => step.say = Some(text),
            Act::Echo => step.say = Some("{question}".to_owned()),
            Act::Fail => step.fail = Some("the script says so".to_owned()),
            Act::Hang => step.hang = true,
            _ => return None,
        }
    }
    Some(step)
}

#[async_trait]
impl Stage for Scripts {
    fn capabilities(&self) -> Capabilities {
        Scripted::new(Script::default()).info().capabilities
    }

    async fn harness(&self, cast: Cast) -> Option<Arc<dyn Harness>> {
        let mut script = Script::default();
        for (seat, parts) in cast {
            let steps: Option<Vec<Step>> = parts.iter().map(step).collect();
            script = script.agent(self.spec(seat).agent, steps?);
        }
        Some(Arc::new(Scripted::new(script)))
    }

    fn spec(&self, seat: SeatId) -> RuntimeSpec {
        self.0.spec(seat, BTreeMap::new())
    }

    fn own_tool(&self) -> Option<(String, Value)> {
        Some(own_tool())
    }
}
