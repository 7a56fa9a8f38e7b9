//! The vocabulary of a session's log: what can happen, and what can be decided.

mod decision;
mod input;
mod report;
mod topology;

pub use decision::*;
pub use input::*;
pub use report::*;
pub use topology::*;

use crate::{RecordClass, WireError};
use serde_json::value::RawValue;

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
    /// Report: a tool of the host ran for a call; its answer.
    ToolRan = "toolRan", Report;
    /// Report: nobody waits for a call's answer any more.
    ReplyLost = "replyLost", Report;
    /// Report: a runtime asks whether it may use a tool of its own.
    PermissionAsked = "permissionAsked", Report;
    /// Report: a runtime no longer waits for an answer.
    PermissionWithdrawn = "permissionWithdrawn", Report;
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
    /// Decision: a runtime's question is answered; asks for the answer to be passed on.
    PermissionAnswered = "permissionAnswered", Decision;
    /// Decision: running turns are to be stopped.
    Interrupted = "interrupted", Decision;
    /// Decision: nobody runs and nothing is pending.
    Quiesced = "quiesced", Decision;
    /// Decision: a thread goes on from the middle of another.
    Branched = "branched", Decision;
    /// Decision: entries of a thread are shown as a summary.
    Compacted = "compacted", Decision;
    /// Decision: a sub-thread begins at an entry.
    TangentOpened = "tangentOpened", Decision;
    /// Decision: a tangent's results stand in its parent.
    TangentResolved = "tangentResolved", Decision;
    /// Decision: a tangent ended without a result.
    TangentAbandoned = "tangentAbandoned", Decision;
    /// Decision: what comes before is a copy of another session.
    Forked = "forked", Decision;
    /// Decision: an input is not acted on, and why.
    Refused = "refused", Decision;
    /// Decision: the session is over.
    SessionClosed = "sessionClosed", Decision;
    /// Trace: something a running turn streamed.
    Traced = "traced", Trace;
}
