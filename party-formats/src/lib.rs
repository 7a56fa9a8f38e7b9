//! Who speaks next, under which intent, and when the matter is settled.
//!
//! A [`Format`] is data: roles, intents, routing and what happens at quiescence. The [`Engine`]
//! folds a session's records into state and decides from state alone; it has no I/O, no clock and
//! no randomness, so the same log gives the same state, bit for bit.
//!
//! ```
//! use party_formats::{Format, Member, check};
//!
//! let council = Format::council().with_rounds(2)?;
//! let team = ["Mary", "John"].map(|name| Member::new(name, "persona"));
//! let judge = Member::new("Maat", "judge");
//! let bound = check(&council, &[team.as_slice(), &[judge]].concat())?;
//! assert_eq!(bound.invocations, 6); // 2 personas x 2 rounds, a judge and its second try
//! # Ok::<(), party_formats::FormatError>(())
//! ```
//!
//! # The three faces of the engine
//! * [`Engine::apply`] files a record. It is total, never panics, never decides.
//! * [`Engine::decide`] gives what follows now; empty when nothing does. The driver applies and
//!   commits it, so that the log holds decisions and a replay never decides again.
//! * [`Engine::pending_effects`] lists outside work that the log asks for and does not report yet.

mod builtin;
mod check;
mod engine;
mod format;
mod framing;
mod intent;
mod load;
mod tools;
mod validate;

pub use check::{Bound, Member, check, check_budget, check_with};
pub use engine::{
    ANSWER_LIMIT, Bound as RuntimeBinding, ENGINE_BUILD, ENGINE_VERSION, Effect, Engine, Fixpoint, Question,
    RunningTurn, ToolRecord,
};
pub use format::{Action, Audience, Format, Release, Role, Seats, Shares, Trigger, When};
pub use intent::{Coalesce, Completion, Intent, Priority, ToolChoice};
pub use load::LoadError;
pub use tools::{EngineTool, engine_tool, is_tool_name};
pub use validate::FormatError;
