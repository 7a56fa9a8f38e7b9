//! Calls that are made again, and when.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use crate::bench::{APIS, Api, Bench, read, request};
use futures::StreamExt as _;
use party_harness::{
    TurnEvent,
    core::{Failure, Outcome},
    model::Retry,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use test_support::{ModelTurn, SseError};

fn hinted(status: u16, name: &str, value: &str) -> ModelTurn {
    let headers = BTreeMap::from([(name.to_owned(), value.to_owned())]);
    ModelTurn::error(status, "rate_limit_error", "slow down").with(|turn| turn.headers = headers)
}

/// How often somebody waited, and how often a limit was told.
fn waits(events: &[TurnEvent]) -> (usize, usize) {
    let count = |is: fn(&TurnEvent) -> bool| events.iter().filter(|event| is(event)).count();
    (
        count(|event| matches!(event, TurnEvent::Waiting { .. })),
        count(|event| matches!(event, TurnEvent::RateLimit { rejected: true, .. })),
    )
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_told() {
    for api in APIS {
        let cut = ModelTurn::text("x").with(|turn| turn.truncate_after = Some(0));
        let failed = ModelTurn::text("x").with(|turn| {
            turn.sse_error = Some(SseError::new("overloaded_error", "too many"));
        });
        let dropped = ModelTurn::text("x").with(|turn| turn.drop = true);
        let (limited, broken) = (hinted(429, "retry-after", "0"), ModelTurn::error(500, "api_error", "boom"));
        for (turn, limits) in [(cut, 0), (failed, 0), (dropped, 0), (limited, 1), (broken, 0)] {
            let bench = Bench::new(api, [turn, ModelTurn::text("At last.")]).await;
            let (events, end) = bench.run(request(&[])).await;
            assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("At last.")), "{api:?}");
            assert_eq!((waits(&events), bench.requests().len()), ((1, limits), 2), "{api:?}: {events:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_pass_is_not_tried_again() {
    for api in APIS {
        for status in [400, 401, 403, 404, 413] {
            let bench = Bench::new(api, [ModelTurn::error(status, "error", "no").repeat()]).await;
            assert_eq!(bench.end(request(&[])).await.outcome, Outcome::Failed);
            assert_eq!(bench.requests().len(), 1, "{api:?} {status}");
        }
        let quota = ModelTurn::error(429, "insufficient_quota", "look at your plan").repeat();
        let bench = Bench::new(api, [quota]).await;
        assert_eq!(bench.end(request(&[])).await.failure, Some(Failure::RateLimited), "{api:?}");
        assert_eq!(bench.requests().len(), 1, "{api:?}");
        let told = hinted(500, "x-should-retry", "false").repeat();
        let bench = Bench::new(api, [told]).await;
        bench.end(request(&[])).await;
        assert_eq!(bench.requests().len(), 1, "{api:?}: the provider says so");
    }
}

#[tokio::test]
async fn it_is_tried_so_often_and_no_more() {
    for api in APIS {
        let bench = Bench::new(api, [ModelTurn::error(529, "overloaded_error", "busy").repeat()]).await;
        assert_eq!(bench.end(request(&[])).await.failure, Some(Failure::Overloaded), "{api:?}");
        assert_eq!(bench.requests().len(), 4, "{api:?}");
    }
}

#[tokio::test]
async fn nothing_is_tried_again_once_a_part_was_shown() {
    for api in APIS {
        let cut = ModelTurn::text("Half of an answer").with(|turn| turn.truncate_after = Some(5)).repeat();
        let bench = Bench::new(api, [cut.with(|turn| turn.chunk = Some(1))]).await;
        let (events, end) = bench.run(request(&[])).await;
        assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Died)), "{api:?}: {end:?}");
        assert!(events.iter().any(|event| matches!(event, TurnEvent::Text { .. })), "{api:?}: {events:?}");
        assert_eq!(bench.requests().len(), 1, "{api:?}");
    }
}

#[tokio::test]
async fn the_provider_s_own_time_is_waited_for() {
    let in_two = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(2);
    let date = http_date(in_two.as_secs());
    let hints = [
        // Up to a second of it is over already.
        (hinted(429, "retry-after", &date), 500),
        (hinted(429, "retry-after", "0.3"), 300),
        (hinted(529, "retry-after-ms", "300"), 300),
        (hinted(503, "retry-after", "1"), 1_000),
        (hinted(429, "x-ratelimit-reset-requests", "300ms"), 300),
    ];
    for (turn, least) in hints {
        let name = format!("{:?}", turn.headers);
        let bench = Bench::new(Api::OpenAi, [turn, ModelTurn::text("At last.")]).await;
        let start = Instant::now();
        assert_eq!(bench.end(request(&[])).await.outcome, Outcome::Completed, "{name}");
        assert!(start.elapsed() >= Duration::from_millis(least), "{name}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn google_s_own_time_is_waited_for() {
    let raw = r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.3s"}]}}]"#;
    let turn = ModelTurn::empty().with(|turn| (turn.status, turn.raw) = (Some(429), Some(raw.to_owned())));
    let bench = Bench::new(Api::Gemini, [turn, ModelTurn::text("At last.")]).await;
    let start = Instant::now();
    assert_eq!(bench.end(request(&[])).await.outcome, Outcome::Completed);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_time_that_is_too_long_ends_the_turn_and_is_told() {
    for api in APIS {
        let retry = Retry::new(3, Duration::ZERO).within(Duration::from_secs(5));
        let bench = Bench::with(api, [hinted(429, "retry-after", "3600")], |api| api.retry(retry)).await;
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        let (events, end) = bench.run(request(&[])).await;
        assert_eq!(
            (end.outcome, end.failure),
            (Outcome::Failed, Some(Failure::RateLimited)),
            "{api:?}: {end:?}"
        );
        let resets = events.iter().find_map(|event| match event {
            TurnEvent::RateLimit { resets_at, .. } => *resets_at,
            _ => None,
        });
        assert!(resets.is_some_and(|at| (now + 3_600..now + 3_700).contains(&at)), "{api:?}: {events:?}");
    }
}

#[tokio::test]
async fn all_waits_of_a_turn_share_one_limit() {
    let retry = Retry::new(3, Duration::ZERO).within(Duration::from_millis(700));
    let wait = || hinted(429, "retry-after-ms", "300");
    let bench = Bench::with(Api::OpenAi, [wait(), wait(), wait(), wait()], |api| api.retry(retry)).await;
    assert_eq!(bench.end(request(&[])).await.failure, Some(Failure::RateLimited));
    assert_eq!(bench.requests().len(), 3);
}

#[tokio::test]
async fn an_interrupt_ends_a_wait() {
    for api in APIS {
        let retry = Retry::new(3, Duration::ZERO).within(Duration::from_secs(600));
        let bench = Bench::with(api, [hinted(429, "retry-after", "300")], |api| api.retry(retry)).await;
        let session = bench.open().await;
        let mut turn = session.turn(request(&[])).await.unwrap();
        while !matches!(turn.events.next().await, Some(TurnEvent::Waiting { .. })) {}
        turn.control.interrupt().await.unwrap();
        let Some(TurnEvent::Ended(end)) = turn.events.next().await else { panic!("no end") };
        assert_eq!(end.outcome, Outcome::Cancelled, "{api:?}: {end:?}");
    }
}

#[tokio::test]
async fn a_model_that_cannot_be_made_to_call_a_tool_is_asked_without() {
    let no = ModelTurn::error(400, "invalid_request_error", "tool_choice: this model does not support it");
    let bench = Bench::new(Api::OpenAi, [no, ModelTurn::text("As I like."), ModelTurn::text("Again.")]).await;
    let session = bench.open().await;
    for said in ["As I like.", "Again."] {
        let mut request = request(&["look"]);
        request.tool_choice = party_harness::ToolChoice::Once;
        assert_eq!(read(&session, request).await.1.text.as_deref(), Some(said));
    }
    let choices: Vec<_> = bench.requests().iter().map(|request| bench.api.choice(request)).collect();
    assert_eq!(choices, [Some("forced"), Some("auto"), Some("auto")], "the session knows");
}

#[tokio::test]
async fn a_model_that_cannot_reason_beside_tools_is_asked_not_to() {
    let no = "Function tools with reasoning_effort are not supported for gpt-6-sol in /v1/chat/completions. \
              To use function tools, use /v1/responses or set reasoning_effort to 'none'.";
    let no = ModelTurn::error(400, "invalid_request_error", no);
    let bench = Bench::new(Api::OpenAi, [no, ModelTurn::text("One."), ModelTurn::text("Two.")]).await;
    let session = bench.open().await;
    assert_eq!(read(&session, request(&["look"])).await.1.text.as_deref(), Some("One."));
    assert_eq!(read(&session, request(&[])).await.1.text.as_deref(), Some("Two."));
    let efforts: Vec<_> =
        bench.requests().iter().map(|asked| asked["body"].get("reasoning_effort").cloned()).collect();
    assert_eq!(efforts, [None, Some("none".into()), None], "without tools it reasons");
}

#[tokio::test]
async fn what_was_not_asked_for_cannot_be_asked_for_less() {
    let no =
        ModelTurn::error(400, "invalid_request_error", "tool_choice and tools and reasoning_effort").repeat();
    for api in APIS {
        let bench = Bench::new(api, [no.clone()]).await;
        assert_eq!(bench.end(request(&[])).await.failure, Some(Failure::Rejected), "{api:?}");
        assert_eq!(bench.requests().len(), 1, "{api:?}");
    }
}

/// A time as HTTP writes it.
fn http_date(seconds: u64) -> String {
    let at = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
