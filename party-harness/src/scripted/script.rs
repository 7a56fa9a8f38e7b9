//! What scripted agents do, as data.

use party_core::{Cost, Outcome, Usd};
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
/// ends without saying anything.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "tests of hosts write steps as literals with a default rest")]
pub struct Step {
    /// How long the agent takes, in milliseconds.
    pub after_ms: u64,
    /// What it shares through the `share` tool, before it ends.
    pub share: Option<String>,
    /// The tools that it calls then, each with its arguments, one after the other.
    pub calls: Vec<(String, Value)>,
    /// What it says last. `{question}` is the message that it answers.
    pub say: Option<String>,
    /// It fails, for this reason.
    pub fail: Option<String>,
    /// It never ends by itself.
    pub hang: bool,
    /// What the turn costs, in dollars.
    pub cost_usd: f64,
}

impl Step {
    /// The agent says `text` after `after_ms` milliseconds.
    pub fn say(after_ms: u64, text: impl Into<String>) -> Self {
        Self { after_ms, say: Some(text.into()), ..Self::default() }
    }

    pub(super) fn cost(&self) -> Cost {
        Usd::from_dollars(self.cost_usd).map_or(Cost::Unknown, Cost::Reported)
    }

    /// What the step does, one event after another.
    pub(super) fn acts(&self, question: &str) -> Vec<Act> {
        let filled = |text: &String| text.replace("{question}", question);
        let mut acts = vec![Act::Wait(self.after_ms)];
        if let Some(text) = self.share.as_ref().map(filled) {
            acts.push(Act::Call {
                id: "call-1".to_owned(),
                name: "share".to_owned(),
                arguments: json!({ "text": text }),
            });
        }
        for (number, (name, arguments)) in (2..).zip(self.calls.clone()) {
            acts.push(Act::Call { id: format!("call-{number}"), name, arguments });
        }
        if let Some(reason) = &self.fail {
            acts.push(Act::End(Outcome::Failed, None, Some(reason.clone())));
        } else if self.hang {
            acts = vec![Act::Hang];
        } else if let Some(text) = self.say.as_ref().map(filled) {
            acts.push(Act::Text(text.clone()));
            acts.push(Act::End(Outcome::Completed, Some(text), None));
        } else if self.share.is_some() {
            acts.push(Act::End(Outcome::Completed, None, None));
        } else {
            acts.push(Act::End(Outcome::Empty, None, None));
        }
        acts
    }
}

/// One thing that a running turn does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    Wait(u64),
    Hang,
    Text(String),
    Call { id: String, name: String, arguments: Value },
    End(Outcome, Option<String>, Option<String>),
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
    pub(super) fn step(&self, agent: &str, done: u64) -> &Step {
        const SILENT: &Step = &Step {
            after_ms: 0,
            share: None,
            calls: Vec::new(),
            say: None,
            fail: None,
            hang: false,
            cost_usd: 0.0,
        };
        let steps = self.agents.get(agent).map_or(&[][..], Vec::as_slice);
        let index = usize::try_from(done).unwrap_or(usize::MAX).min(steps.len().saturating_sub(1));
        steps.get(index).unwrap_or(SILENT)
    }
}
