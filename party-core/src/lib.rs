//! Content, topology and records of a multi-agent conversation.
//!
//! This crate is pure: no I/O, no clock, no randomness, no async. It holds the words that the
//! rest of Party speaks: an immutable [`Item`] is content; a thread is an order of references to
//! items, changed by [`Op`]s; a [`Record`] is one [`Event`] with its place in a session's log; and
//! [`render`] turns a thread, as one reader sees it, into model messages ([`Rendering`] has options).
//!
//! ```
//! use party_core::{Author, Item, ItemId, Reader, Timestamp, render};
//!
//! let id: ItemId = "itm_0193b0a07c1e7f6f8a1b2c3d4e5f6071".parse()?;
//! let said = Item::message(id, Author::agent("Winston"), Timestamp::from_micros(0), "Ship it.");
//! let seen = render([&said], &Reader::agent("Mary"));
//! assert_eq!(seen[0].text(), "<from agent=\"Winston\">\nShip it.\n</from>");
//! # Ok::<(), party_core::ParseIdError>(())
//! ```
//!
//! # Where to go next
//! * `party-bus` stores records; its `Bus` trait is the only transport.
//! * `party-formats` folds records into state and decides what follows.
//! * `party-launch` joins both to agent runtimes: start there to build a party.
//!
//! # Wire
//! Everything serialises to JSON with camelCase fields and a `type` tag. An unknown tag is kept
//! raw and written back; a known tag that does not fit is an error that says so. A record's body
//! is kept as the bytes it came in, so fields of a newer writer survive a copy.

mod attribution;
mod compaction;
mod content;
mod document;
mod estimate;
mod event;
mod id;
mod item;
mod money;
mod newer;
mod record;
mod render;
mod thread;
mod time;
mod topology;
mod usage;

pub use attribution::{attributed, escape_tags, from_tag, unescape_tags};
pub use compaction::{CompactionPolicy, TornPair, check_pairs};
pub use content::ContentBlock;
pub use document::Document;
pub use event::{
    Absence, AbsenceReason, AttemptEnded, Branched, BudgetReserved, BudgetTerms, CloseReason, Command,
    Commanded, Compacted, Delivered, Event, Failure, Forked, HostToolTerms, Interrupted, LeaseTaken,
    MessagePosted, Outcome, Permission, PermissionAnswered, PermissionAsked, PermissionWithdrawn, Queued,
    QueuedInvocation, Quiesced, RawBody, Refused, ReplyLost, RuntimeBound, SeatSpec, Sent, SessionClosed,
    SessionOpened, TangentAbandoned, TangentOpened, TangentResolved, ToolAnswered, ToolCalled, ToolRan,
    Traced, TurnEnded, TurnStarted,
};
pub use id::{BatchId, ItemId, Offset, ParseIdError, SeatId, SessionId, ThreadId, TurnId};
pub use item::{Author, Item, ItemKind};
pub use money::{ParseUsdError, Usd};
pub use newer::Newer;
pub use record::{NewRecord, Record, RecordClass, WIRE_VERSION, WireError};
pub use render::{Framing, MessageRole, ModelMessage, Reader, Rendering, as_one_prompt, render};
pub use thread::{Entry, How, Op, Origin, ThreadKind, ThreadState};
pub use time::Timestamp;
pub use topology::{
    Ask, Change, Compaction, Layer, Level, MOST_LEVELS, Outline, Outlined, Piece, Place, Reference, Side,
    Span, Topology, TopologyError, Walk, Walked,
};
pub use usage::{Cost, Usage};
