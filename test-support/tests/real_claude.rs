//! The real Claude Code binary against the fake.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use test_support::{Block, ClaudeVersion, FakeModel, ModelTurn, Scenario, claude_env};
use tokio::process::Command;

test_support::on_each_claude!(a_tool_call_and_an_answer, an_error_of_the_provider);

async fn claude(version: ClaudeVersion, home: &Path, fake: &FakeModel, arguments: &[&str]) -> Output {
    let mut command = Command::new(version.binary());
    command
        .args(["-p", "--output-format", "stream-json", "--verbose"])
        .args(arguments)
        .env_clear()
        .envs(claude_env(home, fake.base_url()))
        .current_dir(home)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command.output().await.unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn result(output: &Output) -> Value {
    let mut lines = lines(output);
    lines.retain(|line| line["type"] == "result");
    lines.pop().unwrap_or_else(|| panic!("no result: {}", String::from_utf8_lossy(&output.stderr)))
}

async fn a_tool_call_and_an_answer(version: ClaudeVersion) {
    let home = tempfile::tempdir().unwrap();
    let first = ModelTurn::empty()
        .block(Block::text("I look."))
        .block(Block::tool_use("Bash", json!({"command": "echo seen-$((40 + 2))"})));
    let scenario =
        Scenario::new().turn(first.when("look around")).turn(ModelTurn::text("Done.").when("seen-42"));
    let fake = FakeModel::start(scenario).await;
    let output = claude(version, home.path(), &fake, &["--allowedTools", "Bash", "--", "look around"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result = result(&output);
    assert_eq!((&result["is_error"], &result["result"]), (&json!(false), &json!("Done.")));
    assert_eq!(fake.model_requests().len(), 2);
    assert_eq!(fake.model_requests()[0]["headers"]["x-api-key"], "sk-ant-fake");
}

async fn an_error_of_the_provider(version: ClaudeVersion) {
    let home = tempfile::tempdir().unwrap();
    let turn = ModelTurn::error(400, "invalid_request_error", "no such thing").repeat();
    let fake = FakeModel::start(Scenario::new().turn(turn)).await;
    let output = claude(version, home.path(), &fake, &["--", "hello"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(result(&output)["is_error"], true);
}
