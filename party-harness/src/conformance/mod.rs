//! The promises of a harness as tests, for adapters in this crate and elsewhere: not a stable part of
//! the API.
//!
//! Each case is a plain function. An implementer brings a [`Stage`], on which agents can be told what
//! to do: a fake model behind a real runtime, or a runtime that follows a script. One line makes a test
//! of each case:
//!
//! ```
//! use party_harness::conformance::{Act, Cast, Stage};
//! use party_harness::core::{SeatId, SessionId};
//! use party_harness::scripted::{Script, Scripted, Step};
//! use party_harness::{Capabilities, Harness, RuntimeSpec, async_trait};
//! use std::sync::Arc;
//!
//! /// Agents that only talk.
//! struct Talkers;
//!
//! async fn make() -> Talkers {
//!     Talkers
//! }
//!
//! #[async_trait]
//! impl Stage for Talkers {
//!     fn capabilities(&self) -> Capabilities {
//!         Scripted::new(Script::default()).info().capabilities
//!     }
//!
//!     async fn harness(&self, cast: Cast) -> Option<Arc<dyn Harness>> {
//!         let mut script = Script::default();
//!         for (seat, parts) in cast {
//!             let step = |part: &[Act]| match part {
//!                 [Act::Say(text)] => Some(Step::say(0, text)),
//!                 _ => None,
//!             };
//!             let steps: Option<Vec<Step>> = parts.iter().map(|part| step(&part.acts)).collect();
//!             script = script.agent(seat.to_string(), steps?);
//!         }
//!         Some(Arc::new(Scripted::new(script)))
//!     }
//!
//!     fn spec(&self, seat: SeatId) -> RuntimeSpec {
//!         let folder = std::env::temp_dir().join(seat.to_string());
//!         RuntimeSpec {
//!             session: SessionId::derive(&[b"talkers"]),
//!             seat,
//!             agent: seat.to_string(),
//!             system_prompt: "You talk.".into(),
//!             model: None,
//!             cwd: folder.clone(),
//!             folder,
//!             env: Default::default(),
//!             resume: None,
//!         }
//!     }
//! }
//!
//! party_harness::harness_conformance!(make, not_shown: [a_failed_turn_says_why]);
//! ```
//!
//! A case about something that the harness does not declare passes, and says so. One that the stage
//! cannot show has to be named in `not_shown`, and a case that is named there and can be shown fails,
//! so a stage never shows less than is thought. Every case has a deadline: what hangs fails.

mod asking;
mod host;
mod memory;
mod play;
mod stage;
mod stopping;
mod tools;
mod turns;

pub use asking::*;
pub use memory::*;
pub use stage::{Act, Cast, Heard, Part, Skipped, Stage};
pub use stopping::*;
pub use tools::*;
pub use turns::*;

/// The result of a case that did not fail.
pub type Played = Result<(), Skipped>;

/// Plays a case within the stage's patience, and holds what was skipped against what may be.
///
/// # Panics
/// Where the case fails, takes too long, or is skipped for a reason that `not_shown` does not name.
pub async fn judge(name: &str, stage: &dyn Stage, case: impl Future<Output = Played>, not_shown: &[&str]) {
    let patience = stage.patience();
    let played = tokio::time::timeout(patience, case).await;
    let played = played.unwrap_or_else(|_| panic!("{name} took longer than {} s", patience.as_secs()));
    let may_be_skipped = not_shown.contains(&name);
    match played {
        Ok(()) => assert!(!may_be_skipped, "{name} is shown; take it out of `not_shown`"),
        Err(skipped @ Skipped::NotShown(_)) => {
            assert!(may_be_skipped, "{skipped}: mend the stage, or name `{name}` in `not_shown`");
            eprintln!("{name}: skipped, as {skipped}");
        }
        Err(skipped @ Skipped::NotDeclared(_)) => eprintln!("{name}: skipped, as {skipped}"),
    }
}

/// Makes a `#[tokio::test]` of each case; needs `tokio` with `rt-multi-thread` and `macros`. `$make`
/// is an async function that gives a new [`Stage`]; `not_shown` names the cases that it cannot show.
#[macro_export]
macro_rules! harness_conformance {
    ($make:path $(,)?) => {
        $crate::harness_conformance!($make, not_shown: []);
    };
    ($make:path, not_shown: [$($skipped:ident),* $(,)?] $(,)?) => {
        /// The cases that this stage cannot show.
        const NOT_SHOWN: &[&str] = &[$(stringify!($skipped)),*];

        $crate::harness_conformance! {
            @cases $make:
            a_turn_ends_once_with_what_was_said
            a_turn_without_a_word_is_empty
            a_failed_turn_says_why
            a_turn_costs_what_the_runtime_reports
            a_limit_is_kept
            a_second_turn_while_one_runs_is_refused
            two_sessions_run_at_once_without_mixing
            a_view_that_cannot_be_loaded_is_no_turn
            what_is_not_declared_is_refused
            a_probe_calls_no_model
            hostile_texts_arrive_exactly
            the_system_prompt_and_the_model_arrive
            a_session_remembers_its_turns
            a_resumed_session_remembers
            a_token_that_means_nothing_starts_afresh
            a_token_of_another_seat_starts_afresh
            the_state_tells_the_truth
            a_turn_that_never_was_is_not_seen
            a_turn_that_ended_is_known
            an_interrupt_ends_the_turn_and_nothing_else
            an_interrupt_before_the_first_event_ends_the_turn
            a_dropped_turn_ends_and_frees_the_session
            an_orderly_close_ends_a_running_turn
            a_close_now_ends_a_running_turn
            a_closed_session_takes_no_turn
            a_shutdown_ends_everything
            a_call_reaches_the_host_and_its_reply_the_model
            a_tool_that_is_not_listed_cannot_be_called
            an_error_reply_does_not_end_the_turn
            a_turn_ends_by_its_steps
            a_reply_may_come_late
            no_call_comes_after_the_end
            calls_of_two_turns_carry_their_own_keys
            a_permitted_tool_is_used
            a_denied_tool_is_not_used
            a_tool_that_needs_no_leave_asks_for_none
            an_interrupt_withdraws_a_question
            an_answer_is_unsupported_where_nothing_is_asked
            a_running_turn_takes_a_message
            a_message_is_unsupported_where_none_is_taken
        }
    };
    (@cases $make:path: $($case:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let stage = $make().await;
            let case = ::std::boxed::Box::pin($crate::conformance::$case(&stage));
            $crate::conformance::judge(stringify!($case), &stage, case, NOT_SHOWN).await;
        })*
    };
}
