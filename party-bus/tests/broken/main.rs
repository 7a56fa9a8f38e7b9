//! The suite fails what breaks a promise: handles of a store in memory with one fault each.

mod faulty;

use faulty::{Fault, Faulty, Shared};
use futures::{FutureExt as _, future::BoxFuture};
use party_bus::{
    Bus, BusAdmin, MemoryBus, Scope, async_trait,
    conformance::{self, Played, Stage, judge},
    verify,
};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

/// A store that many handles share, and that outlives them.
struct Broken {
    shared: Arc<Shared>,
    fault: Fault,
    patience: Duration,
}

impl Broken {
    fn new(fault: Fault) -> Self {
        Self { shared: Arc::new(Shared::new(MemoryBus::new())), fault, patience: Duration::from_secs(20) }
    }
}

#[async_trait]
impl Stage for Broken {
    async fn open(&self) -> Arc<dyn BusAdmin> {
        Arc::new(Faulty::open(&self.shared, self.fault))
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}

/// Judges a case by a store with the fault, and by one without it.
async fn fails<F>(fault: Fault, name: &str, case: F)
where
    F: for<'a> Fn(&'a dyn Stage) -> BoxFuture<'a, Played>,
{
    let sound = Broken::new(Fault::None);
    judge(name, &sound, case(&sound)).await;
    // What waits for ever is soon known to.
    let broken = Broken { patience: Duration::from_secs(2), ..Broken::new(fault) };
    let judged = AssertUnwindSafe(judge(name, &broken, case(&broken))).catch_unwind().await;
    assert!(judged.is_err(), "{fault:?} passes {name}");
}

macro_rules! each_fault_fails_its_case {
    ($($fault:ident: $($case:ident)+;)*) => {$($(
        mod $case {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[expect(non_snake_case, reason = "it is named for the fault")]
            async fn $fault() {
                fails(Fault::$fault, stringify!($case), |stage| conformance::$case(stage).boxed()).await;
            }
        }
    )+)*};
}

mod a207_every_fault_fails_the_case_that_is_about_it {
    use super::*;

    each_fault_fails_its_case! {
        LosesARecord: a084_a_store_opened_again_shows_the_same_in_the_same_order;
        Reorders: a_follower_sees_each_record_once_in_order offsets_are_dense_under_many_writers;
        GivesNewReceipts: a_repeated_batch_returns_the_first_receipt a_retry_needs_no_lease_and_no_head;
        LeaksCompactions: a_branch_compacts_what_it_inherits_for_itself;
        IgnoresFencing: a_stale_token_is_fenced only_the_holder_of_the_lease_drives;
        ShowsSummariesInTheArchive: a042_a_compaction_shows_a_summary_and_keeps_the_originals
            a_window_at_every_position_equals_the_fold
            ten_thousand_random_windows_equal_the_fold_of_the_ops;
        Resurrects: an_erased_item_never_comes_back;
        MissesChanges: whoever_waits_for_any_session_misses_none
            whoever_waits_for_any_session_misses_none_of_another_handle;
        KeepsWritersWaiting: a_slow_follower_keeps_nobody_waiting;
        NeverAnswers: an_input_goes_behind_whatever_is_there;
        SplitsBatches: a_batch_is_written_whole_or_not_at_all;
        ForgetsAnchors: a045_a_tangent_resolves_into_its_parent_once;
        TidiesBodies: a087_what_is_written_comes_back_byte_for_byte;
        HidesAuthors: a083_whatever_is_said_is_a_record_with_session_author_and_time
            an_input_is_stamped_with_its_author;
        CallsTheDriven: sessions_are_due_when_their_time_has_come_and_nobody_drives_them;
        ForgetsThatMoreComes: a_copy_that_is_not_complete_takes_no_inputs_and_is_not_due;
        IgnoresEpochs: a_reader_of_another_epoch_is_rewound;
        FindsAnyWord: messages_are_found_by_their_words;
        SkipsWhatIsRecent: what_is_recent_is_what_a_read_finds;
        LooksAtNothing: a_sound_store_verifies;
    }
}

/// Random steps find what is wrong, too.
#[test]
fn a_store_that_answers_wrongly_does_not_agree_with_the_one_in_memory() {
    for fault in [Fault::ShowsSummariesInTheArchive, Fault::GivesNewReceipts, Fault::IgnoresFencing] {
        let outcome = std::panic::catch_unwind(|| {
            conformance::agrees(200, async || Broken::new(fault));
        });
        assert!(outcome.is_err(), "{fault:?} agrees");
    }
    conformance::agrees(16, async || Broken::new(Fault::None));
}

/// A store that shows other than what its log says is told on.
#[tokio::test]
async fn verification_finds_what_does_not_fit_the_log() {
    let shared = Arc::new(Shared::new(MemoryBus::new()));
    drop(Faulty::open(&shared, Fault::None));
    let bus: Arc<dyn Bus> = Arc::new(Faulty::open(&shared, Fault::None));
    let mut sample = conformance::Sample::opened(&bus).await;
    let thread = sample.open_threads(1).await[0];
    let item = conformance::say(&party_core::Author::System, "a");
    let summary = conformance::say(&party_core::Author::System, "short");
    let add = party_core::Op::Add { threads: vec![thread], item: item.id, how: party_core::How::Said };
    let compact = party_core::Op::Compact { thread, first: 1, last: 1, item: summary.id };
    let record = conformance::note(party_core::RecordClass::Decision, "said").with_op(add).with_op(compact);
    sample.write([record.with_item(item).with_item(summary)]).await.expect("it fits");
    bus.append(conformance::input(sample.session, "posted")).await.expect("an input");
    for (fault, what) in [
        (Fault::None, None),
        (Fault::LosesARecord, Some("another head")),
        (Fault::Reorders, Some("stands behind record")),
        (Fault::ShowsSummariesInTheArchive, Some("Archive")),
        (Fault::HidesAuthors, Some("author")),
    ] {
        let report = verify(&Faulty::open(&shared, fault), Scope::Store).await.expect("it can be read");
        let found =
            report.problems.iter().find(|problem| what.is_some_and(|what| problem.what.contains(what)));
        assert_eq!(found.is_some(), what.is_some(), "{fault:?}: {:?}", report.problems);
        assert_eq!(report.problems.is_empty(), what.is_none(), "{fault:?}: {:?}", report.problems);
        assert!(report.problems.iter().all(|problem| problem.session == Some(sample.session)));
    }
}
