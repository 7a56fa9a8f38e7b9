//! Decisions: what follows, as the engine decided it once and for all.

use crate::{Document, ItemId, Offset, Permission, SeatId, ThreadId, TurnId, Usd};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A participant's place in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct SeatSpec {
    /// The agent's name, unique in the session without regard to case.
    pub name: String,
    /// Its role in the format.
    pub role: String,
    /// Its private thread.
    pub thread: ThreadId,
    /// Its whole system prompt.
    pub prompt: Document,
    /// The harness that runs it, by the name it has in the party.
    pub harness: String,
    /// The model that it asks for; the runtime's own default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// What a session may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct BudgetTerms {
    /// Reservations never exceed this.
    pub cap: Usd,
    /// What each turn sets aside; the whole cap where absent. Whoever opens a session works it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_turn: Option<Usd>,
}

/// A tool of the host that the session was opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct HostToolTerms {
    /// Its name.
    pub name: String,
    /// Whether a call may be run again where nobody knows how it ended.
    #[serde(default)]
    pub idempotent: bool,
}

/// The session begins: what it is, who sits in it, and what it may spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct SessionOpened {
    /// The oldest engine version that may drive this session.
    pub min_engine: u32,
    /// The format's name.
    pub format_name: String,
    /// The format as stored text.
    pub format: Document,
    /// The shared thread.
    pub feed: ThreadId,
    /// The seats in roster order.
    pub seats: Vec<SeatSpec>,
    /// The budget, where the host or the format sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetTerms>,
    /// The host's tools, in the order of their names; intents list them beside the engine's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_tools: Vec<HostToolTerms>,
}

/// An item is brought to threads: one record, whatever the number of threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Delivered {
    /// What is brought.
    pub item: ItemId,
    /// The seat that shared it; absent for a message from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<SeatId>,
    /// The turn that shared it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
}

/// Seats are to take a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Queued {
    /// One invocation per seat, in roster order.
    pub invocations: Vec<QueuedInvocation>,
}

/// An intent queued for a seat; it becomes a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct QueuedInvocation {
    /// Who is to speak.
    pub seat: SeatId,
    /// Under which intent of the format.
    pub intent: String,
    /// The items that called for it, oldest first.
    pub because: Vec<ItemId>,
    /// Whether it answers another agent rather than a human or a trigger; such turns are counted
    /// against the format's limit of reactions.
    #[serde(default)]
    pub reaction: bool,
    /// How often it was called again for ending without the tool call that its intent asks for; 0
    /// where something new called it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nudge: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Money is set aside for a role that speaks later, so that the others cannot spend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct BudgetReserved {
    /// The role.
    pub role: String,
    /// How much.
    pub amount: Usd,
}

/// A seat's turn begins. The turn is named by this record's offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct TurnStarted {
    /// Who speaks.
    pub seat: SeatId,
    /// Under which intent of the format.
    pub intent: String,
    /// The items that called for it, oldest first.
    pub because: Vec<ItemId>,
    /// The agent sees its thread up to this record.
    pub visible_up_to: Offset,
    /// The round it belongs to, counted from 1.
    pub round: u32,
    /// What it sets aside of the budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<Usd>,
    /// Who did not speak so far, told to a role that sums up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absence>,
    /// How often it was called again for ending without the tool call that its intent asks for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nudge: u32,
}

/// A tool call is answered by the engine: it is one of the engine's own tools, or refused, or the same
/// call was answered before. What a tool of the host gave is reported by [`ToolRan`](crate::ToolRan).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct ToolAnswered {
    /// The turn.
    pub turn: TurnId,
    /// The attempt that asked.
    pub attempt: u32,
    /// The call within the attempt.
    pub call: String,
    /// What the agent is told.
    pub text: String,
    /// Whether the call was refused or failed.
    #[serde(default)]
    pub is_error: bool,
    /// Set where the same call was made before and its answer was lost: this is it once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

/// A runtime's question is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct PermissionAnswered {
    /// The command that answers it; its author is who decided.
    pub input: Offset,
    /// The turn.
    pub turn: TurnId,
    /// The attempt that asked.
    pub attempt: u32,
    /// The question.
    pub request: String,
    /// The answer.
    pub answer: Permission,
}

/// Running turns are to be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Interrupted {
    /// The turns.
    pub turns: Vec<TurnId>,
}

/// Why a seat did not speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum AbsenceReason {
    /// It ended without saying anything.
    Empty,
    /// Its runtime failed.
    Failed,
    /// It took too long.
    TimedOut,
    /// It was stopped.
    Cancelled,
    /// The budget had no room for it.
    OverBudget,
    /// It ended without the tool call that its intent asks for, however often it was told.
    NoToolCall,
}

/// In words that fit behind a name: `took too long`.
impl fmt::Display for AbsenceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "said nothing",
            Self::Failed => "failed",
            Self::TimedOut => "took too long",
            Self::Cancelled => "was stopped",
            Self::OverBudget => "no budget left",
            Self::NoToolCall => "did not use its tool",
        })
    }
}

/// A seat that did not speak, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Absence {
    /// The seat.
    pub seat: SeatId,
    /// Why.
    pub reason: AbsenceReason,
}

/// Nobody runs and nothing is pending. Fires once per wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Quiesced {
    /// Which wave came to rest, counted from 1.
    pub wave: u32,
    /// The round within the human's message, counted from 1.
    pub round: u32,
    /// Seats that spoke in this wave, in roster order.
    pub spoke: Vec<SeatId>,
    /// Seats that were called and did not speak, in roster order.
    pub absent: Vec<Absence>,
    /// The trigger that fires, by its place in the format; none where the session comes to rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<u16>,
}

/// An input is not acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Refused {
    /// The input's record.
    pub input: Offset,
    /// Why, in words.
    pub why: String,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum CloseReason {
    /// The matter is settled.
    Finished,
    /// Fewer seats spoke than the format asks for.
    BelowQuorum,
    /// The role that was to sum up did not.
    JudgeFailed,
    /// Somebody stopped it.
    Aborted,
    /// Somebody closed it.
    Closed,
    /// The log holds a record that cannot be.
    Corrupt,
    /// Decisions did not come to an end.
    Runaway,
}

/// In words: `too few spoke`.
impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "finished",
            Self::BelowQuorum => "too few spoke",
            Self::JudgeFailed => "the judge failed",
            Self::Aborted => "it was stopped",
            Self::Closed => "it was closed",
            Self::Corrupt => "its log holds a record that cannot be",
            Self::Runaway => "its decisions did not come to an end",
        })
    }
}

/// The session is over; nothing that comes later is acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct SessionClosed {
    /// Why.
    pub reason: CloseReason,
}
