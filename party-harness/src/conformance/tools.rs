//! Cases about the host's tools.

use super::{
    Played, Skipped, Stage,
    play::{ANN, BOB, Play, calls, declared, end_of, on, says, until},
};
use crate::{Completion, Health, ToolCall, ToolDoor, TurnEvent};
use party_core::{Failure, Outcome};
use serde_json::{Value, json};

fn has_tools(stage: &dyn Stage) -> Result<(), Skipped> {
    declared(stage.capabilities().tools != ToolDoor::None, "a way to the host's tools")
}

/// What a tool answered, by the id of its call.
fn replies(events: &[TurnEvent]) -> Vec<(&str, &str, bool)> {
    let reply = |event| match event {
        &TurnEvent::ToolResult { ref id, ref text, is_error } => Some((id.as_str(), &**text, is_error)),
        _ => None,
    };
    events.iter().filter_map(reply).collect()
}

/// The model was told it last.
fn is_told(stage: &dyn Stage, text: &str) -> bool {
    let heard = stage.heard(ANN);
    heard.is_none_or(|heard| {
        heard.last().is_some_and(|heard| heard.said.last().is_some_and(|said| said == text))
    })
}

/// Under the turn's key and the runtime's id, with exactly the model's arguments.
pub async fn a_call_reaches_the_host_and_its_reply_the_model(stage: &dyn Stage) -> Played {
    has_tools(stage)?;
    let arguments = json!({
        "word": "größer \u{2028} \"quoted\" \\ @/etc/hostname", "n": 9_007_199_254_740_991_u64,
        "deep": {"list": [1, 2.5, null, true, {"x": []}]}, "empty": "", "turn": 7,
    });
    let acts = [calls("look", arguments.clone()), says("Done.")];
    let play = Play::ann(stage, [on("", acts)]).await?;
    let request = play.with_tools(play.request(ANN, "Look."), ["look", "other"]).await?;
    let key = request.key;
    let events = play.events(&play.open(ANN).await, request).await;
    assert_eq!(end_of(&events).text.as_deref(), Some("Done."), "{events:?}");
    let used = events.iter().find_map(|event| match event {
        TurnEvent::ToolUse { id, name, input } => Some((id.clone(), name.clone(), input.value())),
        _ => None,
    });
    let (id, name, input) = used.expect("the call is streamed");
    assert_eq!((name.as_str(), &input), ("look", &arguments));
    assert_eq!(replies(&events), [(id.as_str(), "look has answered", false)]);
    assert_eq!(play.port.calls(), [ToolCall { key, id, name, arguments }]);
    assert!(is_told(stage, "look has answered"), "{:?}", stage.heard(ANN));
    if let Some(first) = stage.heard(ANN).and_then(|heard| heard.into_iter().next()) {
        let mut offered = first.tools;
        offered.sort();
        assert_eq!(offered, ["look", "other"]);
    }
    Ok(())
}

/// Neither one that the host has elsewhere, nor one of an earlier turn.
pub async fn a_tool_that_is_not_listed_cannot_be_called(stage: &dyn Stage) -> Played {
    has_tools(stage)?;
    let tries = |cue, tool| on(cue, [calls(tool, json!({})), says("It went wrong.")]);
    let play = Play::ann(stage, [tries("cue-1", "secret"), tries("cue-2", "look")]).await?;
    let session = play.open(ANN).await;
    let first = play.with_tools(play.request(ANN, "cue-1"), ["look"]).await?;
    let second = play.with_tools(play.request(ANN, "cue-2"), ["other"]).await?;
    for request in [first, second] {
        let end = play.run(&session, request).await;
        assert!(matches!(end.outcome, Outcome::Completed | Outcome::Failed), "{end:?}");
    }
    assert_eq!(play.port.calls(), []);
    Ok(())
}

/// The model is told, and goes on.
pub async fn an_error_reply_does_not_end_the_turn(stage: &dyn Stage) -> Played {
    has_tools(stage)?;
    let acts = [calls("broken", json!({})), calls("look", json!({})), says("One of two.")];
    let play = Play::ann(stage, [on("", acts)]).await?;
    let request = play.with_tools(play.request(ANN, "Look."), ["look", "broken"]).await?;
    let events = play.events(&play.open(ANN).await, request).await;
    assert_eq!(end_of(&events).text.as_deref(), Some("One of two."), "{events:?}");
    let replies: Vec<_> = replies(&events).into_iter().map(|(_, text, is_error)| (text, is_error)).collect();
    assert_eq!(replies, [("broken has answered", true), ("look has answered", false)]);
    Ok(())
}

/// By its rule, in the middle of calls, of which those of the last step are answered; one that needs
/// more steps than it may take fails.
pub async fn a_turn_ends_by_its_steps(stage: &dyn Stage) -> Played {
    has_tools(stage)?;
    declared(stage.capabilities().steps, "that it counts steps")?;
    let look = || calls("look", json!({}));
    let parts = ["cue-1", "cue-2", "cue-3"].map(|cue| on(cue, [look(), look(), look(), says("Never said.")]));
    let play = Play::ann(stage, parts).await?;
    let session = play.open(ANN).await;
    let done = (Outcome::Completed, None);
    let cases = [
        ("cue-1", Completion::ToolCall("look".to_owned()), None, 1, done),
        ("cue-2", Completion::Steps(2), None, 3, done),
        ("cue-3", Completion::NoToolCall, Some(2), 5, (Outcome::Failed, Some(Failure::StepLimit))),
    ];
    for (cue, completion, most_steps, calls, expected) in cases {
        let mut request = play.with_tools(play.request(ANN, cue), ["look"]).await?;
        (request.completion, request.most_steps) = (completion, most_steps);
        let end = play.run(&session, request).await;
        assert_eq!((end.outcome, end.failure), expected, "{cue}: {end:?}");
        assert_eq!(play.port.calls().len(), calls, "{cue}: {end:?}");
    }
    Ok(())
}

/// The turn waits for as long as it takes: here, for another agent's whole turn.
pub async fn a_reply_may_come_late(stage: &dyn Stage) -> Played {
    has_tools(stage)?;
    let anns = vec![on("", [calls("slow", json!({})), says("At last.")])];
    let play = Play::of(stage, anns, vec![on("", [says("Meanwhile.")])]).await?;
    let (ann, bob) = (play.open(ANN).await, play.open(BOB).await);
    let request = play.with_tools(play.request(ANN, "Look."), ["slow"]).await?;
    let meanwhile = async {
        play.port.called(1).await;
        play.run(&bob, play.request(BOB, "Hello?")).await;
        assert_eq!(ann.state().health, Health::Running);
        play.port.release();
    };
    let (events, ()) = futures::join!(play.events(&ann, request), meanwhile);
    assert_eq!(end_of(&events).text.as_deref(), Some("At last."), "{events:?}");
    assert!(is_told(stage, "slow has answered"), "{:?}", stage.heard(ANN));
    Ok(())
}

/// An interrupt in the middle of a call ends the turn, though the call is not answered; what the
/// agent was about to call it calls no more.
pub async fn no_call_comes_after_the_end(stage: &dyn Stage) -> Played {
    has_tools(stage)?;
    let acts = [calls("slow", json!({})), calls("look", json!({})), says("Never said.")];
    let play = Play::ann(stage, [on("cue-1", acts), on("cue-2", [says("Next.")])]).await?;
    let session = play.open(ANN).await;
    let request = play.with_tools(play.request(ANN, "cue-1"), ["slow", "look"]).await?;
    let turn = session.turn(request).await.expect("a turn starts");
    let control = std::sync::Arc::clone(&turn.control);
    let interrupt = async {
        play.port.called(1).await;
        control.interrupt().await.expect("an interrupt");
    };
    let (events, ()) = futures::join!(play.read(Vec::new(), turn), interrupt);
    assert_eq!(end_of(&events).outcome, Outcome::Cancelled, "{events:?}");
    play.port.release();
    until(|| session.state().health == Health::Idle).await;
    play.rests(ANN).await;
    let end = play.run(&session, play.request(ANN, "cue-2")).await;
    assert_eq!(end.text.as_deref(), Some("Next."), "{end:?}");
    let names: Vec<String> = play.port.calls().into_iter().map(|call| call.name).collect();
    assert_eq!(names, ["slow"]);
    Ok(())
}

/// Of two sessions at once, and of two turns of one.
pub async fn calls_of_two_turns_carry_their_own_keys(stage: &dyn Stage) -> Played {
    has_tools(stage)?;
    let part = |cue, who| on(cue, [calls("look", json!({ "who": who })), says("Done.")]);
    let anns = vec![part("cue-1", "first"), part("cue-2", "second")];
    let play = Play::of(stage, anns, vec![part("", "third")]).await?;
    let (ann, bob) = (play.open(ANN).await, play.open(BOB).await);
    let mut first = play.with_tools(play.request(ANN, "cue-1"), ["look"]).await?;
    let second = play.with_tools(play.request(ANN, "cue-2"), ["look"]).await?;
    let mut third = play.with_tools(play.request(BOB, "cue-3"), ["look"]).await?;
    first.alongside = vec![first.key.turn, third.key.turn];
    third.alongside.clone_from(&first.alongside);
    let keys = [("first", first.key), ("second", second.key), ("third", third.key)];
    let anns = async {
        play.run(&ann, first).await;
        play.run(&ann, second).await
    };
    futures::join!(anns, play.run(&bob, third));
    let mut carried: Vec<_> = play.port.calls().into_iter().map(|call| (call.arguments, call.key)).collect();
    carried.sort_by_key(|(arguments, _)| arguments.to_string());
    let expected = keys.map(|(who, key)| (json!({ "who": who }), key));
    assert_eq!(carried, Vec::<(Value, _)>::from(expected));
    Ok(())
}
