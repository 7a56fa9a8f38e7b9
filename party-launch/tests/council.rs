//! A whole council on scripted agents.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{PERSONAS, council, folded, in_words, release, replay, script};
use party_launch::{
    ErrorKind, Party, Seat,
    bus::{Batch, Bus, BusExt, Classes, Fault, FaultyBus, LeaseOp, MemoryBus, Owner, SessionQuery},
    core::{
        Author, BatchId, CloseReason, Document, NewRecord, Offset, SessionId, SessionOpened, ThreadId,
        Timestamp, Usd,
    },
    formats::Format,
    harness::scripted::{Scripted, Step},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

async fn texts(party: &Party) -> Vec<String> {
    let mut feed = party.feed();
    let mut texts = Vec::new();
    while let Some(item) = feed.next().await.unwrap() {
        texts.push(format!("{}: {}", item.author, item.text()));
    }
    texts
}

#[tokio::test]
async fn a057_a055_the_feed_has_question_opinions_in_roster_order_and_one_synthesis() {
    let party = council(Arc::new(MemoryBus::new()), script(), 1).start("Ship?").await.unwrap();
    let mut expected = vec!["you: Ship?".to_owned()];
    expected.extend(PERSONAS.map(|name| format!("{name}: {name} in round 1")));
    expected.push("Maat: Settled.".into());
    assert_eq!(texts(&party).await, expected);
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    assert_eq!(party.spent(), Usd::from_micros(60_000));
    party.shutdown().await.unwrap();
}

#[tokio::test]
async fn synced_commits_are_turns_and_one() {
    for rounds in [1, 2] {
        let bus = Arc::new(FaultyBus::new(Arc::new(MemoryBus::new()), Fault::none()));
        let party = council(bus.clone(), script(), rounds).start("Ship?").await.unwrap();
        party.finished().await.unwrap();
        party.shutdown().await.unwrap();
        assert_eq!(bus.synced_appends(), u64::from(4 * rounds + 1) + 1);
    }
}

#[tokio::test]
async fn the_same_party_twice_gives_the_same_log_and_a_replay_the_same_state() {
    let mut logs = Vec::new();
    for _ in 0..2 {
        let bus = Arc::new(MemoryBus::new());
        let party = council(bus.clone(), script(), 2).start("Ship?").await.unwrap();
        let session = party.session();
        party.finished().await.unwrap();
        let live = party.state().await.unwrap();
        party.shutdown().await.unwrap();
        let records = folded(bus.as_ref(), session).await;
        let every = bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap();
        let (filtered, whole) = (replay(session, &records), replay(session, &every));
        assert_eq!(live.closed(), Some(CloseReason::Finished));
        assert_eq!((&filtered, &whole), (&live, &live));
        logs.push((
            in_words(session, &records),
            records.iter().map(|record| record.offset).collect::<Vec<_>>(),
        ));
    }
    assert_eq!(logs[0], logs[1]);
}

/// What a crash-free run says.
async fn undisturbed(rounds: u32) -> (Vec<String>, u64) {
    let inner = Arc::new(MemoryBus::new());
    let bus = Arc::new(FaultyBus::new(inner.clone(), Fault::none()));
    let party = council(bus.clone(), script(), rounds).start("Ship?").await.unwrap();
    party.finished().await.unwrap();
    let session = party.session();
    party.shutdown().await.unwrap();
    (in_words(session, &folded(inner.as_ref(), session).await), bus.appends())
}

/// Crashes a council with `fault`, then resumes it on the bus inside.
async fn crashed_and_resumed(fault: Fault, rounds: u32) -> Option<Vec<String>> {
    let inner: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let bus = Arc::new(FaultyBus::new(Arc::clone(&inner), fault));
    if let Ok(party) = council(bus, script(), rounds).start("Ship?").await {
        let _ = party.finished().await;
        let _ = party.shutdown().await;
    }
    let sessions = inner.sessions(SessionQuery::newest()).await.unwrap();
    let session = sessions.entries.first()?.session;
    release(inner.as_ref(), session, 1).await;
    let acknowledged = in_words(session, &folded(inner.as_ref(), session).await);
    let party = common::builder(Arc::clone(&inner), script()).resume(session).await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    party.shutdown().await.unwrap();
    let log = in_words(session, &folded(inner.as_ref(), session).await);
    assert_eq!(log[..acknowledged.len()], acknowledged, "what was acknowledged stays");
    Some(log)
}

#[tokio::test]
async fn a201_killed_at_every_append_and_resumed_the_final_log_is_the_same() {
    let (expected, appends) = undisturbed(2).await;
    for append in 1..=appends {
        let before = crashed_and_resumed(Fault::crash_before(append), 2).await;
        assert_eq!(before.is_none(), append == 1, "only a party that never began is not there");
        for log in before.into_iter().chain(crashed_and_resumed(Fault::crash_after(append), 2).await) {
            assert_eq!(log, expected, "crash at append {append}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_full_for_a_while_costs_no_turn_and_no_word() {
    let (expected, appends) = undisturbed(2).await;
    for append in 2..=appends {
        let inner = Arc::new(MemoryBus::new());
        let bus = Arc::new(FaultyBus::new(inner.clone(), Fault::full(append, 14)));
        let party = council(bus.clone(), script(), 2).start("Ship?").await.unwrap();
        assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
        assert_eq!(party.failing(), None);
        let session = party.session();
        party.shutdown().await.unwrap();
        let records = folded(inner.as_ref(), session).await;
        assert_eq!(in_words(session, &records), expected, "full at append {append}");
        assert!(!records.iter().any(|record| record.kind == "attemptEnded"), "full at append {append}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_holds_what_a_full_store_does_not_take_says_so_and_can_be_shut_down() {
    let inner: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let bus = Arc::new(FaultyBus::new(Arc::clone(&inner), Fault::full(2, u64::MAX - 2)));
    let party = council(bus.clone(), script(), 1).start("Ship?").await.unwrap();
    while party.failing().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(party.failing().unwrap().starts_with("no space is left"));
    let session = party.session();
    let error = party.shutdown().await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("no space is left")), (ErrorKind::Bus, true));
    let party = common::builder(inner, script()).resume(session).await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    let error =
        council(Arc::new(FaultyBus::new(Arc::new(MemoryBus::new()), Fault::full(1, 99))), script(), 1)
            .start("Ship?")
            .await
            .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bus, "a session that never began is not waited for");
}

#[tokio::test]
async fn a072_personas_that_fail_hang_or_stay_silent_are_absent_and_the_rest_go_on() {
    let script = script()
        .agent("Mary", [Step { fail: Some("no disk".into()), ..Step::default() }])
        .agent("John", [Step { hang: true, ..Step::default() }])
        .agent("Winston", []);
    let format = Format::council().with_timeout_secs(1);
    let bus = Arc::new(MemoryBus::new());
    let party = council(bus.clone(), script, 1).format(format).start("Ship?").await.unwrap();
    assert_eq!(texts(&party).await, ["you: Ship?", "James: James in round 1", "Maat: Settled."]);
    let log = in_words(party.session(), &folded(bus.as_ref(), party.session()).await);
    let quiesced = log.iter().find(|line| line.starts_with("quiesced")).unwrap();
    for reason in ["SeatId(0), reason: Failed", "SeatId(1), reason: TimedOut", "SeatId(2), reason: Empty"] {
        assert!(quiesced.contains(reason), "{quiesced}");
    }
}

#[tokio::test]
async fn a072_with_all_absent_it_closes_below_quorum_and_keeps_what_was_said() {
    let mut script = script();
    for name in PERSONAS {
        script = script.agent(name, []);
    }
    let party = council(Arc::new(MemoryBus::new()), script, 1).start("Ship?").await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::BelowQuorum);
    assert_eq!(texts(&party).await, ["you: Ship?"]);
}

#[tokio::test]
async fn a082_stop_ends_what_runs_and_closes_as_aborted() {
    let script = script().agent("Mary", [Step { hang: true, ..Step::default() }]);
    let party = council(Arc::new(MemoryBus::new()), script, 1).start("Ship?").await.unwrap();
    party.stop().await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Aborted);
    assert_eq!(party.post("Too late").await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn shutdown_leaves_a_party_that_resumes_and_a_closed_one_is_only_read() {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let slow = script().agent("Mary", [Step { hang: true, ..Step::default() }]);
    let party = council(Arc::clone(&bus), slow, 1).start("Ship?").await.unwrap();
    let session = party.session();
    party.shutdown().await.unwrap();
    let party = common::builder(Arc::clone(&bus), script()).resume(session).await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    party.shutdown().await.unwrap();
    let head = bus.head(session).await.unwrap();
    let party = common::builder(Arc::clone(&bus), script()).resume(session).await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    assert_eq!(bus.head(session).await.unwrap(), head);
}

#[tokio::test]
async fn a_session_of_a_newer_version_is_left_as_it_is() {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let session = SessionId::derive(&[b"newer"]);
    let (document, item) = Document::new(serde_json::to_string(&Format::forum()).unwrap());
    let feed = ThreadId::derive(&[b"feed"]);
    let opened = SessionOpened {
        min_engine: 2,
        format_name: "forum".into(),
        format: document,
        feed,
        seats: Vec::new(),
        budget: None,
        host_tools: Vec::new(),
    };
    let record = NewRecord::new(Timestamp::default(), &opened.into()).with_item(item);
    let acquire = LeaseOp::Acquire { session, owner: Owner::this_process(), term: Duration::from_secs(9) };
    let lease = bus.lease(acquire).await.unwrap().unwrap();
    let id = BatchId::derive(&[b"newer"]);
    bus.append(Batch::driver(session, id, Offset::START, lease.fencing_token, vec![record])).await.unwrap();
    release(bus.as_ref(), session, lease.fencing_token).await;
    let error = common::builder(Arc::clone(&bus), script()).resume(session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NewerVersion);
    assert!(error.to_string().contains("it wants engine version 2"), "{error}");
    assert_eq!(bus.head(session).await.unwrap(), Offset(1));
}

#[tokio::test]
async fn a_session_has_one_driver_and_what_cannot_be_resumed_is_refused() {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let hanging = script().agent("Mary", [Step { hang: true, ..Step::default() }]);
    let party = council(Arc::clone(&bus), hanging, 1).start("Ship?").await.unwrap();
    let resume = |session| common::builder(Arc::clone(&bus), script()).resume(session);
    assert_eq!(resume(party.session()).await.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(resume(SessionId::derive(&[])).await.unwrap_err().kind(), ErrorKind::NotFound);
    let forged =
        common::builder(Arc::clone(&bus), script()).author(Author::agent("Maat")).resume(party.session());
    assert_eq!(forged.await.unwrap_err().kind(), ErrorKind::Invalid);
    let changed = council(Arc::clone(&bus), script(), 1).resume(party.session()).await.unwrap_err();
    assert_eq!(changed.kind(), ErrorKind::Invalid);
    let empty = council(Arc::clone(&bus), script(), 1).start(" ").await;
    assert_eq!(empty.unwrap_err().kind(), ErrorKind::Invalid);
    let sessions = async || bus.sessions(SessionQuery::newest()).await.unwrap().entries.len();
    let before = sessions().await;
    let homeless =
        Party::builder(Arc::clone(&bus)).harness(Scripted::new(script())).environment(BTreeMap::new());
    let nowhere = homeless.seat(Seat::new("Mary", "participant")).start("Ship?").await.unwrap_err();
    assert_eq!(nowhere.to_string(), "no folder for the agents: set one, or HOME in their environment");
    assert_eq!(sessions().await, before, "nothing is written");
    let forged = council(Arc::clone(&bus), script(), 1).author(Author::agent("Maat")).start("Ship?").await;
    assert_eq!(forged.unwrap_err().to_string(), "`Maat` is no person: only people speak through a handle");
}
