//! What a turn costs, by the CLI's own count.

use crate::{claude, claude::end_of, stage::stage};
use party_core::{Failure, Outcome, Usd};
use party_harness::TurnEnd;
use serde_json::json;
use test_support::{ClaudeVersion, ModelTurn, Scenario};

test_support::on_each_claude!(
    a170_the_costs_of_resumed_turns_add_up_to_the_runtimes_own_total,
    the_limit_holds_for_one_turn_of_a_resumed_session,
);

fn dear(tokens: u64) -> ModelTurn {
    ModelTurn::text("Dear.").with(|turn| {
        turn.usage.insert("output_tokens".into(), json!(tokens));
    })
}

/// One version counts its total over all turns, the other over those of a process.
async fn a170_the_costs_of_resumed_turns_add_up_to_the_runtimes_own_total(version: ClaudeVersion) {
    let scenario = [1_000, 3_000, 7_000].map(dear).into_iter().fold(Scenario::new(), Scenario::turn);
    let (bench, _fake) = stage(version, scenario).await;
    let mut spec = bench.spec(None);
    spec.model = Some("claude-sonnet-4-5".into());
    let mut ends: Vec<TurnEnd> = Vec::new();
    for turn in 1..=3 {
        spec.resume = ends.last().and_then(|end| end.token.clone());
        let session = claude::open(&bench, spec.clone()).await;
        let end = end_of(session.turn(bench.request(turn, 1, "delta", "whole")).await.unwrap()).await;
        assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
        ends.push(end);
    }
    let costs: Vec<Usd> = ends.iter().map(|end| end.cost.amount().unwrap()).collect();
    // 100 tokens at 3 USD per million, 10 and 1000 of the cache at 1.25 and 0.1 times that, and the
    // answer at 15.
    let expected = [1_000, 3_000, 7_000].map(|tokens| Usd::from_micros(300 + 38 + 300 + 15 * tokens));
    let close = costs
        .iter()
        .zip(expected)
        .all(|(cost, expected)| cost.as_micros().abs_diff(expected.as_micros()) <= 1);
    assert!(close, "{costs:?}, {expected:?}");
    let total = Usd::from_micros(ends[2].token.as_ref().unwrap().0["total"].as_u64().unwrap());
    let counted = if version == ClaudeVersion::Older { costs[2] } else { costs.iter().copied().sum() };
    assert!(total.as_micros().abs_diff(counted.as_micros()) <= 2, "{total:?}, {costs:?}");
}

async fn the_limit_holds_for_one_turn_of_a_resumed_session(version: ClaudeVersion) {
    let (bench, _fake) = stage(version, Scenario::new().default_turn(dear(50_000))).await;
    let session = bench.open(None).await;
    let mut request = bench.request(1, 1, "x", "x");
    request.limit = Some(Usd::from_micros(5_000_000));
    let first = end_of(session.turn(request.clone()).await.unwrap()).await;
    assert_eq!(first.outcome, Outcome::Completed, "{first:?}");
    let spent = first.cost.amount().unwrap();
    (request.key.turn, request.limit) = (claude::turn(2), Some(spent.saturating_add(Usd::from_micros(1000))));
    let second = end_of(session.turn(request.clone()).await.unwrap()).await;
    assert_eq!(second.outcome, Outcome::Completed, "{second:?}");
    (request.key.turn, request.limit) = (claude::turn(3), Some(Usd::from_micros(10)));
    let third = end_of(session.turn(request).await.unwrap()).await;
    assert_eq!((third.outcome, third.text.as_deref()), (Outcome::Failed, Some("Dear.")), "{third:?}");
    assert_eq!(third.failure, Some(Failure::OverBudget), "in whatever words: {third:?}");
}
