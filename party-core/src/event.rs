//! The vocabulary of a session's log: what can happen, and what can be decided.

use crate::{Cost, Document, ItemId, Offset, RecordClass, SeatId, ThreadId, TurnId, Usage, Usd, WireError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use std::fmt;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $tag:literal, $class:ident;)*) => {
        /// What a record says. Its tag is the record's `kind`, its fields are the record's `body`.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(clippy::exhaustive_enums, reason = "the engine must handle every event: a forgotten arm must not compile")]
        pub enum Event {
            $($(#[$doc])* $name($name),)*
            /// An event of a newer writer, kept as it came.
            Unknown {
                /// Its tag.
                kind: String,
                /// Its fields.
                body: Box<RawBody>,
            },
        }

        impl Event {
            /// The tag that storage keeps beside the body.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$name(_) => $tag,)*
                    Self::Unknown { kind, .. } => kind,
                }
            }

            /// Who may write it. An unknown event counts as trace, which no engine acts on.
            pub const fn class(&self) -> RecordClass {
                match self {
                    $(Self::$name(_) => RecordClass::$class,)*
                    Self::Unknown { .. } => RecordClass::Trace,
                }
            }

            /// The fields as JSON.
            pub fn encode(&self) -> Box<RawValue> {
                let encoded = match self {
                    $(Self::$name(event) => serde_json::value::to_raw_value(event),)*
                    Self::Unknown { body, .. } => Ok(body.0.clone()),
                };
                encoded.expect("invariant: events hold only what JSON can hold")
            }

            /// Reads an event from its tag and fields. An unknown tag is kept; a known one whose
            /// fields do not fit is an error.
            pub fn decode(kind: &str, body: &RawValue) -> Result<Self, WireError> {
                let misfit = |error: serde_json::Error| WireError::Misfit { kind: kind.to_owned(), why: error.to_string() };
                match kind {
                    $($tag => serde_json::from_str(body.get()).map(Self::$name).map_err(misfit),)*
                    _ => Ok(Self::Unknown { kind: kind.to_owned(), body: Box::new(RawBody(body.to_owned())) }),
                }
            }
        }

        $(impl From<$name> for Event {
            fn from(event: $name) -> Self {
                Self::$name(event)
            }
        })*
    };
}

/// The fields of an event that this version does not know.
#[derive(Debug, Clone)]
pub struct RawBody(Box<RawValue>);

impl PartialEq for RawBody {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

events! {
    /// Input: somebody said something.
    MessagePosted = "messagePosted", Input;
    /// Input: somebody asks the session to do something.
    Commanded = "commanded", Input;
    /// Report: a driver took the session over.
    LeaseTaken = "leaseTaken", Report;
    /// Report: a seat's runtime session has a name by which it can be resumed.
    RuntimeBound = "runtimeBound", Report;
    /// Report: an agent called a tool.
    ToolCalled = "toolCalled", Report;
    /// Report: an attempt ended without ending its turn.
    AttemptEnded = "attemptEnded", Report;
    /// Report: a turn ended.
    TurnEnded = "turnEnded", Report;
    /// Decision: the session begins.
    SessionOpened = "sessionOpened", Decision;
    /// Decision: an item is brought to threads.
    Delivered = "delivered", Decision;
    /// Decision: seats are to take a turn.
    Queued = "queued", Decision;
    /// Decision: money is set aside for a role that speaks later.
    BudgetReserved = "budgetReserved", Decision;
    /// Decision: a seat's turn begins; asks for a run of the seat's runtime.
    TurnStarted = "turnStarted", Decision;
    /// Decision: a tool call is answered.
    ToolAnswered = "toolAnswered", Decision;
    /// Decision: running turns are to be stopped.
    Interrupted = "interrupted", Decision;
    /// Decision: nobody runs and nothing is pending.
    Quiesced = "quiesced", Decision;
    /// Decision: an input is not acted on, and why.
    Refused = "refused", Decision;
    /// Decision: the session is over.
    SessionClosed = "sessionClosed", Decision;
    /// Trace: something a running turn streamed.
    Traced = "traced", Trace;
}

/// Somebody said something; the item and its author stand in the record's envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct MessagePosted {
    /// What was said.
    pub item: ItemId,
}

/// Somebody asks the session to do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Commanded {
    /// What is asked for.
    pub command: Command,
}

/// What can be asked of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "the engine must handle every command: a forgotten arm must not compile"
)]
pub enum Command {
    /// End all running turns and close the session as aborted.
    Stop,
    /// Close the session once it has come to rest; messages behind it are not acted on.
    Close,
}

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

/// An agent called a tool. Only the tools that the turn's intent lists get this far.
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
    /// Why it ended so, in words, where it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the runtime was sent.
    pub sent: Sent,
}

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
}

/// A tool call is answered.
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
    /// Set where an earlier attempt made the same call, and this is its answer once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
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

/// Something a running turn streamed; the engine does not look at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Traced {
    /// The turn.
    pub turn: TurnId,
    /// The attempt at it.
    pub attempt: u32,
    /// What it streamed, as the harness has it.
    pub event: Value,
}
