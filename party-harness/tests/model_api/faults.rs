//! What goes wrong with a provider, and as what it is told.

use crate::bench::{APIS, Api, Bench, request};
use party_harness::{
    ErrorKind, Harness as _, TurnEnd,
    core::{Cost, Failure, Outcome, Usd},
    model::Retry,
};
use std::{collections::BTreeMap, time::Duration};
use test_support::{Block, ModelTurn, SseError};

/// The end of a turn whose provider answers so, and is not asked again.
async fn end(api: Api, turn: ModelTurn) -> TurnEnd {
    let bench = Bench::with(api, [turn], |api| api.retry(Retry::NEVER)).await;
    let end = bench.end(request(&["look"])).await;
    assert_eq!((end.outcome, &end.text), (Outcome::Failed, &None), "{api:?}: {end:?}");
    let reason = end.reason.as_deref().unwrap_or_default();
    assert!(!reason.is_empty() && !reason.contains('\n') && reason.len() < 600, "{api:?}: {reason:?}");
    end
}

#[tokio::test]
async fn a164_each_refusal_is_of_its_kind_and_costs_nothing() {
    let cases = [
        (400, "invalid_request_error", "temperature is no number", Failure::Rejected),
        (400, "invalid_request_error", "prompt is too long: 200001 tokens > 200000", Failure::TooLong),
        (400, "context_length_exceeded", "This model's maximum context length is 8192", Failure::TooLong),
        (401, "authentication_error", "invalid x-api-key", Failure::Unauthenticated),
        (402, "billing_error", "pay first", Failure::RateLimited),
        (403, "permission_error", "not yours", Failure::Unauthenticated),
        (404, "not_found_error", "model: some-model", Failure::Rejected),
        (413, "request_too_large", "too large", Failure::TooLong),
        (429, "rate_limit_error", "slow down", Failure::RateLimited),
        (500, "api_error", "internal", Failure::Other),
        (503, "UNAVAILABLE", "come back", Failure::Overloaded),
        (529, "overloaded_error", "overloaded", Failure::Overloaded),
    ];
    for api in APIS {
        for (status, kind, message, failure) in cases {
            let end = end(api, ModelTurn::error(status, kind, message)).await;
            let expected = (Some(failure), Cost::Estimated(Usd::ZERO), 0);
            assert_eq!((end.failure, end.cost, end.usage.steps), expected, "{api:?} {status} {kind}");
            let says = format!("status {status}");
            assert!(end.reason.as_ref().is_some_and(|reason| reason.contains(&says)), "{api:?}: {end:?}");
        }
    }
}

#[tokio::test]
async fn a164_an_error_in_a_stream_that_began_well_is_a_failure_and_is_charged() {
    for api in APIS {
        let turn = ModelTurn::text("x").with(|turn| {
            turn.sse_error = Some(SseError::new("overloaded_error", "too many"));
        });
        let end = end(api, turn).await;
        assert_eq!(end.failure, Some(Failure::Overloaded), "{api:?}: {end:?}");
        assert!(end.reason.as_ref().is_some_and(|reason| reason.contains("too many")), "{api:?}: {end:?}");
        assert!(end.cost.amount() > Some(Usd::ZERO) && end.usage.input_tokens > 0, "{api:?}: {end:?}");
    }
}

#[tokio::test]
async fn a164_an_error_that_is_no_stream_is_a_failure_whatever_its_status() {
    for api in APIS {
        let raw = r#"{"error":{"type":"rate_limit_error","code":429,"message":"slow down"}}"#;
        let turn = ModelTurn::empty().with(|turn| {
            (turn.raw, turn.content_type) = (Some(raw.to_owned()), Some("application/json".to_owned()));
        });
        assert_eq!(end(api, turn).await.failure, Some(Failure::RateLimited), "{api:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_withheld_or_cut_off_is_no_answer() {
    let of = |api: Api, withheld: [&str; 4]| withheld[api as usize].to_owned();
    for api in APIS {
        let stops = |reason: String| ModelTurn::text("Half of").with(|turn| turn.stop_reason = Some(reason));
        let withheld =
            end(api, stops(of(api, ["refusal", "SAFETY", "content_filter", "content_filter"]))).await;
        assert_eq!(withheld.failure, Some(Failure::Rejected), "{api:?}: {withheld:?}");
        let cut_off =
            end(api, stops(of(api, ["max_tokens", "MAX_TOKENS", "length", "max_output_tokens"]))).await;
        assert_eq!(cut_off.failure, Some(Failure::Other), "{api:?}: {cut_off:?}");
        assert!(cut_off.reason.as_ref().is_some_and(|reason| reason.contains("most_output")), "{cut_off:?}");
        for end in [withheld, cut_off] {
            assert_eq!((end.usage.steps, end.usage.output_tokens), (1, 42), "{api:?}: it is paid for");
        }
    }
    let long = end(
        Api::Anthropic,
        ModelTurn::text("x").with(|turn| {
            turn.stop_reason = Some("model_context_window_exceeded".to_owned());
        }),
    )
    .await;
    assert_eq!(long.failure, Some(Failure::TooLong), "{long:?}");
}

#[tokio::test]
async fn what_is_no_event_stream_is_no_answer() {
    for api in APIS {
        for (kind, raw) in [("text/html", "<html>Log in</html>"), ("application/json", "{}"), ("", "")] {
            let turn = ModelTurn::empty().with(|turn| {
                (turn.raw, turn.content_type) = (Some(raw.to_owned()), Some(kind.to_owned()));
            });
            let end = end(api, turn).await;
            assert_eq!(end.failure, Some(Failure::Other), "{api:?}: {end:?}");
            assert!(end.reason.as_ref().is_some_and(|reason| reason.contains("no event stream")), "{end:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_of_anything_else_is_no_answer() {
    let streams = [
        "data: what\n\n",
        "data: [1,2]\n\ndata: 7\n\n",
        "data: {}\n\n",
        "\u{feff}:\n\n",
        "data: \"\\ud83d\"\n\n",
    ];
    for api in APIS {
        for raw in streams {
            let end = end(api, ModelTurn::empty().with(|turn| turn.raw = Some(raw.to_owned()))).await;
            assert!(matches!(end.failure, Some(Failure::Other | Failure::Died)), "{api:?} {raw:?}: {end:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_or_never_ends_is_given_up() {
    for api in APIS {
        let silent = [
            ModelTurn::text("x").hang(),
            ModelTurn::text("a").block(Block::text("b")).with(|turn| {
                (turn.gate, turn.gate_at_block) = (Some(test_support::Gate::new()), Some(1));
            }),
        ];
        for turn in silent {
            let patience = Duration::from_millis(100);
            let bench = Bench::with(api, [turn], |api| api.retry(Retry::NEVER).idle_patience(patience)).await;
            let end = bench.end(request(&[])).await;
            assert_eq!(
                (end.outcome, end.failure),
                (Outcome::Failed, Some(Failure::Idle)),
                "{api:?}: {end:?}"
            );
        }
        let drips = ModelTurn::text("0123456789".repeat(100)).with(|turn| {
            (turn.chunk, turn.chunk_delay_ms) = (Some(1), 5);
        });
        let patience = Duration::from_millis(150);
        let bench = Bench::with(api, [drips], |api| api.call_patience(patience)).await;
        let end = bench.end(request(&[])).await;
        assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Idle)), "{api:?}: {end:?}");
        assert_eq!(bench.requests().len(), 1, "{api:?}: a part was shown already");
    }
}

#[tokio::test]
async fn an_answer_that_is_longer_than_it_may_be_is_given_up() {
    for api in APIS {
        let one_line = ModelTurn::empty().with(|turn| turn.raw = Some("x".repeat(300_000)));
        let one_event = ModelTurn::empty().with(|turn| turn.raw = Some("data: 1\n".repeat(40_000)));
        let many = ModelTurn::empty().block(Block::Text { text: String::new(), gen_bytes: Some(300_000) });
        for turn in [one_line, one_event, many] {
            let limited = |api: party_harness::model::ModelApi| api.retry(Retry::NEVER).answer_limit(100_000);
            let bench = Bench::with(api, [turn], limited).await;
            let end = bench.end(request(&[])).await;
            let reason = end.reason.unwrap_or_default();
            assert!(reason.contains("longer than 100000 bytes"), "{api:?}: {reason}");
        }
    }
}

#[tokio::test]
async fn a_model_that_calls_too_many_tools_at_once_is_stopped() {
    for api in APIS {
        let call = || Block::tool_use("look", serde_json::json!({"n": 1}));
        let many = (0..129).fold(ModelTurn::empty(), |turn, _| turn.block(call()));
        assert!(end(api, many).await.reason.is_some_and(|reason| reason.contains("128")), "{api:?}");
    }
    // A number out of the stream makes no room.
    let raw = r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":4294967295,"id":"a","function":{"name":"look","arguments":"{}"}}]}}]}"#;
    let end = end(Api::OpenAi, ModelTurn::empty().with(|turn| turn.raw = Some(format!("{raw}\n\n")))).await;
    assert_eq!(end.failure, Some(Failure::Died), "{end:?}");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_said_to_be_missing() {
    for api in APIS {
        // Nothing listens at that port.
        let harness = api.at("http://127.0.0.1:9").retry(Retry::NEVER);
        let error = harness.probe().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
        let bench = Bench::with(api, [], |_| harness).await;
        let end = bench.end(request(&[])).await;
        assert_eq!(
            (end.failure, end.cost),
            (Some(Failure::NotStarted), Cost::Estimated(Usd::ZERO)),
            "{end:?}"
        );
    }
}

#[tokio::test]
async fn a_redirection_is_not_followed_with_the_key() {
    let elsewhere = test_support::FakeModel::start(test_support::Scenario::new().count_side()).await;
    for api in APIS {
        for status in [301, 302, 303, 307, 308] {
            let location = format!("{}/v1/messages", elsewhere.base_url());
            let turn = ModelTurn::error(status, "moved", "moved").with(|turn| {
                turn.headers = BTreeMap::from([("location".to_owned(), location)]);
            });
            let end = end(api, turn).await;
            assert_eq!(end.failure, Some(Failure::Rejected), "{api:?} {status}: {end:?}");
        }
    }
    assert_eq!(elsewhere.requests(), Vec::<serde_json::Value>::new());
}
