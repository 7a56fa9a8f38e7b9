//! The contract as tests, for backends in this crate and elsewhere: not a stable part of the API.
//!
//! Each case is a plain function over a store of its own. One line makes a test of each:
//!
//! ```
//! use party_bus::{Bus, MemoryBus};
//! use std::sync::Arc;
//!
//! /// A new store, and whatever must live as long as it does.
//! async fn make() -> (Arc<dyn Bus>, ()) {
//!     (Arc::new(MemoryBus::new()), ())
//! }
//!
//! party_bus::bus_conformance!(make);
//! ```

mod leasing;
mod reading;
mod sample;
mod writing;

pub use leasing::*;
pub use reading::*;
pub use sample::{Sample, input, note, say};
pub use writing::*;

/// Makes a `#[tokio::test]` of each case. `$make` is an async function that gives a new store as
/// `Arc<dyn Bus>`, and a guard that is kept until the case is over.
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
            an_item_is_stored_once_and_never_changes
            offsets_are_dense_under_many_writers
            topology_that_does_not_fit_is_refused
            a_held_session_is_refused_to_another
            a_stale_token_is_fenced
            an_expired_lease_holds_until_it_is_taken
            a_release_frees_the_session_at_once
            a_dead_process_of_this_host_is_taken_over_at_once
            a_body_comes_back_byte_for_byte
            a_page_ends_at_its_limits_and_says_where
            a_reader_ahead_of_the_head_is_rewound
            a_follower_sees_each_record_once_in_order
            a_follower_of_some_classes_sees_only_those
            a_buffered_batch_is_visible_at_once
            a_wait_ends_when_the_session_grows
            a_fan_out_puts_one_item_into_each_thread
            each_thread_has_its_own_dense_order
            a_window_shows_any_part_of_a_thread
            windows_equal_the_fold_of_ops
            items_come_in_the_order_asked_for
            sessions_are_listed_newest_first
            the_last_snapshot_replaces_the_others
            a_closed_bus_refuses_everything
        }
    };
    (@cases $make:path: $($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            let (bus, _guard) = $make().await;
            $crate::conformance::$case(bus).await;
        })*
    };
}
