//! The contract as tests, for backends in this crate and elsewhere: not a stable part of the API.
//!
//! Each case is a plain function. An implementer brings a [`Stage`], which gives a store of its own for
//! each case; one line makes a test of each, and another one a test of [random steps](agrees):
//!
//! ```
//! use party_bus::{BusAdmin, MemoryBus, async_trait, conformance::Stage};
//! use std::sync::Arc;
//!
//! struct InMemory(Arc<MemoryBus>);
//!
//! #[async_trait]
//! impl Stage for InMemory {
//!     async fn open(&self) -> Arc<dyn BusAdmin> {
//!         self.0.clone()
//!     }
//! }
//!
//! async fn make() -> InMemory {
//!     InMemory(Arc::new(MemoryBus::new()))
//! }
//!
//! party_bus::bus_conformance!(make);
//! party_bus::bus_model!(make, 64);
//! ```
//!
//! A case about something that the store does not declare passes, and says so. Every case has a
//! deadline: what hangs fails.

mod branching;
mod caring;
mod compacting;
mod erasing;
mod folding;
mod lasting;
mod leasing;
mod model;
mod placing;
mod pruning;
mod reading;
mod rules;
mod sample;
mod searching;
mod stage;
mod talk;
mod tangents;
mod waking;
mod watching;
mod writing;

pub use branching::*;
pub use caring::*;
pub use compacting::*;
pub use erasing::*;
pub use folding::*;
pub use lasting::*;
pub use leasing::*;
pub use model::agrees;
pub use placing::*;
pub use pruning::*;
pub use reading::*;
pub use rules::*;
pub use sample::{Sample, input, note, say};
pub use searching::*;
pub use stage::{NotDeclared, Played, Stage, judge};
pub use tangents::*;
pub use waking::*;
pub use watching::*;
pub use writing::*;

/// Makes a `#[tokio::test]` of each case; needs `tokio` with `rt-multi-thread` and `macros`. `$make` is an
/// async function that gives a new [`Stage`].
#[macro_export]
macro_rules! bus_conformance {
    ($make:path) => {
        $crate::bus_conformance! {
            @cases $make:
            a_batch_is_written_whole_or_not_at_all
            a_batch_that_breaks_a_rule_is_refused_and_named
            a_dropped_append_is_done_or_not_done
            a_repeated_batch_returns_the_first_receipt
            a_batch_id_with_other_content_is_a_conflict
            a_stale_head_is_a_conflict
            an_input_goes_behind_whatever_is_there
            an_input_to_no_session_is_not_found
            an_input_is_stamped_with_its_author
            a037_an_item_never_changes_and_is_stored_once
            offsets_are_dense_under_many_writers
            topology_that_does_not_fit_is_refused
            each_class_has_its_writers
            an_item_that_could_not_be_read_back_is_refused
            only_the_holder_of_the_lease_drives
            an_input_changes_nothing_but_the_log
            a_batch_beyond_a_limit_is_refused
            a_change_of_topology_of_a_newer_version_is_refused
            what_a_newer_writer_says_is_kept_as_it_came
            a_retry_needs_no_lease_and_no_head
            a_held_session_is_refused_to_another
            a_stale_token_is_fenced
            an_expired_lease_holds_until_it_is_taken
            a_release_frees_the_session_at_once
            a_dead_process_of_this_host_is_taken_over_at_once
            a087_what_is_written_comes_back_byte_for_byte
            a083_whatever_is_said_is_a_record_with_session_author_and_time
            a_page_ends_at_its_limits_and_says_where
            a_reader_ahead_of_the_head_is_rewound
            a_follower_sees_each_record_once_in_order
            a_follower_of_some_classes_sees_only_those
            what_is_recent_is_what_a_read_finds
            a_buffered_batch_is_visible_at_once
            a_wait_ends_when_the_session_grows
            a038_a_fan_out_is_one_item_and_an_entry_in_each_thread
            a039_each_thread_has_its_own_dense_order
            a_window_shows_any_part_of_a_thread
            windows_equal_the_fold_of_ops
            items_come_in_the_order_asked_for
            sessions_are_listed_newest_first
            the_last_snapshot_replaces_the_others
            a_closed_bus_refuses_everything
            a040_a_branch_shares_its_beginning_and_goes_its_own_way
            a041_a_branch_of_branches_reads_through_all_of_them
            a_branch_begins_at_any_entry
            a_branch_of_what_was_compacted_sees_what_its_parent_showed
            a_parent_that_goes_on_does_not_change_its_branches
            branches_of_branches_have_a_limit
            threads_are_named_within_their_session
            a042_a_compaction_shows_a_summary_and_keeps_the_originals
            a043_what_comes_while_a_summary_is_made_is_neither_lost_nor_covered
            compactions_nest_and_never_cross
            a_branch_compacts_what_it_inherits_for_itself
            a_window_at_every_position_equals_the_fold
            ten_thousand_random_windows_equal_the_fold_of_the_ops
            a044_a_tangent_keeps_its_anchor_and_leaves_its_parent_as_it_is
            a045_a_tangent_resolves_into_its_parent_once
            a191_an_abandoned_tangent_leaves_its_parent_as_it_was
            a191_a_tangent_of_a_tangent_resolves_into_that_one_only
            a_thread_that_ended_takes_no_entries
            each_kind_of_thread_ends_in_its_own_way
            threads_are_listed_oldest_first
            a_session_is_found_by_what_it_is_called
            sessions_are_due_when_their_time_has_come_and_nobody_drives_them
            an_input_wakes_its_session_and_the_driver_says_when_next
            of_many_who_claim_a_session_one_gets_it
            a_copy_that_is_not_complete_takes_no_inputs_and_is_not_due
            a_reader_of_another_epoch_is_rewound
            whoever_waits_for_any_session_misses_none
            whoever_waits_for_any_session_misses_none_of_another_handle
            more_sessions_than_an_answer_holds_are_all_told
            a_slow_follower_keeps_nobody_waiting
            a_wait_that_is_dropped_loses_nothing
            a_closed_bus_ends_every_wait
            a084_a_store_opened_again_shows_the_same_in_the_same_order
            a_driver_goes_on_after_the_store_was_opened_again
            what_was_buffered_is_there_after_a_close
            what_one_handle_writes_the_other_shows
            rules_hold_across_handles
            two_handles_write_one_session_without_holes
            a_sound_store_verifies
            what_is_not_declared_is_unsupported
            a_backup_is_a_new_file_of_its_owner
            an_erased_item_is_a_tombstone_wherever_it_stands
            an_erased_item_never_comes_back
            an_erased_body_is_replaced
            a085_what_is_erased_before_it_is_read_reaches_nobody
            pruned_trace_leaves_no_holes
            a_pruned_session_is_gone_and_its_id_is_free
            a_pruned_session_is_not_taken_for_the_next_of_its_name
            messages_are_found_by_their_words
            what_is_found_is_a_message_and_shown_in_part
            what_is_gone_is_not_found
        }
    };
    (@cases $make:path: $($case:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let stage = $make().await;
            let case = ::std::boxed::Box::pin($crate::conformance::$case(&stage));
            $crate::conformance::judge(stringify!($case), &stage, case).await;
        })*
    };
}

/// Makes a `#[test]` of [`agrees`](crate::conformance::agrees) with so many cases.
#[macro_export]
macro_rules! bus_model {
    ($make:path, $cases:expr) => {
        #[test]
        fn random_steps_on_two_handles_are_answered_as_by_the_store_in_memory() {
            $crate::conformance::agrees($cases, async || $make().await);
        }
    };
}
