//! Turns one after another in one process.

use crate::{
    claude::{end_of, events_of},
    host::{Tools, begin, host, pid, tool},
    stage::{last, offered, said_by_user},
};
use party_core::{Outcome, Sent, Usd};
use party_harness::{Close, Health, TurnEvent};
use std::{fs, time::Duration};
use test_support::{ClaudeVersion, ModelTurn, Scenario};

test_support::on_each_claude!(
    a169_three_turns_are_served_by_one_process,
    a170_the_costs_of_turns_sum_up_to_the_sessions,
    other_tools_take_another_process_of_the_same_session,
    a_process_that_nobody_needs_goes_and_the_session_stays,
    a171_a_closed_session_leaves_no_process,
    a_dropped_session_leaves_no_process,
    many_turns_do_not_grow_the_process_or_its_host,
    a164_an_error_of_the_provider_fails_its_turn_and_no_other,
    an_empty_answer_ends_the_session_but_not_the_seat,
);

async fn a169_three_turns_are_served_by_one_process(version: ClaudeVersion) {
    let scenario = Scenario::new()
        .turn(ModelTurn::text("One.").when("first"))
        .turn(ModelTurn::text("Two.").when("second"))
        .turn(ModelTurn::text("Three.").when("third"));
    let (bench, fake) = host(version, scenario).await;
    let session = bench.open(None).await;
    let events = events_of(begin(&session, bench.request(1, 1, "", "first")).await).await;
    let TurnEvent::Ended(end) = events.last().unwrap() else { panic!() };
    assert_eq!((end.outcome, end.text.as_deref(), end.sent), (Outcome::Completed, Some("One."), Sent::Full));
    let process = pid(&bench);
    let token = end.token.clone();
    for (turn, delta, expected) in [(2, "second", "Two."), (3, "third", "Three.")] {
        let events = events_of(begin(&session, bench.request(turn, 1, delta, "never loaded")).await).await;
        assert!(matches!(&events[0], TurnEvent::Started { sent: Sent::Delta, .. }), "{events:?}");
        let started = events.iter().filter(|event| matches!(event, TurnEvent::Started { .. })).count();
        let TurnEvent::Ended(end) = events.last().unwrap() else { panic!() };
        assert_eq!((end.text.as_deref(), end.sent, started), (Some(expected), Sent::Delta, 1), "{end:?}");
        assert_eq!((pid(&bench), end.usage.steps), (process, 1));
        let (Some(new), Some(old)) = (&end.token, &token) else { panic!() };
        assert_eq!(new.0["id"], old.0["id"]);
    }
    assert_eq!(said_by_user(&last(&fake)), [["first"], ["second"], ["third"]]);
    session.close(Close::Orderly).await.unwrap();
    assert_eq!((bench.alive(), session.state().health), (0, Health::Closed));
}

async fn a170_the_costs_of_turns_sum_up_to_the_sessions(version: ClaudeVersion) {
    let (bench, _fake) = host(version, Scenario::new().default_turn(ModelTurn::text("Dear."))).await;
    let mut costs = Vec::new();
    let mut token = None;
    for turns in [1..=3, 4..=5] {
        let session = bench.open(token.take()).await;
        for turn in turns {
            let end = end_of(begin(&session, bench.request(turn, 1, "more", "begin")).await).await;
            costs.push(end.cost.amount().unwrap().as_micros());
            token = end.token;
        }
        if costs.len() == 3 {
            assert_eq!(token.as_ref().unwrap().0["total"], costs.iter().sum::<u64>());
        }
        session.close(Close::Orderly).await.unwrap();
    }
    // The runtime's figures are no whole millionths.
    assert!(costs[0] > 0 && costs.iter().all(|cost| cost.abs_diff(costs[0]) <= 1), "{costs:?}");
}

async fn other_tools_take_another_process_of_the_same_session(version: ClaudeVersion) {
    let (bench, fake) = host(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let session = bench.open_with(Tools::new(), None).await;
    let mut seen = Vec::new();
    for (turn, tools) in
        [(1, vec![]), (2, vec![tool("share")]), (3, vec![tool("share")]), (4, vec![tool("vote")])]
    {
        let mut request = bench.request(turn, 1, &format!("turn {turn}"), "begin");
        request.tools = tools;
        let end = end_of(begin(&session, request).await).await;
        assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
        seen.push((pid(&bench), offered(&last(&fake)), end.token.unwrap().0["id"].clone()));
    }
    assert_eq!(
        [&seen[0].1, &seen[1].1, &seen[3].1],
        [&vec![], &vec!["mcp__party__share"], &vec!["mcp__party__vote"]]
    );
    assert_eq!(seen[1].0, seen[2].0, "the same tools, the same process");
    assert!(seen[0].0 != seen[1].0 && seen[2].0 != seen[3].0, "{seen:?}");
    assert!(seen.iter().all(|(.., id)| *id == seen[0].2), "one session");
    assert_eq!(said_by_user(&last(&fake)).concat(), ["begin", "turn 2", "turn 3", "turn 4"]);
}

async fn a_process_that_nobody_needs_goes_and_the_session_stays(version: ClaudeVersion) {
    let (bench, fake) = host(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let bench = bench.idle(Duration::from_millis(50));
    let session = bench.open(None).await;
    let end = end_of(begin(&session, bench.request(1, 1, "", "one")).await).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    bench.until("the process is gone", || bench.alive() == 0).await;
    let end = end_of(begin(&session, bench.request(2, 1, "two", "never")).await).await;
    assert_eq!((end.outcome, end.sent), (Outcome::Completed, Sent::Delta), "{end:?}");
    assert_eq!(said_by_user(&last(&fake)), [["one"], ["two"]]);
}

async fn a171_a_closed_session_leaves_no_process(version: ClaudeVersion) {
    for how in [Close::Orderly, Close::Now] {
        let (bench, fake) = host(
            version,
            Scenario::new().turn(ModelTurn::empty().hang()).default_turn(ModelTurn::text("Back.")),
        )
        .await;
        let session = bench.open(None).await;
        let turn = begin(&session, bench.request(1, 1, "", "begin")).await;
        fake.wait_for_model_requests(1).await;
        session.close(how).await.unwrap();
        assert_eq!((bench.alive(), bench.locks().len()), (0, 0));
        let end = end_of(turn).await;
        assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
        let session = bench.open(end.token).await;
        let end = end_of(begin(&session, bench.request(2, 1, "again", "again")).await).await;
        assert_eq!(end.text.as_deref(), Some("Back."), "{end:?}");
    }
}

async fn a_dropped_session_leaves_no_process(version: ClaudeVersion) {
    let (bench, _fake) = host(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let session = bench.open(None).await;
    end_of(begin(&session, bench.request(1, 1, "", "begin")).await).await;
    pid(&bench);
    drop(session);
    bench.until("the process is gone", || bench.alive() == 0).await;
}

async fn many_turns_do_not_grow_the_process_or_its_host(version: ClaudeVersion) {
    let (bench, _fake) = host(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let session = bench.open(None).await;
    let mut files = Vec::new();
    for turn in 1..=64 {
        let end = end_of(begin(&session, bench.request(turn, 1, "more", "begin")).await).await;
        assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
        let count = |pid: String| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        files.push((pid(&bench), count(pid(&bench).to_string())));
    }
    assert!(files.iter().all(|(pid, _)| *pid == files[0].0), "{files:?}");
    assert!(files[63].1 <= files[7].1 + 4, "{files:?}");
}

async fn a164_an_error_of_the_provider_fails_its_turn_and_no_other(version: ClaudeVersion) {
    let error = ModelTurn::error(500, "api_error", "fake trouble").times(2);
    let (bench, _fake) =
        host(version, Scenario::new().turn(error).default_turn(ModelTurn::text("Fine."))).await;
    let session = bench.open(None).await;
    let end = end_of(begin(&session, bench.request(1, 1, "", "begin")).await).await;
    assert_eq!((end.outcome, end.cost.amount(), end.text), (Outcome::Failed, Some(Usd::ZERO), None));
    assert!(end.reason.as_deref().unwrap().contains("500"), "{:?}", end.reason);
    let process = pid(&bench);
    let end = end_of(begin(&session, bench.request(2, 1, "again", "never")).await).await;
    assert_eq!((end.text.as_deref(), pid(&bench)), (Some("Fine."), process), "{end:?}");
}

async fn an_empty_answer_ends_the_session_but_not_the_seat(version: ClaudeVersion) {
    let silent = ModelTurn::empty().times(2);
    let (bench, fake) =
        host(version, Scenario::new().turn(silent).default_turn(ModelTurn::text("Fine."))).await;
    let session = bench.open(None).await;
    let end = end_of(begin(&session, bench.request(1, 1, "", "begin")).await).await;
    assert_eq!((end.outcome, end.token), (Outcome::Empty, None));
    let end = end_of(begin(&session, bench.request(2, 1, "delta", "the whole")).await).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Fine."), Sent::Full), "{end:?}");
    assert_eq!(said_by_user(&last(&fake)), [["the whole"]]);
}
