//! Reports and traces: what the driver says came of a decision.

use crate::{Cost, ItemId, SeatId, TurnId, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A driver took the session over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct LeaseTaken {
    /// The driver: host, boot, process.
    pub owner: String,
    /// The fencing token of its lease.
    pub fencing_token: u64,
}

/// A seat's runtime session can be resumed by this token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct RuntimeBound {
    /// The seat.
    pub seat: SeatId,
    /// The runtime's own name of the session, with the host, home and folder it belongs to.
    pub token: Value,
    /// The last turn that this runtime session has answered; later entries are its next delta.
    pub seen: TurnId,
}

/// An agent called a tool. Whether its intent offers that tool is decided from this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct ToolCalled {
    /// The turn whose launch carried the call.
    pub turn: TurnId,
    /// The attempt at that turn, counted from 1.
    pub attempt: u32,
    /// The runtime's id of this call; with the attempt it names the call.
    pub call: String,
    /// The tool's name.
    pub tool: String,
    /// The arguments as the model gave them.
    pub arguments: Value,
}

/// A tool of the host ran for a call: this is the call's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct ToolRan {
    /// The turn.
    pub turn: TurnId,
    /// The attempt that asked.
    pub attempt: u32,
    /// The call within the attempt.
    pub call: String,
    /// What the agent is told.
    pub text: String,
    /// Whether the tool failed, or was stopped.
    #[serde(default)]
    pub is_error: bool,
}

/// Whoever made a call went away before its answer, so an equal call of the same attempt is that call
/// made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct ReplyLost {
    /// The turn.
    pub turn: TurnId,
    /// The attempt that asked.
    pub attempt: u32,
    /// The call within the attempt.
    pub call: String,
}

/// A runtime asks whether it may use a tool of its own, and waits. The question is open until it is
/// answered or withdrawn, or its attempt ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct PermissionAsked {
    /// The turn whose runtime asks.
    pub turn: TurnId,
    /// The attempt at it, counted from 1.
    pub attempt: u32,
    /// The runtime's name of the question; with the attempt it names it.
    pub request: String,
    /// The tool's name.
    pub tool: String,
    /// What the tool is to be used with.
    pub input: Value,
}

/// A runtime no longer waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct PermissionWithdrawn {
    /// The turn.
    pub turn: TurnId,
    /// The attempt that asked.
    pub attempt: u32,
    /// The question.
    pub request: String,
}

/// How a turn or an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "the engine must handle every outcome: a forgotten arm must not compile"
)]
pub enum Outcome {
    /// The agent finished.
    Completed,
    /// The agent finished without saying anything.
    Empty,
    /// The runtime failed.
    Failed,
    /// The turn took longer than its intent allows.
    TimedOut,
    /// The turn was stopped.
    Cancelled,
    /// The driver or the runtime went away while the attempt ran.
    Lost,
}

/// What kind of failure ended a turn: for whoever acts on it. The reason in words stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Failure {
    /// The runtime did not start.
    NotStarted,
    /// The host's tools did not reach the runtime.
    Poisoned,
    /// The runtime died in the middle.
    Died,
    /// The runtime showed no sign of life for too long.
    Idle,
    /// The provider does not accept the credential.
    Unauthenticated,
    /// The provider limits the credential.
    RateLimited,
    /// The provider is overloaded.
    Overloaded,
    /// The provider does not know the model, or refused the request for another reason.
    Rejected,
    /// What the turn may spend was spent.
    OverBudget,
    /// The turn took as many steps as it may.
    StepLimit,
    /// The conversation is too long for the model.
    TooLong,
    /// The turn ended without the tool call that its intent asks for.
    NoToolCall,
    /// Any other, also one of a newer writer.
    #[serde(other)]
    Other,
}

/// An attempt ended without ending its turn; another attempt follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct AttemptEnded {
    /// The turn.
    pub turn: TurnId,
    /// Which attempt at it, counted from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// What it cost.
    pub cost: Cost,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What of the conversation a runtime was sent in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Sent {
    /// What came since the runtime session's last turn.
    Delta,
    /// The whole view.
    Full,
}

/// A turn ended. What the agent said last travels as an item in the envelope, and stands in the
/// seat's private thread; whether others see it is decided by the format's routing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct TurnEnded {
    /// The turn.
    pub turn: TurnId,
    /// The attempt that ended it.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// What the agent said, where it said something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// Tokens of the last attempt.
    pub usage: Usage,
    /// Cost of the last attempt.
    pub cost: Cost,
    /// Why it ended so, in words, where it did not complete, or not do what its intent asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What kind of failure it was, where it failed. A turn that completed without the tool call that
    /// its intent asks for has [`Failure::NoToolCall`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What the runtime was sent.
    pub sent: Sent,
}

/// Something a running turn streamed; the engine does not look at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Traced {
    /// The turn.
    pub turn: TurnId,
    /// The attempt at it.
    pub attempt: u32,
    /// What it streamed, as the harness has it; of a long event the `type`, the `bytes` and the `head`.
    pub event: Value,
}
