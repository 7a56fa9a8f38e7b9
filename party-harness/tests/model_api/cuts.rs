//! Streams that are cut at any byte.

use crate::bench::{APIS, Api, Bench, request};
use party_harness::{
    TurnEvent,
    core::{Failure, Outcome},
    model::Retry,
};
use serde_json::json;
use test_support::{Block, ModelTurn, Scenario};

/// Text in several scripts, and reasoning.
fn turn() -> ModelTurn {
    let turn = ModelTurn::empty().block(Block::thinking("Hm, größer.")).block(Block::text("größer 漢字 🎭"));
    turn.with(|turn| turn.chunk = Some(100))
}

fn text(events: &[TurnEvent]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        TurnEvent::Text { text } => Some(&**text),
        _ => None,
    });
    texts.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a177_a_stream_that_is_cut_shows_what_was_whole_and_fails() {
    for api in APIS {
        let bench = Bench::with(api, [], |api| api.retry(Retry::NEVER)).await;
        let session = bench.open().await;
        let (mut last, mut ends) = (String::new(), 0);
        // The bytes of all wires are taken apart by the same code; one is cut at each of them.
        let stride = if api == Api::OpenAi { 1 } else { 7 };
        for at in (0..).step_by(stride) {
            for clean_end in [false, true] {
                let cut = turn().with(|turn| (turn.cut_at_byte, turn.clean_end) = (Some(at), clean_end));
                bench.fake.set(Scenario::new().count_side().turn(cut));
                let (events, end) = crate::bench::read(&session, request(&[])).await;
                let said = text(&events);
                assert!(said.starts_with(&last), "{api:?} at {at}: {said:?} after {last:?}");
                assert!("größer 漢字 🎭".starts_with(&said), "{api:?} at {at}: {said:?}");
                if end.outcome == Outcome::Completed {
                    assert_eq!(end.text.as_deref(), Some("größer 漢字 🎭"), "{api:?} at {at}");
                    ends += 1;
                } else {
                    let expected = (Outcome::Failed, Some(Failure::Died), 0);
                    assert_eq!((end.outcome, end.failure, ends), expected, "{api:?} at {at}: {end:?}");
                }
                last = said;
            }
            if bench.fake.requests().iter().all(|request| request["outcome"] == "sent") {
                break;
            }
        }
        assert!(ends > 0, "{api:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_cut_is_not_made() {
    for api in APIS {
        let call = ModelTurn::tool_use("look", json!({"n": 1})).with(|turn| turn.chunk = Some(2));
        for events in 0..6 {
            let cut = call.clone().with(|turn| turn.truncate_after = Some(events));
            let bench = Bench::with(api, [cut], |api| api.retry(Retry::NEVER)).await;
            let end = bench.end(request(&["look"])).await;
            let made = bench.port.calls().len();
            if end.failure == Some(Failure::Died) {
                assert_eq!(made, 0, "{api:?} after {events} events");
            }
        }
    }
}
