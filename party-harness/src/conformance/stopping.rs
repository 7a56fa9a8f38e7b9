//! Cases about turns and sessions that are stopped.

use super::{
    Act, Played, Skipped, Stage,
    play::{ANN, BOB, Play, end_of, on, says, until},
};
use crate::{Close, ErrorKind, Health, RuntimeSession};
use party_core::Outcome;
use std::sync::Arc;

/// Ann never ends her first turn, and says "Next." in her second.
async fn stuck(stage: &dyn Stage) -> Result<Play<'_>, Skipped> {
    Play::ann(stage, [on("cue-1", [Act::Hang]), on("cue-2", [says("Next.")])]).await
}

async fn next_turn_works(play: &Play<'_>, session: &Arc<dyn RuntimeSession>) {
    let end = play.run(session, play.request(ANN, "cue-2")).await;
    assert_eq!(end.text.as_deref(), Some("Next."), "{end:?}");
}

/// The turn ends as cancelled; a second interrupt and one after the end do nothing.
pub async fn an_interrupt_ends_the_turn_and_nothing_else(stage: &dyn Stage) -> Played {
    let play = stuck(stage).await?;
    let session = play.open(ANN).await;
    let (begun, turn) = play.begin(&session, play.request(ANN, "cue-1")).await;
    let control = Arc::clone(&turn.control);
    control.interrupt().await.expect("an interrupt");
    control.interrupt().await.expect("a second one");
    let end = end_of(&play.read(begun, turn).await);
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    control.interrupt().await.expect("one after the end");
    play.is_at_rest(ANN).await;
    next_turn_works(&play, &session).await;
    Ok(())
}

/// However early it comes.
pub async fn an_interrupt_before_the_first_event_ends_the_turn(stage: &dyn Stage) -> Played {
    let play = stuck(stage).await?;
    let session = play.open(ANN).await;
    let turn = session.turn(play.request(ANN, "cue-1")).await.expect("a turn starts");
    turn.control.interrupt().await.expect("an interrupt");
    let end = end_of(&play.read(Vec::new(), turn).await);
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    play.rests(ANN).await;
    next_turn_works(&play, &session).await;
    Ok(())
}

/// Nobody reads any more: the run ends, nothing is left of it, and the session is free.
pub async fn a_dropped_turn_ends_and_frees_the_session(stage: &dyn Stage) -> Played {
    let play = stuck(stage).await?;
    let session = play.open(ANN).await;
    let (_, turn) = play.begin(&session, play.request(ANN, "cue-1")).await;
    drop(turn);
    until(|| session.state().health == Health::Idle).await;
    play.rests(ANN).await;
    next_turn_works(&play, &session).await;
    Ok(())
}

async fn closes(stage: &dyn Stage, how: Close) -> Played {
    let play = stuck(stage).await?;
    let session = play.open(ANN).await;
    let (begun, turn) = play.begin(&session, play.request(ANN, "cue-1")).await;
    // Nobody reads meanwhile.
    session.close(how).await.expect("a close");
    play.is_gone(ANN).await;
    let end = end_of(&play.read(begun, turn).await);
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    session.close(how).await.expect("a second close");
    session.close(Close::Now).await.expect("a third one");
    // What was known of it is good for another instance.
    let session = play.resume(ANN, end.token).await;
    next_turn_works(&play, &session).await;
    Ok(())
}

/// In its own time, and whole.
pub async fn an_orderly_close_ends_a_running_turn(stage: &dyn Stage) -> Played {
    closes(stage, Close::Orderly).await
}

/// At once, and whole.
pub async fn a_close_now_ends_a_running_turn(stage: &dyn Stage) -> Played {
    closes(stage, Close::Now).await
}

/// A close is for good, also of a session that had no turn.
pub async fn a_closed_session_takes_no_turn(stage: &dyn Stage) -> Played {
    let play = Play::ann(stage, [on("", [says("Never said.")])]).await?;
    let session = play.open(ANN).await;
    for how in [Close::Now, Close::Orderly] {
        session.close(how).await.expect("a close");
        assert_eq!(session.state().health, Health::Closed);
        let error = session.turn(play.request(ANN, "Hello?")).await.expect_err("it is closed");
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
    assert!(stage.heard(ANN).is_none_or(|heard| heard.is_empty()));
    Ok(())
}

/// All sessions, running or not, read or not.
pub async fn a_shutdown_ends_everything(stage: &dyn Stage) -> Played {
    let hangs = || vec![on("", [Act::Hang])];
    let play = Play::of(stage, hangs(), hangs()).await?;
    let (ann, bob) = (play.open(ANN).await, play.open(BOB).await);
    let (began, first) = play.begin(&ann, play.request(ANN, "Ann")).await;
    let (begun, second) = play.begin(&bob, play.request(BOB, "Bob")).await;
    play.harness.shutdown().await.expect("a shutdown");
    play.harness.shutdown().await.expect("a second one");
    play.is_gone(ANN).await;
    play.is_gone(BOB).await;
    let ends = [end_of(&play.read(began, first).await), end_of(&play.read(begun, second).await)];
    for end in ends {
        assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    }
    let error = ann.turn(play.request(ANN, "Ann")).await.expect_err("it was shut down");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    Ok(())
}
