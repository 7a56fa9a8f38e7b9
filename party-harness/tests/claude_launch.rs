//! What the adapter launches, with shell scripts for a binary.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod claude;

use claude::{Bench, end_of};
use party_core::Outcome;
use party_harness::{
    Capabilities, CostSource, ErrorKind, Harness as _, McpEndpoint, Permissions, ToolDoor, ToolForce,
    ToolScope, ToolSpec, TurnRequest,
};
use serde_json::{Value, json};
use std::{fs, process::Command};

/// Answers, and keeps the arguments and the settings of each launch.
const SCRIPT: &str = r#"cat >/dev/null
printf '%s\n' "$@" >>"$HOME/args"
echo end >>"$HOME/args"
cat ../seat/claude-settings.json >>"$HOME/settings"
echo >>"$HOME/settings"
env >"$HOME/env"
echo '{"type":"system","subtype":"init","session_id":"s-1","uuid":"u1","tools":["mcp__party__share"],"mcp_servers":[{"name":"party","status":"connected"}],"claude_code_version":"2.1.329"}'
echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"Hello.","session_id":"s-1","uuid":"u2","total_cost_usd":0}'"#;

fn with_tools(mut request: TurnRequest, own: &[&str]) -> TurnRequest {
    let url = "http://127.0.0.1:1/mcp".into();
    request.mcp = Some(McpEndpoint { name: "party".into(), url, secret: "s3cret".into() });
    request.tools = vec![ToolSpec::new("share", "", json!({}))];
    request.own_tools = own.iter().map(|name| (*name).to_owned()).collect();
    request
}

/// The arguments of each launch so far.
fn launches(bench: &Bench) -> Vec<Vec<String>> {
    let text = fs::read_to_string(bench.home().join("args")).unwrap();
    let launches = text.split_terminator("end\n");
    launches.map(|launch| launch.lines().map(str::to_owned).collect()).collect()
}

fn value(arguments: &[String], name: &str) -> String {
    let mut values = arguments.iter().filter_map(|argument| argument.strip_prefix(name));
    let value = values.next().unwrap_or_else(|| panic!("no {name} in {arguments:?}"));
    assert!(values.next().is_none(), "{name} twice in {arguments:?}");
    value.to_owned()
}

#[tokio::test]
async fn all_that_defines_the_agent_is_given_to_a_fresh_and_to_a_resumed_launch() {
    let bench = Bench::script(SCRIPT);
    let session = bench.open(None).await;
    for turn in 1..=2 {
        let request = with_tools(bench.request(turn, 1, "x", "x"), &["Bash", "Read"]);
        let end = end_of(session.turn(request).await.unwrap()).await;
        assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    }
    let launches = launches(&bench);
    let [fresh, resumed] = &launches[..] else { panic!("{launches:?}") };
    assert_eq!(value(resumed, "--resume="), "s-1");
    assert!(!fresh.iter().any(|argument| argument.starts_with("--resume")), "{fresh:?}");
    for arguments in [fresh, resumed] {
        assert_eq!(value(arguments, "--agent="), "party-3-m-ry-the-strategist");
        let agents: Value = serde_json::from_str(&value(arguments, "--agents=")).unwrap();
        let agent = &agents["party-3-m-ry-the-strategist"];
        assert_eq!(agent["prompt"], "You are Mary.");
        assert_eq!(agent["tools"], json!(["Bash", "Read", "mcp__party__share"]));
        assert_eq!(value(arguments, "--tools="), "Bash,Read");
        assert_eq!(value(arguments, "--setting-sources="), "user");
        assert!(arguments.iter().any(|argument| argument == "--strict-mcp-config"));
        assert!(value(arguments, "--mcp-config=").ends_with("/seat/claude-mcp.json"));
        assert!(value(arguments, "--settings=").ends_with("/seat/claude-settings.json"));
        // What a flag takes is joined to it: none swallows the next one.
        assert!(arguments.iter().all(|argument| argument.starts_with('-')), "{arguments:?}");
    }
    let settings = fs::read_to_string(bench.home().join("settings")).unwrap();
    let allowed = json!({"permissions": {"allow": ["Bash", "Read", "mcp__party__share"]}}).to_string();
    assert_eq!(settings.lines().collect::<Vec<_>>(), [&allowed, &allowed]);
}

#[tokio::test]
async fn what_is_no_name_of_a_tool_is_refused_before() {
    let bench = Bench::script(SCRIPT);
    let session = bench.open(None).await;
    for name in
        ["", "Bash,Read", "Bash Read", "Bash(ls:*)", "a=b", "--resume", "*", "1", "Bäsh", "mcp__party__other"]
    {
        let request = with_tools(bench.request(1, 1, "x", "x"), &["Read", name]);
        let error = session.turn(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
        assert_eq!(error.to_string(), format!("`{}` is no name of a tool of claude", name.escape_debug()));
    }
    assert!(!bench.home().join("args").exists(), "nothing was launched");
}

#[tokio::test]
async fn a_process_per_turn_does_not_ask_and_says_so() {
    let bench = Bench::script(SCRIPT);
    let declared = Capabilities {
        resume: true,
        tools: ToolDoor::McpHttp,
        tool_scope: ToolScope::Turn,
        tool_choice: ToolForce::Told,
        steps: false,
        own_tools: true,
        permissions: Permissions::Never,
        steer: false,
        recover: false,
        cost: CostSource::Enforced,
    };
    assert_eq!(bench.harness().info().capabilities, declared);
    let session = bench.open(None).await;
    let mut request = with_tools(bench.request(1, 1, "x", "x"), &["Bash"]);
    request.ask = true;
    assert_eq!(session.turn(request.clone()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(!bench.home().join("args").exists(), "nothing was launched");
    request.ask = false;
    let end = end_of(session.turn(request).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Completed, "the session is free: {end:?}");
}

/// A host may itself run under the CLI.
#[tokio::test]
async fn nothing_of_an_outer_session_reaches_the_process() {
    let bench = Bench::script(SCRIPT);
    let outer = ["CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_MESSAGING_TOKEN", "CLAUDE_AGENT"];
    let host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_host_under_the_cli", "--ignored"])
        .envs(outer.map(|name| (name, "outer")))
        .env("BENCH_ROOT", bench.path())
        .output()
        .unwrap();
    assert!(host.status.success(), "{host:?}");
    let env = fs::read_to_string(bench.home().join("env")).unwrap();
    assert!(env.contains("CLAUDE_CODE_TMPDIR=") && !env.contains("outer"), "{env}");
}

#[tokio::test]
#[ignore = "the part of another test that runs with other variables"]
async fn a_host_under_the_cli() {
    let Some(root) = std::env::var_os("BENCH_ROOT") else { return };
    assert_eq!(std::env::var("CLAUDECODE").unwrap(), "outer");
    let bench = Bench::at(root.into());
    let end = end_of(bench.open(None).await.turn(bench.request(1, 1, "x", "x")).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
}
