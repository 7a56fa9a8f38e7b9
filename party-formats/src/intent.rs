//! What one invocation runs under.

use crate::{
    engine_tool,
    format::{one, yes},
};
use serde::{Deserialize, Serialize};

/// So often a seat is called again that ended its turn without the call that its intent asks for.
pub(crate) const MOST_NUDGES: u32 = 2;

/// Which of several waiting invocations goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "the queue has these four levels")]
pub enum Priority {
    /// Before all others.
    Critical,
    /// Before normal ones.
    High,
    /// As things come.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

/// What becomes of an invocation of a seat for which one of the same intent waits already. A
/// running turn is never changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "the queue must handle every way")]
pub enum Coalesce {
    /// Both stay.
    Keep,
    /// One stays, called for by what called for either.
    #[default]
    Merge,
    /// The newer one stays.
    Replace,
}

/// Whether an agent has to call a tool in its turn. What counts is a call of a tool that is offered
/// and was answered without an error, in any attempt at the turn. A turn that completes without it has
/// not done its job: what it wrote is not shared, and the seat is called again under the same intent
/// and told to call the tool, at most twice; then it is absent, as
/// [`NoToolCall`](party_core::AbsenceReason::NoToolCall). Where another invocation of the seat under
/// the same intent waits already, that one takes the place of being called again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "drivers must hand every choice to a runtime")]
pub enum ToolChoice {
    /// As the agent likes.
    #[default]
    Auto,
    /// It cannot: no tools are offered, whatever the lists say, the runtime's own neither.
    None,
    /// The turn calls one of them at least once.
    Once,
    /// The turn is done only when this tool was called.
    Until(String),
}

/// When a turn is done. A step, which is one model call with the calls of tools in its answer, that calls
/// none is always the last. The calls of the last step are answered.
///
/// Only a runtime that counts steps can hold another than [`NoToolCall`](Self::NoToolCall); a seat on one
/// that does not is refused before the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "drivers must hand every rule to a runtime")]
pub enum Completion {
    /// After the first step that calls no tool. Where [`ToolChoice::Until`] names a tool, a runtime that
    /// counts steps ends the turn when that was called.
    #[default]
    NoToolCall,
    /// After its first step.
    FirstStep,
    /// After the step in which this tool was called, and answered without an error.
    ToolCall(String),
    /// After so many steps.
    Steps(u32),
}

/// What one invocation runs under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Intent {
    /// Told to the agent behind the conversation, at render time; never stored in a thread.
    /// `{round}`, `{rounds}` and `{absent}` are filled in.
    #[serde(default)]
    pub instruction: String,
    /// The tools offered, and no others: the engine's and the host's.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Whether the agent has to call one of them.
    #[serde(default)]
    pub tool_choice: ToolChoice,
    /// When its turn is done.
    #[serde(default, skip_serializing_if = "is_default")]
    pub completion: Completion,
    /// How many steps its turn may take; one that needs more fails, as
    /// [`StepLimit`](party_core::Failure::StepLimit). The runtime's own limit where absent; only one that
    /// counts steps can hold another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_steps: Option<u32>,
    /// Whether the host's own tools are offered. The engine's follow the list alone.
    #[serde(default = "yes")]
    pub mcp: bool,
    /// The runtime's own tools by its names for them, such as `Bash`; it offers no others of its own.
    /// Calls of these are not on the log as tool calls, and none of them is what `toolChoice` asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_tools: Vec<String>,
    /// Whether the runtime asks a person before it uses one of those. While nobody answers, the
    /// turn's timeout runs on.
    #[serde(default)]
    pub ask: bool,
    /// How many shares one turn may make through the `share` tool.
    #[serde(default = "one")]
    pub shares: u32,
    /// Which of several waiting invocations goes first.
    #[serde(default)]
    pub priority: Priority,
    /// What becomes of a second one that waits.
    #[serde(default)]
    pub coalesce: Coalesce,
    /// An attempt that takes longer is interrupted, in seconds.
    #[serde(default = "two_minutes")]
    pub timeout_secs: u32,
    /// What it still finishes within this time after the interrupt counts, in seconds.
    #[serde(default = "ten_seconds")]
    pub grace_secs: u32,
    /// An attempt whose runtime shows no sign of life for so long is interrupted, in seconds. Any
    /// event of the runtime is one, also that it waits for a provider; while a tool call or a question
    /// is open the clock stands still. Only `timeoutSecs` holds where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_secs: Option<u32>,
}

fn is_default(completion: &Completion) -> bool {
    *completion == Completion::NoToolCall
}

const fn two_minutes() -> u32 {
    120
}

const fn ten_seconds() -> u32 {
    10
}

impl Intent {
    /// The tools that are offered in the end, in the order of the list.
    pub fn offered(&self) -> impl Iterator<Item = &str> {
        let none = self.tool_choice == ToolChoice::None;
        let listed = self.tools.iter().map(String::as_str).filter(move |_| !none);
        listed.filter(|tool| self.mcp || engine_tool(tool).is_some())
    }

    /// The runtime's own tools that are offered in the end.
    pub fn offered_own(&self) -> &[String] {
        if self.tool_choice == ToolChoice::None { &[] } else { &self.own_tools }
    }

    /// Whether a tool is offered.
    pub fn offers(&self, tool: &str) -> bool {
        self.offered().any(|offered| offered == tool)
    }

    /// The tools of which the turn has to call one; none where it may end without.
    pub fn required(&self) -> Vec<&str> {
        match &self.tool_choice {
            ToolChoice::Auto | ToolChoice::None => Vec::new(),
            ToolChoice::Once => self.offered().collect(),
            ToolChoice::Until(tool) => vec![tool],
        }
    }

    /// Whether only a runtime that counts steps can hold it.
    pub fn counts_steps(&self) -> bool {
        self.completion != Completion::NoToolCall || self.most_steps.is_some()
    }

    /// So many turns one invocation can take at most.
    pub(crate) fn most_turns(&self) -> u32 {
        if self.required().is_empty() { 1 } else { 1 + MOST_NUDGES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(intent: &str) -> Vec<String> {
        let intent: Intent = serde_json::from_str(intent).unwrap();
        intent.offered().map(str::to_owned).collect()
    }

    #[test]
    fn a023_a028_the_engine_s_tools_follow_the_list_and_the_host_s_the_switch_too() {
        assert_eq!(offered(r#"{"tools":["share","search"]}"#), ["share", "search"]);
        assert_eq!(offered(r#"{"tools":["share","search"],"mcp":false}"#), ["share"]);
        assert_eq!(offered(r#"{"tools":["share","search"],"toolChoice":"none"}"#), [""; 0]);
    }
}
