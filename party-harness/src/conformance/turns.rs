//! Cases about what a turn streams and how it ends.

use super::{
    Act, Played, Stage,
    host::View,
    play::{ANN, BOB, Play, calls, declared, end_of, not_shown, on, says},
};
use crate::{Close, Completion, CostSource, ErrorKind, Health, Permissions, TurnEvent, TurnRequest};
use futures::StreamExt as _;
use party_core::{Failure, Outcome, Sent, Usd};

/// Texts that a runtime, a shell or a protocol may take for something else.
const HOSTILE: [&str; 9] = [
    "@/etc/hostname",
    "/clear",
    "!ls",
    "--help",
    "-x",
    "a\u{2028}b\u{2029}c\u{feff}d",
    "{\"type\":\"user\"} \"quoted\" 'single' \\ $HOME `id` %s {question}",
    "one\ntwo\r\n\tthree \u{1}\u{7f}\u{1b}[31m",
    "größer 漢字 🎭 e\u{301}",
];

/// One end, the last event, with what the agent said.
pub async fn a_turn_ends_once_with_what_was_said(stage: &dyn Stage) -> Played {
    let said = "Ship it.\n\n\"Now\", größer \u{2028} 漢字 🎭.";
    let play = Play::ann(stage, [on("", [says(said)])]).await?;
    let session = play.open(ANN).await;
    let events = play.events(&session, play.request(ANN, "Should we?")).await;
    let end = end_of(&events);
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some(said)), "{events:?}");
    let texts = events.iter().filter_map(|event| match event {
        TurnEvent::Text { text } => Some(&**text),
        _ => None,
    });
    assert_eq!(texts.collect::<String>(), said, "{events:?}");
    play.rests(ANN).await;
    session.close(Close::Orderly).await.expect("a close");
    play.is_gone(ANN).await;
    Ok(())
}

/// A turn in which nothing is said is no failure, and the session goes on.
pub async fn a_turn_without_a_word_is_empty(stage: &dyn Stage) -> Played {
    let play = Play::ann(stage, [on("cue-1", []), on("cue-2", [says("Here I am.")])]).await?;
    let session = play.open(ANN).await;
    assert_eq!(play.run(&session, play.request(ANN, "cue-1")).await.outcome, Outcome::Empty);
    let end = play.run(&session, play.request(ANN, "cue-2")).await;
    assert_eq!(end.text.as_deref(), Some("Here I am."), "{end:?}");
    Ok(())
}

/// A failure is an end like others: with a reason, usage and cost; the session goes on.
pub async fn a_failed_turn_says_why(stage: &dyn Stage) -> Played {
    let play = Play::ann(stage, [on("cue-1", [Act::Fail]), on("cue-2", [says("Better.")])]).await?;
    let session = play.open(ANN).await;
    let end = play.run(&session, play.request(ANN, "cue-1")).await;
    assert_eq!(end.outcome, Outcome::Failed, "{end:?}");
    let reason = end.reason.unwrap_or_default();
    assert!(!reason.trim().is_empty() && !reason.contains('\n'), "no reason in one line: {reason:?}");
    let end = play.run(&session, play.request(ANN, "cue-2")).await;
    assert_eq!(end.text.as_deref(), Some("Better."), "{end:?}");
    play.rests(ANN).await;
    Ok(())
}

/// A figure where the harness declares that it has one.
pub async fn a_turn_costs_what_the_runtime_reports(stage: &dyn Stage) -> Played {
    declared(stage.capabilities().cost != CostSource::Unknown, "that costs are known")?;
    let spends = |micros| Act::Spend(Usd::from_micros(micros));
    let parts = [on("cue-1", [spends(1_000), says("Cheap.")]), on("cue-2", [spends(900_000), says("Dear.")])];
    let play = Play::ann(stage, parts).await?;
    let session = play.open(ANN).await;
    let cheap = play.run(&session, play.request(ANN, "cue-1")).await.cost.amount();
    let dear = play.run(&session, play.request(ANN, "cue-2")).await.cost.amount();
    assert!(cheap > Some(Usd::ZERO) && cheap < dear, "{cheap:?}, then {dear:?}");
    Ok(())
}

/// A turn that spends more than it may is ended for that, and said so.
pub async fn a_limit_is_kept(stage: &dyn Stage) -> Played {
    declared(stage.capabilities().cost == CostSource::Enforced, "that it keeps a limit")?;
    let spends = |micros| Act::Spend(Usd::from_micros(micros));
    let dear = [spends(900_000), calls("look", serde_json::json!({})), says("Dear.")];
    let play = Play::ann(stage, [on("cue-1", dear), on("cue-2", [says("Cheap.")])]).await?;
    let session = play.open(ANN).await;
    let mut request = play.with_tools(play.request(ANN, "cue-1"), ["look"]).await?;
    request.limit = Some(Usd::from_micros(1_000));
    let end = play.run(&session, request).await;
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::OverBudget)), "{end:?}");
    let mut request = play.request(ANN, "cue-2");
    request.limit = Some(Usd::from_micros(900_000));
    assert_eq!(play.run(&session, request).await.outcome, Outcome::Completed);
    Ok(())
}

/// An adapter never queues: the second is refused, the first goes on, and its end frees the session
/// at once.
pub async fn a_second_turn_while_one_runs_is_refused(stage: &dyn Stage) -> Played {
    let play = Play::ann(stage, [on("cue-1", [Act::Hang]), on("cue-2", [says("Next.")])]).await?;
    let session = play.open(ANN).await;
    let (_, mut turn) = play.begin(&session, play.request(ANN, "cue-1")).await;
    let error = session.turn(play.request(ANN, "cue-2")).await.expect_err("one at a time");
    assert_eq!((error.kind(), session.state().health), (ErrorKind::Busy, Health::Running), "{error}");
    turn.control.interrupt().await.expect("an interrupt");
    while !matches!(turn.events.next().await.expect("an end"), TurnEvent::Ended(_)) {}
    // The first is still held here.
    let end = play.run(&session, play.request(ANN, "cue-2")).await;
    assert_eq!(end.text.as_deref(), Some("Next."), "{end:?}");
    drop(turn);
    Ok(())
}

/// Each hears and says its own.
pub async fn two_sessions_run_at_once_without_mixing(stage: &dyn Stage) -> Played {
    let part = |text: &str| vec![on("", [Act::Think("Hm.".to_owned()), says(&text.repeat(500))])];
    let play = Play::of(stage, part("Ann,"), part("Bob,")).await?;
    let (ann, bob) = (play.open(ANN).await, play.open(BOB).await);
    let (mut first, mut second) = (play.request(ANN, "To Ann"), play.request(BOB, "To Bob"));
    first.alongside = vec![first.key.turn, second.key.turn];
    second.alongside.clone_from(&first.alongside);
    let (first, second) = futures::join!(play.run(&ann, first), play.run(&bob, second));
    assert_eq!(first.text, Some("Ann,".repeat(500).into()), "{first:?}");
    assert_eq!(second.text, Some("Bob,".repeat(500).into()), "{second:?}");
    for (seat, message) in [(ANN, "To Ann"), (BOB, "To Bob")] {
        for heard in stage.heard(seat).unwrap_or_default() {
            assert_eq!(heard.said, [message]);
        }
    }
    Ok(())
}

/// Where the host cannot tell what to say, nothing is said, and the session stays usable.
pub async fn a_view_that_cannot_be_loaded_is_no_turn(stage: &dyn Stage) -> Played {
    let play = Play::ann(stage, [on("", [says("Hello.")]), on("", [says("The second turn.")])]).await?;
    let session = play.open(ANN).await;
    let mut request = play.request(ANN, "Hello?");
    request.full = View::broken();
    let error = session.turn(request).await.expect_err("nothing can be sent");
    assert!(error.to_string().contains("broken"), "{error}");
    assert!(stage.heard(ANN).is_none_or(|heard| heard.is_empty()));
    assert_eq!(session.state().health, Health::Idle);
    let end = play.run(&session, play.request(ANN, "Hello?")).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Hello."), Sent::Full), "{end:?}");
    Ok(())
}

/// What a harness does not declare it refuses by its name, before anything is spent.
pub async fn what_is_not_declared_is_refused(stage: &dyn Stage) -> Played {
    let can = stage.capabilities();
    let play = Play::ann(stage, [on("", [says("Hello.")])]).await?;
    let session = play.open(ANN).await;
    let request = || play.request(ANN, "Hello?");
    let mut refused = Vec::new();
    if !can.own_tools {
        refused.push(TurnRequest { own_tools: vec!["Bash".to_owned()], ..request() });
    }
    if can.permissions == Permissions::Never {
        refused.push(TurnRequest { ask: true, ..request() });
    }
    if !can.steps {
        refused.push(TurnRequest { completion: Completion::FirstStep, ..request() });
        refused.push(TurnRequest { most_steps: Some(1), ..request() });
    }
    for request in refused {
        let error = session.turn(request).await.expect_err("it is not declared");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    assert!(stage.heard(ANN).is_none_or(|heard| heard.is_empty()));
    assert_eq!(play.run(&session, request()).await.text.as_deref(), Some("Hello."));
    Ok(())
}

/// A version, and nothing spent for it.
pub async fn a_probe_calls_no_model(stage: &dyn Stage) -> Played {
    let play = Play::ann(stage, [on("", [says("Hello.")])]).await?;
    let probe = play.harness.probe().await.expect("the runtime is there");
    assert!(!probe.version.trim().is_empty());
    assert!(stage.heard(ANN).is_none_or(|heard| heard.is_empty()));
    Ok(())
}

/// What others said is data: the model is told exactly these characters.
pub async fn hostile_texts_arrive_exactly(stage: &dyn Stage) -> Played {
    let texts: Vec<String> =
        HOSTILE.iter().map(|text| (*text).to_owned()).chain(["0123456789abcdef".repeat(300 * 64)]).collect();
    let hears = stage.heard(ANN).is_some();
    let act = || if hears { says("Seen.") } else { Act::Echo };
    let parts = texts.iter().map(|_| on("", [act()])).collect();
    let play = Play::of(stage, parts, Vec::new()).await?;
    let session = play.open(ANN).await;
    for text in texts {
        let begin: String = text.chars().take(40).collect();
        let end = play.run(&session, play.request(ANN, &text)).await;
        assert_eq!(end.outcome, Outcome::Completed, "{begin:?}: {end:?}");
        let seen = match stage.heard(ANN).and_then(|mut heard| heard.pop()) {
            Some(mut heard) => heard.said.pop(),
            None => end.text.map(|text| text.to_string()),
        };
        assert!(seen.as_deref() == Some(text.as_str()), "{begin:?} arrived otherwise");
    }
    Ok(())
}

/// As the host gave them; a runtime may add to the system prompt, and names are its own.
pub async fn the_system_prompt_and_the_model_arrive(stage: &dyn Stage) -> Played {
    let play = Play::ann(stage, [on("", [says("Hello.")])]).await?;
    let spec = stage.spec(ANN);
    let session = play.open(ANN).await;
    play.run(&session, play.request(ANN, "Hello?")).await;
    let Some(heard) = stage.heard(ANN).and_then(|mut heard| heard.pop()) else {
        return not_shown("what a model is told");
    };
    assert!(heard.system.contains(&spec.system_prompt), "{:?}", heard.system);
    assert!(spec.model.is_none() || heard.model == spec.model, "{:?}", heard.model);
    Ok(())
}
