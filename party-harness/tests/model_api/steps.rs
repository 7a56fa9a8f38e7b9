//! Tools, whether they have to be called, and when a turn is done.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use crate::bench::{APIS, Api, Bench, request};
use party_harness::{
    Completion, ToolChoice, TurnEvent, TurnRequest,
    core::{Failure, Outcome, Usd},
};
use serde_json::json;
use test_support::{Block, ModelTurn};

fn calls(tool: &str, n: u32) -> ModelTurn {
    ModelTurn::tool_use(tool, json!({ "n": n }))
}

fn says(text: &str) -> ModelTurn {
    ModelTurn::text(text)
}

/// How each request forces a call.
fn choices(bench: &Bench) -> Vec<Option<&'static str>> {
    bench.requests().iter().map(|request| bench.api.choice(request)).collect()
}

fn called(bench: &Bench) -> Vec<(String, u64)> {
    let calls = bench.port.calls().into_iter();
    calls.map(|(name, arguments)| (name, arguments["n"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn a019_a028_a_call_outside_the_list_is_refused_and_no_handler_runs() {
    for api in APIS {
        let bench = Bench::new(api, [calls("secret", 1), says("Then not.")]).await;
        let (events, end) = bench.run(request(&["look"])).await;
        assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Then not.")), "{api:?}");
        let refused = events.iter().any(|event| match event {
            TurnEvent::ToolResult { text, is_error, .. } => *is_error && text.contains("no tool `secret`"),
            _ => false,
        });
        assert!(refused, "{api:?}: {events:?}");
        assert!(api.last(&bench.requests()[1]).contains("no tool `secret`"), "{api:?}: the model is told");
        assert_eq!(called(&bench), []);
    }
}

#[tokio::test]
async fn a020_auto_leaves_it_to_the_model() {
    for api in APIS {
        let bench = Bench::new(api, [says("No need.")]).await;
        assert_eq!(bench.end(request(&["look"])).await.text.as_deref(), Some("No need."));
        assert_eq!(choices(&bench), [Some("auto")], "{api:?}");
    }
}

#[tokio::test]
async fn a021_once_is_forced_until_a_tool_was_called() {
    for api in APIS {
        let bench = Bench::new(api, [calls("look", 1), calls("look", 2), says("Done.")]).await;
        let request = TurnRequest { tool_choice: ToolChoice::Once, ..request(&["look"]) };
        assert_eq!(bench.end(request).await.outcome, Outcome::Completed);
        assert_eq!(choices(&bench), [Some("forced"), Some("auto"), Some("auto")], "{api:?}");
    }
}

#[tokio::test]
async fn a022_a026_always_is_forced_at_each_step_until_the_tool_that_completes_was_called() {
    for api in APIS {
        let turns = [calls("look", 1), calls("broken", 2), calls("vote", 3), says("Never said.")];
        let bench = Bench::new(api, turns).await;
        let request = TurnRequest {
            tool_choice: ToolChoice::Always,
            completion: Completion::ToolCall("vote".to_owned()),
            ..request(&["look", "broken", "vote"])
        };
        let end = bench.end(request).await;
        assert_eq!((end.outcome, end.text, end.usage.steps), (Outcome::Completed, None, 3), "{api:?}");
        assert_eq!(choices(&bench), [Some("forced"); 3], "{api:?}");
        let kept = [("look", 1), ("broken", 2), ("vote", 3)].map(|(name, n)| (name.to_owned(), n));
        assert_eq!(called(&bench), kept, "{api:?}: its arguments are kept");
    }
}

#[tokio::test]
async fn a026_a_call_that_failed_completes_nothing() {
    for api in APIS {
        let bench = Bench::new(api, [calls("broken", 1), says("It does not work.")]).await;
        let completion = Completion::ToolCall("broken".to_owned());
        let end = bench.end(TurnRequest { completion, ..request(&["broken"]) }).await;
        assert_eq!((end.text.as_deref(), end.usage.steps), (Some("It does not work."), 2), "{api:?}");
    }
}

#[tokio::test]
async fn a023_without_tools_none_is_offered_and_a_call_is_refused() {
    for api in APIS {
        let bench = Bench::new(api, [calls("look", 1).block(Block::text("Hm."))]).await;
        let request = TurnRequest { tool_choice: ToolChoice::Always, ..request(&[]) };
        let (events, end) = bench.run(request).await;
        assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Hm.")), "{api:?}");
        let body = &bench.requests()[0]["body"];
        for name in ["tools", "tool_choice", "toolConfig"] {
            assert!(body.get(name).is_none(), "{api:?}: {body}");
        }
        assert!(events.iter().any(|event| matches!(event, TurnEvent::ToolResult { is_error: true, .. })));
        assert_eq!(called(&bench), []);
        assert_eq!(bench.requests().len(), 1);
    }
}

#[tokio::test]
async fn a024_the_first_step_completes_whatever_it_contains() {
    for api in APIS {
        let step = says("Looking.").block(Block::tool_use("look", json!({"n": 1})));
        let bench = Bench::new(api, [step, says("Never said.")]).await;
        let end = bench.end(TurnRequest { completion: Completion::FirstStep, ..request(&["look"]) }).await;
        assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Looking.")), "{api:?}");
        assert_eq!((called(&bench), bench.requests().len()), (vec![("look".to_owned(), 1)], 1), "{api:?}");
    }
}

#[tokio::test]
async fn a025_the_first_step_without_a_tool_completes() {
    for api in APIS {
        let bench = Bench::new(api, [calls("look", 1), calls("look", 2), says("Found.")]).await;
        let end = bench.end(request(&["look"])).await;
        assert_eq!((end.text.as_deref(), end.usage.steps), (Some("Found."), 3), "{api:?}");
    }
}

#[tokio::test]
async fn a027_a_number_of_steps_completes_in_the_middle_of_calls() {
    for api in APIS {
        let bench = Bench::new(api, [calls("look", 1), calls("look", 2), calls("look", 3)]).await;
        let end = bench.end(TurnRequest { completion: Completion::Steps(2), ..request(&["look"]) }).await;
        assert_eq!((end.outcome, end.usage.steps), (Outcome::Completed, 2), "{api:?}");
        assert_eq!(called(&bench).len(), 2);
    }
}

#[tokio::test]
async fn a_turn_that_takes_more_steps_than_it_may_fails() {
    for api in APIS {
        let bench = Bench::with(api, [calls("look", 1).repeat()], |api| api.most_steps(2)).await;
        for (most_steps, steps) in [(Some(3), 3), (None, 2)] {
            let end = bench.end(TurnRequest { most_steps, ..request(&["look"]) }).await;
            let expected = (Outcome::Failed, Some(Failure::StepLimit), steps);
            assert_eq!((end.outcome, end.failure, end.usage.steps), expected, "{api:?}");
        }
    }
}

#[tokio::test]
async fn a_limit_is_looked_at_before_each_step() {
    for api in APIS {
        let bench = Bench::new(api, [calls("look", 1), says("Never said.")]).await;
        let limit = Some(Usd::from_micros(500));
        let end = bench.end(TurnRequest { limit, ..request(&["look"]) }).await;
        assert_eq!((end.failure, end.usage.steps), (Some(Failure::OverBudget), 1), "{api:?}");
        assert!(end.cost.amount() > limit, "{api:?}: {end:?}");
    }
}

#[tokio::test]
async fn arguments_that_are_no_json_are_answered_to_the_model() {
    // Gemini gives arguments as values; they cannot be broken.
    for api in [Api::Anthropic, Api::OpenAi, Api::Responses] {
        let broken = Block::ToolUse {
            name: "look".to_owned(),
            input: serde_json::Map::new(),
            id: None,
            raw_json: Some(r#"{"n": 1, "word": "unclo"#.to_owned()),
        };
        let bench =
            Bench::new(api, [ModelTurn::empty().block(broken), calls("look", 2), says("Mended.")]).await;
        let (events, end) = bench.run(request(&["look"])).await;
        assert_eq!((end.text.as_deref(), called(&bench)), (Some("Mended."), vec![("look".to_owned(), 2)]));
        let shown = events.iter().find_map(|event| match event {
            TurnEvent::ToolUse { input, .. } => Some(input.value()),
            _ => None,
        });
        assert_eq!(shown, Some(json!(r#"{"n": 1, "word": "unclo"#)), "{api:?}: they are not lost");
        assert!(
            api.last(&bench.requests()[1]).contains("cannot be read as JSON"),
            "{api:?}: the model is told"
        );
    }
}

#[tokio::test]
async fn calls_of_one_step_are_answered_at_once_and_in_order() {
    for api in APIS {
        let two = calls("both", 1).block(Block::tool_use("both", json!({"n": 2})));
        let bench = Bench::new(api, [two, says("Both.")]).await;
        assert_eq!(bench.end(request(&["both"])).await.text.as_deref(), Some("Both."), "{api:?}");
        let told = bench.requests()[1]["body"].to_string();
        let places = [1, 2].map(|n| told.find(&format!("both {n} has answered")).unwrap());
        assert!(places[0] < places[1], "{api:?}: {told}");
    }
}

#[tokio::test]
async fn reasoning_is_shown_and_given_back_with_its_seal() {
    let thinks = ModelTurn::empty()
        .block(Block::thinking("Let me see."))
        .block(Block::tool_use("look", json!({"n": 1})));
    let bench = Bench::new(Api::Anthropic, [thinks, says("Seen.")]).await;
    let (events, _) = bench.run(request(&["look"])).await;
    let thought: String = events
        .iter()
        .filter_map(|event| match event {
            TurnEvent::Thinking { text } => Some(&**text),
            _ => None,
        })
        .collect();
    assert_eq!(thought, "Let me see.");
    let given_back = &bench.requests()[1]["body"]["messages"][1]["content"][0];
    assert_eq!(
        *given_back,
        json!({"type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmF0dXJl"})
    );
}

#[tokio::test]
async fn reasoning_in_items_is_given_back_too() {
    let thinks = ModelTurn::empty().block(Block::thinking("Let me see."));
    let thinks = thinks.block(Block::tool_use("look", json!({"n": 1})));
    let bench = Bench::new(Api::Responses, [thinks, says("Seen.")]).await;
    assert_eq!(bench.end(request(&["look"])).await.text.as_deref(), Some("Seen."));
    let given_back = &bench.requests()[1]["body"]["input"][1];
    let kind = (&given_back["type"], &given_back["encrypted_content"]);
    assert_eq!(kind, (&json!("reasoning"), &json!("c2lnbmF0dXJl")), "{given_back}");
}
