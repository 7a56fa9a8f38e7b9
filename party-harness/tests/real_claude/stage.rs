//! A seat whose `claude` talks to a fake model, and what that was told.
#![allow(dead_code, reason = "each test program uses a part")]

use crate::claude::Bench;
use serde_json::Value;
use test_support::{ClaudeVersion, FakeModel, Scenario, claude_env};

pub(crate) async fn stage(version: ClaudeVersion, scenario: Scenario) -> (Bench, FakeModel) {
    // A request without tools is one of the CLI's own to the fake, and of a seat without tools here.
    let fake = FakeModel::start(scenario.count_side()).await;
    let bench = Bench::new(version.binary());
    let mut env = claude_env(&bench.home(), fake.base_url());
    env.push(("CLAUDE_CODE_MAX_RETRIES".into(), "1".into()));
    (bench.env(env), fake)
}

/// The blocks of each message of the user, without what the CLI itself puts before the first.
pub(crate) fn said_by_user(request: &Value) -> Vec<Vec<String>> {
    let messages = request["body"]["messages"].as_array().unwrap();
    let users = messages.iter().filter(|message| message["role"] == "user");
    let blocks = users.map(|message| match &message["content"] {
        Value::String(text) => vec![text.clone()],
        blocks => blocks.as_array().unwrap().iter().map(block).collect(),
    });
    blocks
        .map(|blocks| blocks.into_iter().filter(|text| !text.starts_with("<system-reminder>\n")).collect())
        .collect()
}

fn block(block: &Value) -> String {
    match block["type"].as_str() {
        Some("text") => block["text"].as_str().unwrap().to_owned(),
        _ => block.to_string(),
    }
}

pub(crate) fn said_to(request: &Value) -> String {
    said_by_user(request).concat().join("\n")
}

/// The last request that the model got.
pub(crate) fn last(fake: &FakeModel) -> Value {
    fake.model_requests().pop().unwrap()
}

pub(crate) fn offered(request: &Value) -> Vec<String> {
    let tools = request["body"]["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn system(request: &Value) -> String {
    request["body"]["system"].to_string()
}
