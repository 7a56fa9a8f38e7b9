//! What scripted agents do, as data.

use crate::{
    TurnEvent,
    player::{Act, Ending, Part},
};
use party_core::{Cost, Outcome, Usage, Usd};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A script that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError(String);

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScriptError {}

/// What each agent does in its first turn, its second, and so on; the last step repeats.
///
/// ```
/// use party_harness::scripted::Script;
///
/// let script = Script::from_yaml("
/// agents:
///   Mary:
///     - { afterMs: 80, say: 'You asked: {question}', costUsd: 0.01 }
///     - { fail: the second turn never works }
/// ")?;
/// assert!(script.knows("Mary"));
/// # Ok::<(), party_harness::scripted::ScriptError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Script {
    #[serde(default)]
    agents: BTreeMap<String, Vec<Step>>,
}

/// One turn of an agent. What is not set does not happen; a step without `say`, `fail` or `hang`
/// ends without saying anything. The [module](super) shows each field and the placeholders of texts.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "tests of hosts write steps as literals with a default rest")]
pub struct Step {
    /// How long the agent takes, in milliseconds, before it does anything.
    pub after_ms: u64,
    /// What it thinks.
    pub think: Option<String>,
    /// What it shares through the `share` tool.
    pub share: Option<String>,
    /// The tools of the host that it calls, one after another.
    pub calls: Vec<Call>,
    /// The tool of its own that it uses; it asks before, where the turn says so.
    pub ask: Option<Call>,
    /// It goes on only when it was told something more.
    pub await_steer: bool,
    /// What it says last.
    pub say: Option<String>,
    /// It fails, for this reason.
    pub fail: Option<String>,
    /// It never ends by itself.
    pub hang: bool,
    /// What the turn costs, in dollars.
    pub cost_usd: f64,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "tests of hosts write calls as literals")]
pub struct Call {
    /// The tool's name.
    pub tool: String,
    /// Its arguments.
    #[serde(default = "nothing", alias = "input")]
    pub arguments: Value,
}

fn nothing() -> Value {
    json!({})
}

impl Step {
    /// The agent says `text` after `after_ms` milliseconds.
    pub fn say(after_ms: u64, text: impl Into<String>) -> Self {
        Self { after_ms, say: Some(text.into()), ..Self::default() }
    }

    pub(super) fn part(&self) -> Part {
        let cost = Usd::from_dollars(self.cost_usd).map_or(Cost::Unknown, Cost::Reported);
        Part { acts: self.acts(), usage: Usage::default(), cost }
    }

    fn acts(&self) -> Vec<Act> {
        let mut acts = vec![Act::Wait(self.after_ms), Act::Start];
        acts.extend(self.think.iter().map(|text| {
            let text = text.as_str().into();
            Act::Event(TurnEvent::Thinking { text })
        }));
        let shared = self.share.iter().map(|text| ("share", json!({ "text": text })));
        let called = self.calls.iter().map(|call| (call.tool.as_str(), call.arguments.clone()));
        acts.extend(shared.chain(called).zip(1..).map(|((name, arguments), n)| Act::Call {
            id: format!("call-{n}"),
            name: name.to_owned(),
            arguments,
        }));
        acts.extend(self.ask.iter().map(|call| Act::Own {
            id: "own-1".to_owned(),
            name: call.tool.clone(),
            input: call.arguments.clone(),
        }));
        acts.extend(self.await_steer.then_some(Act::AwaitSteer));
        acts.push(self.last());
        acts
    }

    fn last(&self) -> Act {
        let has_called = self.share.is_some() || !self.calls.is_empty();
        match (&self.fail, self.hang, &self.say) {
            (Some(reason), ..) => Act::End(Ending::because(Outcome::Failed, reason)),
            (None, true, _) => Act::Hang,
            (None, false, Some(text)) => Act::Say(text.clone()),
            (None, false, None) if has_called => Act::End(Ending::of(Outcome::Completed)),
            (None, false, None) => Act::End(Ending::of(Outcome::Empty)),
        }
    }
}

impl Script {
    /// Reads a script from YAML or JSON.
    ///
    /// # Errors
    /// What does not fit, with its line.
    pub fn from_yaml(text: &str) -> Result<Self, ScriptError> {
        let script: Self = serde_saphyr::from_str(text)
            .map_err(|error| ScriptError(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
        match script.agents.iter().find(|(_, steps)| steps.is_empty()) {
            Some((name, _)) => Err(ScriptError(format!("agent `{name}` has no steps"))),
            None => Ok(script),
        }
    }

    /// The same script with an agent that takes these steps; an agent without steps stays silent.
    #[must_use]
    pub fn agent(mut self, name: impl Into<String>, steps: impl Into<Vec<Step>>) -> Self {
        self.agents.insert(name.into(), steps.into());
        self
    }

    /// Whether there is a script for an agent.
    pub fn knows(&self, agent: &str) -> bool {
        self.agents.contains_key(agent)
    }

    /// The agents, in alphabetical order.
    pub fn names(&self) -> Vec<&str> {
        self.agents.keys().map(String::as_str).collect()
    }

    /// What an agent does in the turn after `done` others.
    pub(super) fn step(&self, agent: &str, done: u64) -> Step {
        let steps = self.agents.get(agent).map_or(&[][..], Vec::as_slice);
        let index = usize::try_from(done).unwrap_or(usize::MAX).min(steps.len().saturating_sub(1));
        steps.get(index).cloned().unwrap_or_default()
    }
}
