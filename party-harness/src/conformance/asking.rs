//! Cases about questions of the runtime, and about messages to a running turn.

use super::{
    Act, Played, Skipped, Stage,
    play::{ANN, Play, declared, end_of, not_shown, on, says},
};
use crate::{
    Answer, ErrorKind, Permissions, RequestId, RuntimeSession, Steered, Turn, TurnEvent, TurnRequest,
};
use futures::StreamExt as _;
use party_core::Outcome;
use std::sync::Arc;

/// Ann, about to use a tool of her own, in a turn that asks or does not.
async fn asks(stage: &dyn Stage, ask: bool) -> Result<(Play<'_>, TurnRequest), Skipped> {
    declared(stage.capabilities().permissions != Permissions::Never, "that it asks")?;
    let Some((name, _)) = stage.own_tool() else { return not_shown("a tool of the runtime's own") };
    let play =
        Play::ann(stage, [on("cue-1", [Act::Own, says("Done.")]), on("cue-2", [says("Next.")])]).await?;
    let mut request = play.request(ANN, "cue-1");
    (request.own_tools, request.ask) = (vec![name], ask);
    Ok((play, request))
}

/// Reads until the runtime asks.
async fn asked(
    stage: &dyn Stage,
    session: &Arc<dyn RuntimeSession>,
    request: TurnRequest,
) -> (Vec<TurnEvent>, Turn, RequestId) {
    let (name, arguments) = stage.own_tool().expect("there is one");
    let mut turn = session.turn(request).await.expect("a turn starts");
    let mut events = Vec::new();
    loop {
        let event = turn.events.next().await.expect("a turn that asks has not ended");
        events.push(event.clone());
        assert!(!matches!(event, TurnEvent::Ended(_)), "it ended instead of asking: {events:?}");
        if let TurnEvent::PermissionAsked { request, tool, input } = event {
            assert_eq!((tool, input.value()), (name, arguments));
            return (events, turn, request);
        }
    }
}

/// An answer to no question changes nothing; the right one lets the turn go on.
pub async fn a_permitted_tool_is_used(stage: &dyn Stage) -> Played {
    let (play, request) = asks(stage, true).await?;
    let session = play.open(ANN).await;
    let (begun, turn, question) = asked(stage, &session, request).await;
    let control = Arc::clone(&turn.control);
    let deny = Answer::Deny { why: "nobody asked".to_owned() };
    control.answer(RequestId("nobody's".to_owned()), deny.clone()).await.expect("it does nothing");
    control.answer(question.clone(), Answer::Allow).await.expect("an answer");
    control.answer(question.clone(), deny.clone()).await.expect("a second one does nothing");
    let events = play.read(begun, turn).await;
    assert_eq!(end_of(&events).text.as_deref(), Some("Done."), "{events:?}");
    let is_refused = |event: &TurnEvent| matches!(event, TurnEvent::ToolResult { is_error: true, .. });
    assert!(!events.iter().any(is_refused), "{events:?}");
    control.answer(question, deny).await.expect("one after the end does nothing");
    Ok(())
}

/// The model is told why, and goes on.
pub async fn a_denied_tool_is_not_used(stage: &dyn Stage) -> Played {
    let (play, request) = asks(stage, true).await?;
    let session = play.open(ANN).await;
    let (begun, turn, question) = asked(stage, &session, request).await;
    let why = "the host says no".to_owned();
    turn.control.answer(question, Answer::Deny { why: why.clone() }).await.expect("an answer");
    let events = play.read(begun, turn).await;
    assert_eq!(end_of(&events).text.as_deref(), Some("Done."), "{events:?}");
    let told = events.iter().any(|event| match event {
        TurnEvent::ToolResult { text, is_error, .. } => *is_error && text.contains(&why),
        _ => false,
    });
    assert!(told, "{events:?}");
    Ok(())
}

/// A turn that is not to ask uses its tools freely.
pub async fn a_tool_that_needs_no_leave_asks_for_none(stage: &dyn Stage) -> Played {
    let (play, request) = asks(stage, false).await?;
    let events = play.events(&play.open(ANN).await, request).await;
    assert_eq!(end_of(&events).text.as_deref(), Some("Done."), "{events:?}");
    let is_question = |event: &TurnEvent| matches!(event, TurnEvent::PermissionAsked { .. });
    assert!(!events.iter().any(is_question), "{events:?}");
    Ok(())
}

/// A question ends with its turn.
pub async fn an_interrupt_withdraws_a_question(stage: &dyn Stage) -> Played {
    let (play, request) = asks(stage, true).await?;
    let session = play.open(ANN).await;
    let (begun, turn, question) = asked(stage, &session, request).await;
    let control = Arc::clone(&turn.control);
    control.interrupt().await.expect("an interrupt");
    let end = end_of(&play.read(begun, turn).await);
    assert_eq!(end.outcome, Outcome::Cancelled, "{end:?}");
    control.answer(question, Answer::Allow).await.expect("it does nothing");
    let end = play.run(&session, play.request(ANN, "cue-2")).await;
    assert_eq!(end.text.as_deref(), Some("Next."), "{end:?}");
    Ok(())
}

/// Runs a turn in which nothing is asked, and gives its control.
async fn quiet<'a>(stage: &'a dyn Stage) -> Result<(Play<'a>, Turn), Skipped> {
    let play = Play::ann(stage, [on("", [says("Hello.")])]).await?;
    let turn = play.open(ANN).await.turn(play.request(ANN, "Hello?")).await.expect("a turn starts");
    Ok((play, turn))
}

/// An adapter that never asks says so, and the turn goes on.
pub async fn an_answer_is_unsupported_where_nothing_is_asked(stage: &dyn Stage) -> Played {
    declared(stage.capabilities().permissions == Permissions::Never, "that it never asks")?;
    let (play, turn) = quiet(stage).await?;
    let answer = turn.control.answer(RequestId("1".to_owned()), Answer::Allow).await;
    assert_eq!(answer.expect_err("it never asks").kind(), ErrorKind::Unsupported);
    assert_eq!(end_of(&play.read(Vec::new(), turn).await).outcome, Outcome::Completed);
    Ok(())
}

/// The agent is told within the turn; after its end it is too late.
pub async fn a_running_turn_takes_a_message(stage: &dyn Stage) -> Played {
    declared(stage.capabilities().steer, "that a running turn takes messages")?;
    let play = Play::ann(stage, [on("", [Act::AwaitSteer, says("As you say.")])]).await?;
    let session = play.open(ANN).await;
    let (begun, turn) = play.begin(&session, play.request(ANN, "Think.")).await;
    let control = Arc::clone(&turn.control);
    assert_eq!(control.steer("And hurry.".to_owned()).await.expect("a message"), Steered::Taken);
    stage.steered(ANN);
    let end = end_of(&play.read(begun, turn).await);
    assert_eq!(end.text.as_deref(), Some("As you say."), "{end:?}");
    if let Some(heard) = stage.heard(ANN) {
        assert!(heard.iter().any(|heard| heard.said.iter().any(|said| said == "And hurry.")), "{heard:?}");
    }
    assert_eq!(control.steer("Too late.".to_owned()).await.expect("an answer"), Steered::TooLate);
    Ok(())
}

/// Nothing is sent, and the turn goes on.
pub async fn a_message_is_unsupported_where_none_is_taken(stage: &dyn Stage) -> Played {
    declared(!stage.capabilities().steer, "that a running turn takes no messages")?;
    let (play, turn) = quiet(stage).await?;
    let steered = turn.control.steer("And hurry.".to_owned()).await;
    assert_eq!(steered.expect_err("it takes none").kind(), ErrorKind::Unsupported);
    assert_eq!(end_of(&play.read(Vec::new(), turn).await).outcome, Outcome::Completed);
    Ok(())
}
