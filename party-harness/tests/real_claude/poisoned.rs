//! A turn whose tools are not there is not run.

use crate::{
    claude::end_of,
    server::{broken, with_share},
    stage::stage,
};
use party_core::{Cost, Failure, Outcome, Usd};
use party_harness::{McpEndpoint, TurnEnd};
use serde_json::Value;
use test_support::{ClaudeVersion, ModelTurn, Scenario};

test_support::on_each_claude!(
    a165_a_server_that_fails_poisons_the_turn_before_the_model_is_paid,
    a165_a_server_without_the_tool_poisons_the_turn_before_the_model_is_paid,
    a165_a_server_that_never_answers_poisons_the_turn_before_the_model_is_paid,
    a165_a_poisoned_session_begins_anew_once_the_server_is_back,
);

async fn a165_a_server_that_fails_poisons_the_turn_before_the_model_is_paid(version: ClaudeVersion) {
    let nobody =
        McpEndpoint { name: "party".into(), url: "http://127.0.0.1:9/mcp".into(), secret: "x".into() };
    assert_eq!(poisoned(version, &nobody).await, "the mcp server `party` is failed");
    for how in ["unauthorized", "html"] {
        let reason = poisoned(version, &broken(how).await.0).await;
        let known = ["failed", "needs-auth"].map(|status| format!("the mcp server `party` is {status}"));
        assert!(known.contains(&reason), "{how}: {reason}");
    }
    let no_url = McpEndpoint { url: "nowhere".into(), ..nobody };
    assert!(poisoned(version, &no_url).await.contains("mcp server"), "a configuration that it refuses");
}

/// It says `connected` then.
async fn a165_a_server_without_the_tool_poisons_the_turn_before_the_model_is_paid(version: ClaudeVersion) {
    for how in ["listless", "other"] {
        let reason = poisoned(version, &broken(how).await.0).await;
        assert_eq!(reason, "the mcp server `party` does not offer the tool `mcp__party__share`", "{how}");
    }
}

/// One version waits as long as it is told to; the other begins without, and calls it pending.
async fn a165_a_server_that_never_answers_poisons_the_turn_before_the_model_is_paid(version: ClaudeVersion) {
    let reason = poisoned(version, &broken("silent").await.0).await;
    let status = if version == ClaudeVersion::Older { "pending" } else { "failed" };
    assert_eq!(reason, format!("the mcp server `party` is {status}"));
}

/// Why the turn came to nothing: its process was killed when it said so, and the model was not asked.
async fn poisoned(version: ClaudeVersion, endpoint: &McpEndpoint) -> String {
    let (bench, fake) = stage(version, Scenario::new().default_turn(ModelTurn::text("Unheard."))).await;
    let request = with_share(bench.request(1, 1, "begin", "begin"), endpoint);
    let end = end_of(bench.open(None).await.turn(request).await.unwrap()).await;
    assert_eq!((end.outcome, end.token, end.text), (Outcome::Failed, None, None), "{endpoint:?}");
    assert_eq!((end.failure, end.cost), (Some(Failure::Poisoned), Cost::Reported(Usd::ZERO)));
    assert_eq!(fake.model_requests(), Vec::<Value>::new(), "{endpoint:?}");
    assert_eq!(bench.alive(), 0);
    end.reason.unwrap()
}

async fn a165_a_poisoned_session_begins_anew_once_the_server_is_back(version: ClaudeVersion) {
    let (bench, fake) = stage(version, Scenario::new().default_turn(ModelTurn::text("Fine."))).await;
    let session = bench.open(None).await;
    let (html, whole) = (broken("html").await.0, broken("not").await.0);
    let turn = async |turn, endpoint: &McpEndpoint| -> TurnEnd {
        let request = with_share(bench.request(turn, 1, "delta", "whole"), endpoint);
        end_of(session.turn(request).await.unwrap()).await
    };
    assert_eq!(turn(1, &whole).await.outcome, Outcome::Completed);
    assert_eq!(turn(2, &html).await.outcome, Outcome::Failed);
    let end = turn(3, &whole).await;
    assert_eq!((end.outcome, end.sent), (Outcome::Completed, party_core::Sent::Full), "{end:?}");
    assert_eq!(fake.model_requests().len(), 2);
}
