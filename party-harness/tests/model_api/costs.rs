//! What a turn used and cost, by each provider's way of counting.

use crate::bench::{APIS, Api, Bench, read, request};
use party_harness::{
    Harness as _, TurnEvent,
    core::{Cost, Outcome, Usage, Usd},
    model::{ModelApi, Retry},
};
use serde_json::json;
use test_support::{ModelTurn, Scenario};

/// 100 tokens read, 1,000 out of a cache, 10 put into it, 42 written of which 30 are reasoning.
fn answer(text: &str) -> ModelTurn {
    ModelTurn::text(text).with(|turn| {
        turn.usage.insert("reasoning_tokens".to_owned(), json!(30));
    })
}

fn used(api: Api, steps: u64) -> Usage {
    let mut used = Usage::default();
    // Only Anthropic tells what was put into a cache apart from what was read.
    let (input, written) = if api == Api::Anthropic { (100, 10) } else { (110, 0) };
    (used.input_tokens, used.cache_write_tokens) = (input * steps, written * steps);
    (used.cache_read_tokens, used.output_tokens, used.steps) = (1_000 * steps, 42 * steps, steps);
    used
}

#[tokio::test]
async fn a066_each_provider_s_count_is_read_as_it_means_it() {
    for api in APIS {
        let bench = Bench::new(api, [ModelTurn::tool_use("look", json!({"n": 1})), answer("Done.")]).await;
        let (events, end) = bench.run(request(&["look"])).await;
        let cost = |steps: u64| Cost::Estimated(Usd::from_micros((1_110 + 420) * steps));
        assert_eq!((end.usage, end.cost), (used(api, 2), cost(2)), "{api:?}");
        let spent: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                TurnEvent::Spent { usage, cost } => Some((*usage, *cost)),
                _ => None,
            })
            .collect();
        assert_eq!(spent, [(used(api, 1), cost(1)), (used(api, 2), cost(2))], "{api:?}");
    }
}

#[tokio::test]
async fn a_model_without_a_price_costs_nobody_knows_what() {
    for api in APIS {
        let bench = Bench::new(api, [answer("Done.")]).await;
        let session = bench.open_with(Some("a-model-without-a-price")).await;
        let end = read(&session, request(&[])).await.1;
        assert_eq!((end.outcome, end.usage, end.cost), (Outcome::Completed, used(api, 1), Cost::Unknown));
    }
}

#[tokio::test]
async fn a066_what_was_cut_off_is_charged_all_the_same() {
    for api in APIS {
        let cut = ModelTurn::text("0123456789".repeat(40)).with(|turn| {
            (turn.chunk, turn.truncate_after) = (Some(100), Some(4));
        });
        let bench = Bench::with(api, [cut.repeat()], |api| api.retry(Retry::NEVER)).await;
        let (events, end) = bench.run(request(&[])).await;
        let shown = events.iter().map(|event| match event {
            TurnEvent::Text { text } => text.len() as u64,
            _ => 0,
        });
        let tokens = shown.sum::<u64>() / 4;
        assert!(tokens >= 25 && tokens == end.usage.output_tokens, "{api:?}: {end:?}");
        assert!(end.usage.input_tokens > 0 && end.usage.steps == 1, "{api:?}: {end:?}");
        let read = end.usage.input_tokens + end.usage.cache_read_tokens + end.usage.cache_write_tokens;
        assert_eq!(end.cost, Cost::Estimated(Usd::from_micros(read + 10 * tokens)), "{api:?}");
    }
}

#[tokio::test]
async fn a_harness_tells_by_what_it_works_costs_out() {
    let pricing = |api: ModelApi| api.info().pricing.clone().unwrap();
    assert!(pricing(ModelApi::anthropic()).knows(Some("claude-opus-5-5")));
    assert!(!pricing(ModelApi::anthropic()).knows(Some("claude-opus-99")));
    assert!(!pricing(ModelApi::openai()).knows(None));
    assert!(pricing(ModelApi::openai().model("gpt-6-sol")).knows(None));
    assert!(pricing(ModelApi::ollama()).knows(Some("any")));
    assert!(!pricing(ModelApi::openai_compatible("http://localhost:1")).knows(Some("gpt-6-sol")));
}

#[tokio::test]
async fn a080_a_seat_s_model_goes_before_the_default() {
    for api in APIS {
        let bench = Bench::with(api, [], |api| api.model("the-default")).await;
        for (model, expected) in [(Some("its-own"), "its-own"), (None, "the-default")] {
            bench.fake.set(Scenario::new().count_side().turn(answer("Done.")));
            let session = bench.open_with(model).await;
            assert_eq!(read(&session, request(&[])).await.1.outcome, Outcome::Completed);
            let request = &bench.requests()[0];
            let asked = format!("{} {}", request["path"], request["body"]["model"]);
            assert!(asked.contains(expected), "{api:?}: {asked}");
        }
        let bench = Bench::new(api, []).await;
        let error = bench.harness.open(crate::bench::spec(None), bench.port.clone()).await.unwrap_err();
        assert!(error.to_string().contains("no model is named"), "{error}");
    }
}
