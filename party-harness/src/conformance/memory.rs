//! Cases about what a runtime session remembers, and what it tells of itself.

use super::{
    Act, Played, Stage,
    host::View,
    play::{ANN, BOB, Play, declared, end_of, on, says},
};
use crate::{Close, Health, Recovery, ResumeToken, RuntimeSession, TurnEnd, TurnEvent};
use party_core::{Outcome, Sent};
use serde_json::json;
use std::sync::Arc;

async fn two_turns(stage: &dyn Stage) -> Result<Play<'_>, super::Skipped> {
    Play::ann(stage, [on("cue-1", [says("One.")]), on("cue-2", [says("Two.")])]).await
}

/// A turn whose whole view and news differ, and what came of it.
async fn run(
    play: &Play<'_>,
    session: &Arc<dyn RuntimeSession>,
    cue: &str,
    (whole, sent): (&str, Sent),
) -> TurnEnd {
    let (mut request, view) = (play.request(ANN, cue), View::new(whole));
    request.full = view.clone();
    let end = play.run(session, request).await;
    assert_eq!((end.outcome, end.sent, view.is_loaded()), (Outcome::Completed, sent, sent == Sent::Full));
    if let Some(heard) = play.stage.heard(ANN) {
        let said = heard.last().and_then(|heard| heard.said.last()).map(String::as_str);
        assert_eq!(said, Some(if sent == Sent::Full { whole } else { cue }), "{heard:?}");
    }
    end
}

/// The first turn is sent the whole view; later ones only what is new, where the session remembers.
pub async fn a_session_remembers_its_turns(stage: &dyn Stage) -> Played {
    let play = two_turns(stage).await?;
    let session = play.open(ANN).await;
    assert!(!session.state().resumed);
    run(&play, &session, "cue-1", ("the whole, cue-1", Sent::Full)).await;
    let sent = if play.capabilities.resume { Sent::Delta } else { Sent::Full };
    run(&play, &session, "cue-2", ("the whole, cue-2", sent)).await;
    Ok(())
}

/// So does another instance of the session that is opened by its token.
pub async fn a_resumed_session_remembers(stage: &dyn Stage) -> Played {
    declared(stage.capabilities().resume, "that it remembers")?;
    let play = two_turns(stage).await?;
    let session = play.open(ANN).await;
    let first = run(&play, &session, "cue-1", ("the whole, cue-1", Sent::Full)).await;
    session.close(Close::Orderly).await.expect("a close");
    drop(session);
    let session = play.resume(ANN, first.token.clone()).await;
    assert!(first.token.is_some() && session.state().resumed);
    assert_eq!(session.state().token, first.token);
    let second = run(&play, &session, "cue-2", ("the whole, cue-2", Sent::Delta)).await;
    assert_eq!(second.text.as_deref(), Some("Two."));
    if let Some(heard) = stage.heard(ANN).and_then(|mut heard| heard.pop()) {
        assert_eq!(heard.said, ["the whole, cue-1", "cue-2"], "it remembers the first turn");
    }
    Ok(())
}

/// A token that this adapter did not make is no error: the session is fresh.
pub async fn a_token_that_means_nothing_starts_afresh(stage: &dyn Stage) -> Played {
    declared(stage.capabilities().resume, "that it remembers")?;
    let tokens = [json!(null), json!("mine"), json!({"turns": -1, "v": 9, "id": "../../etc"}), json!([[7]])];
    let play = Play::of(stage, vec![on("", [says("Hello.")]); tokens.len()], Vec::new()).await?;
    for token in tokens {
        let session = play.resume(ANN, Some(ResumeToken(token.clone()))).await;
        assert!(!session.state().resumed, "{token}");
        let end = play.run(&session, play.request(ANN, "Hello?")).await;
        assert_eq!((end.outcome, end.sent), (Outcome::Completed, Sent::Full), "{token}: {end:?}");
        session.close(Close::Orderly).await.expect("a close");
    }
    Ok(())
}

/// Nor is one that was made for another seat, in other folders.
pub async fn a_token_of_another_seat_starts_afresh(stage: &dyn Stage) -> Played {
    declared(stage.capabilities().resume, "that it remembers")?;
    let says_its_own = |text| vec![on("", [says(text)])];
    let play = Play::of(stage, says_its_own("Ann."), says_its_own("Bob.")).await?;
    let token = play.run(&play.open(ANN).await, play.request(ANN, "Hello?")).await.token;
    let bob = play.resume(BOB, token).await;
    assert!(!bob.state().resumed);
    let end = play.run(&bob, play.request(BOB, "Hello?")).await;
    assert_eq!((end.sent, end.text.as_deref()), (Sent::Full, Some("Bob.")), "{end:?}");
    Ok(())
}

/// Health and token follow what happens.
pub async fn the_state_tells_the_truth(stage: &dyn Stage) -> Played {
    let play = Play::ann(stage, [on("cue-1", [says("One.")]), on("cue-2", [Act::Hang])]).await?;
    let session = play.open(ANN).await;
    assert_eq!(session.state().health, Health::Idle);
    let events = play.events(&session, play.request(ANN, "cue-1")).await;
    let end = end_of(&events);
    assert_eq!((session.state().health, session.state().token), (Health::Idle, end.token.clone()));
    assert_eq!(end.token.is_some(), play.capabilities.resume, "{end:?}");
    let (begun, turn) = play.begin(&session, play.request(ANN, "cue-2")).await;
    assert_eq!(session.state().health, Health::Running);
    for event in &begun {
        if let TurnEvent::Started { token, .. } = event {
            assert_eq!(session.state().token.as_ref(), Some(token), "known since the start");
        }
    }
    turn.control.interrupt().await.expect("an interrupt");
    let end = end_of(&play.read(begun, turn).await);
    assert_eq!((session.state().health, session.state().token), (Health::Idle, end.token));
    session.close(Close::Orderly).await.expect("a close");
    assert_eq!(session.state().health, Health::Closed);
    Ok(())
}

/// What the runtime never saw has cost nothing; without the capability nobody may know.
pub async fn a_turn_that_never_was_is_not_seen(stage: &dyn Stage) -> Played {
    let play = two_turns(stage).await?;
    let session = play.open(ANN).await;
    let recovery = session.recover(play.request(ANN, "cue-1").key).await.expect("an answer");
    match recovery {
        Recovery::NotSeen => {}
        Recovery::Unknown if !play.capabilities.recover => {}
        other => panic!("a turn that never was: {other:?}"),
    }
    let end = play.run(&session, play.request(ANN, "cue-1")).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    Ok(())
}

/// A turn that was there is never said not to have been. Where it is declared, its end is known.
pub async fn a_turn_that_ended_is_known(stage: &dyn Stage) -> Played {
    let play = two_turns(stage).await?;
    let session = play.open(ANN).await;
    let request = play.request(ANN, "cue-1");
    let key = request.key;
    let end = play.run(&session, request).await;
    session.close(Close::Orderly).await.expect("a close");
    drop(session);
    let session = play.resume(ANN, end.token.clone()).await;
    match session.recover(key).await.expect("an answer") {
        Recovery::Ended(known) => assert_eq!((known.outcome, known.text), (end.outcome, end.text)),
        Recovery::Unknown if !play.capabilities.recover => {}
        other => panic!("a turn that ended: {other:?}"),
    }
    let end = play.run(&session, play.request(ANN, "cue-2")).await;
    assert_eq!(end.text.as_deref(), Some("Two."), "{end:?}");
    Ok(())
}
