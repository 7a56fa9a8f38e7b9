//! Which runtime session a turn goes on with.

use crate::{
    claude,
    claude::{end_of, events_of},
    stage::{last, said_by_user, said_to, stage, system},
};
use party_core::{Outcome, Sent};
use party_harness::TurnEvent;
use std::fs;
use test_support::{ClaudeVersion, ModelTurn, Scenario};

test_support::on_each_claude!(
    an_agent_that_is_defined_anew_begins_anew_with_the_whole_view,
    a_session_is_resumed_in_the_folder_that_it_began_in_only,
    a_session_that_is_gone_begins_anew_with_the_whole_view,
);

/// A resumed session of the current version goes on with its old system prompt, whatever it is given.
async fn an_agent_that_is_defined_anew_begins_anew_with_the_whole_view(version: ClaudeVersion) {
    let (bench, fake) = stage(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let mut spec = bench.spec(None);
    let mut tokens = Vec::new();
    for (turn, prompt, sent) in [
        (1, "You are Mary.", Sent::Full),
        (2, "You are Maria.", Sent::Full),
        (3, "You are Maria.", Sent::Delta),
    ] {
        spec.system_prompt = prompt.into();
        let session = claude::open(&bench, spec.clone()).await;
        let end = end_of(session.turn(bench.request(turn, 1, "delta", "whole")).await.unwrap()).await;
        assert_eq!((end.outcome, end.sent), (Outcome::Completed, sent), "{prompt}: {end:?}");
        assert!(system(&last(&fake)).contains(prompt), "{prompt}");
        spec.resume = end.token.clone();
        tokens.push(end.token.unwrap().0["id"].clone());
    }
    assert!(tokens[0] != tokens[1] && tokens[1] == tokens[2], "{tokens:?}");
    assert_eq!(said_by_user(&last(&fake)), [["whole"], ["delta"]]);
}

/// One version finds it from elsewhere too, the other does not.
async fn a_session_is_resumed_in_the_folder_that_it_began_in_only(version: ClaudeVersion) {
    let (bench, fake) = stage(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let mut spec = bench.spec(None);
    let session = claude::open(&bench, spec.clone()).await;
    let first = end_of(session.turn(bench.request(1, 1, "first", "first")).await.unwrap()).await;
    spec.resume = first.token;
    spec.cwd = bench.path().join("elsewhere");
    fs::create_dir(&spec.cwd).unwrap();
    let session = claude::open(&bench, spec).await;
    let end = end_of(session.turn(bench.request(2, 1, "delta", "whole")).await.unwrap()).await;
    assert_eq!((end.outcome, end.sent), (Outcome::Completed, Sent::Full), "{end:?}");
    assert_eq!(said_by_user(&last(&fake)), [["whole"]]);
}

async fn a_session_that_is_gone_begins_anew_with_the_whole_view(version: ClaudeVersion) {
    let (bench, fake) = stage(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let session = bench.open(None).await;
    let end = end_of(session.turn(bench.request(1, 1, "first", "first")).await.unwrap()).await;
    fs::remove_dir_all(bench.home().join(".claude")).unwrap();
    let events = events_of(session.turn(bench.request(2, 1, "second", "all of it")).await.unwrap()).await;
    let TurnEvent::Ended(second) = events.last().unwrap() else { panic!() };
    assert_eq!((second.outcome, second.sent), (Outcome::Completed, Sent::Full), "{second:?}");
    assert_ne!(second.token, end.token);
    assert_eq!(events.iter().filter(|event| matches!(event, TurnEvent::Started { .. })).count(), 1);
    assert_eq!(said_to(&last(&fake)), "all of it");
    // A host that lost all its own files finds the name in use.
    let session = bench.forget().open(None).await;
    let end = end_of(session.turn(bench.request(3, 1, "third", "once more")).await.unwrap()).await;
    assert_eq!((end.outcome, end.sent), (Outcome::Completed, Sent::Full), "{end:?}");
}
