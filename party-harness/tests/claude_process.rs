//! What the Claude Code adapter does to a process, with shell scripts for a binary.
#![cfg(target_os = "linux")]

mod claude;

use claude::{Bench, end_of, events_of};
use futures::StreamExt as _;
use party_core::{Cost, Outcome, Sent, Usd};
use party_harness::{Close, ErrorKind, Harness as _, McpEndpoint, Recovery, ToolSpec, TurnEvent};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s-1","uuid":"u1","tools":["mcp__party__share"],"mcp_servers":[{"name":"party","status":"connected"}],"claude_code_version":"2.1.329"}"#;
const SAID: &str = r#"{"type":"assistant","session_id":"s-1","uuid":"u2","message":{"id":"m1","content":[{"type":"text","text":"Hello."}]}}"#;
const DONE: &str = r#"{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"Hello.","session_id":"s-1","uuid":"u3","total_cost_usd":0.002,"model_usage_since_last_result":{"m":{"costUSD":0.002,"inputTokens":5,"outputTokens":6}}}"#;

fn prints(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("echo '{line}'\n")).collect()
}

fn answers() -> String {
    format!("cat >\"$HOME/stdin\"\n{}", prints(&[INIT, SAID, DONE]))
}

#[tokio::test]
async fn a046_a_turn_streams_what_the_process_prints_and_ends_once() {
    let bench = Bench::script(&answers());
    let session = bench.open(None).await;
    let events = events_of(session.turn(bench.request(1, 1, "delta", "whole")).await.unwrap()).await;
    assert!(matches!(&events[1], TurnEvent::Started { sent: Sent::Full, .. }), "{events:?}");
    assert!(events.contains(&TurnEvent::Text { text: "Hello.".into() }));
    let Some(TurnEvent::Ended(end)) = events.last() else { panic!() };
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Hello.")));
    assert_eq!(end.cost, Cost::Reported(Usd::from_micros(2000)));
    assert_eq!((end.usage.input_tokens, end.usage.output_tokens, end.usage.steps), (5, 6, 1));
    assert_eq!(end.token, session.state().token);
    let sent: Value = serde_json::from_slice(&fs::read(bench.home().join("stdin")).unwrap()).unwrap();
    let content = json!([{"type": "text", "text": "whole"}, {"type": "text", "text": ""}]);
    assert_eq!((&sent["message"]["content"], &sent["client_composed"]), (&content, &json!(true)));
}

#[tokio::test]
async fn a159_the_process_has_exactly_its_environment_and_files_of_its_own() {
    let bench =
        Bench::script(&format!("env >\"$HOME/env\"\nprintf '%s\\n' \"$@\" >\"$HOME/args\"\n{}", answers()));
    let mut request = bench.request(1, 1, "x", "x");
    request.mcp = Some(McpEndpoint {
        name: "party".into(),
        url: "http://127.0.0.1:1/mcp".into(),
        secret: "s3cret".into(),
    });
    request.tools = vec![ToolSpec::new("share", "", json!({}))];
    let end = end_of(bench.open(None).await.turn(request).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    let env = fs::read_to_string(bench.home().join("env")).unwrap();
    let mut names: Vec<_> =
        env.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    // The shell's own.
    names.retain(|name| !matches!(*name, "PWD" | "SHLVL" | "_" | "OLDPWD"));
    names.sort_unstable();
    let fixed = ["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "CLAUDE_CODE_TMPDIR", "DISABLE_AUTOUPDATER"];
    assert_eq!(names, [&fixed[..], &["ENABLE_TOOL_SEARCH", "HOME", "MCP_TIMEOUT", "PATH"]].concat());
    let args = fs::read_to_string(bench.home().join("args")).unwrap();
    assert!(!args.contains("s3cret") && !env.contains("s3cret"));
    assert!(args.contains("--agent=party-3-m-ry-the-strategist\n"), "{args}");
    let config = bench.seat().join("claude-mcp.json");
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    let config: Value = serde_json::from_slice(&fs::read(config).unwrap()).unwrap();
    let expected = json!({"type": "http", "url": "http://127.0.0.1:1/mcp", "alwaysLoad": true, "timeout": 86_400_000,
        "headers": {"Authorization": "Bearer s3cret"}});
    assert_eq!(config["mcpServers"]["party"], expected);
    let settings: Value =
        serde_json::from_slice(&fs::read(bench.seat().join("claude-settings.json")).unwrap()).unwrap();
    assert_eq!(settings, json!({"permissions": {"allow": ["mcp__party__share"]}}));
}

#[tokio::test]
async fn a171_an_interrupt_ends_even_what_ignores_it_and_what_has_a_group_of_its_own() {
    // `setsid` and the double fork leave nothing but the variable to know the grandchild by.
    let stubborn = format!(
        "trap '' INT TERM\ncat >/dev/null\n{}(setsid sleep 1000 &)\nwhile :; do sleep 1000; done",
        prints(&[INIT])
    );
    let bench = Bench::script(&stubborn);
    let session = bench.open(None).await;
    let mut turn = session.turn(bench.request(1, 1, "x", "x")).await.unwrap();
    turn.events.next().await.unwrap();
    bench.until("the grandchild runs", || bench.alive() >= 3).await;
    turn.control.interrupt().await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(10), end_of(turn)).await.unwrap();
    assert_eq!((end.outcome, end.cost), (Outcome::Cancelled, Cost::Unknown));
    assert!(end.token.is_some());
    assert_eq!(bench.alive(), 0);
}

#[tokio::test]
async fn a171_a_dropped_turn_ends_its_process_and_frees_the_session() {
    let bench = Bench::script(&format!("cat >/dev/null\n{}sleep 1000 & wait", prints(&[INIT])));
    let session = bench.open(None).await;
    let mut turn = session.turn(bench.request(1, 1, "x", "x")).await.unwrap();
    turn.events.next().await.unwrap();
    assert_eq!(session.turn(bench.request(2, 1, "x", "x")).await.unwrap_err().kind(), ErrorKind::Busy);
    drop(turn);
    bench.until("the tree is gone", || bench.alive() == 0).await;
    session.close(Close::Orderly).await.unwrap();
    assert_eq!(session.turn(bench.request(2, 1, "x", "x")).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_shutdown_ends_turns_that_nobody_reads() {
    let bench = Bench::script(&format!("cat >/dev/null\n{}while :; do echo '{SAID}'; done", prints(&[INIT])));
    let session = bench.open(None).await;
    let turn = session.turn(bench.request(1, 1, "x", "x")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), bench.harness().shutdown()).await.unwrap().unwrap();
    assert_eq!(bench.alive(), 0);
    assert_eq!(end_of(turn).await.outcome, Outcome::Cancelled);
}

#[test]
fn a171_a_runtime_that_goes_away_leaves_no_process_and_no_zombie() {
    let bench = Bench::script(&format!(
        "trap '' INT TERM\ncat >/dev/null\n{}while :; do sleep 1000; done",
        prints(&[INIT])
    ));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pids = runtime.block_on(async {
        let session = bench.open(None).await;
        let mut turn = session.turn(bench.request(1, 1, "x", "x")).await.unwrap();
        turn.events.next().await.unwrap();
        let pids = bench.pids();
        std::mem::forget(turn);
        pids
    });
    drop(runtime);
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while pids.iter().any(|pid| fs::exists(format!("/proc/{pid}")).unwrap()) {
        assert!(std::time::Instant::now() < end, "{pids:?} live, or are zombies");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_flood_on_stderr_blocks_nothing_and_its_tail_is_the_reason() {
    let bench =
        Bench::script("yes 'noise noise noise' | head -c 3000000 >&2\necho 'the last words' >&2\nexit 3");
    let session = bench.open(None).await;
    let end = end_of(session.turn(bench.request(1, 1, "x", &"m".repeat(300_000))).await.unwrap()).await;
    assert_eq!((end.outcome, end.cost, end.token), (Outcome::Failed, Cost::Reported(Usd::ZERO), None));
    let reason = end.reason.unwrap();
    assert!(
        reason.starts_with("claude exited with code 3") && reason.ends_with("the last words"),
        "{reason}"
    );
    assert!(reason.len() < 1000);
}

#[tokio::test]
async fn a_process_that_dies_in_mid_turn_fails_it_and_keeps_the_session() {
    let bench = Bench::script(&format!("cat >/dev/null\n{}kill -9 $$", prints(&[INIT, SAID])));
    let end = end_of(bench.open(None).await.turn(bench.request(1, 1, "x", "x")).await.unwrap()).await;
    assert_eq!((end.outcome, end.cost), (Outcome::Failed, Cost::Unknown));
    assert_eq!(
        (end.reason.as_deref(), end.text.as_deref()),
        (Some("claude was ended by signal 9"), Some("Hello."))
    );
    assert!(end.token.is_some());
}

#[tokio::test]
async fn a_process_that_does_not_exit_after_its_result_is_ended() {
    let bench = Bench::script(&format!("trap '' INT\n{}sleep 1000", answers()));
    let end = end_of(bench.open(None).await.turn(bench.request(1, 1, "x", "x")).await.unwrap()).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Hello.")));
    assert_eq!(bench.alive(), 0);
}

#[tokio::test]
async fn a_refused_resume_begins_anew_within_the_turn() {
    let refused = r#"{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":0,"session_id":"s-0","uuid":"r","total_cost_usd":0,"errors":["No conversation found with session ID: s-0"]}"#;
    let script = format!(
        "case \"$*\" in *--resume=s-1*) cat >/dev/null; echo '{refused}'; exit 1;; esac\n{}",
        answers()
    );
    let bench = Bench::script(&script);
    let session = bench.open(None).await;
    assert_eq!(end_of(session.turn(bench.request(1, 1, "x", "x")).await.unwrap()).await.sent, Sent::Full);
    let end = end_of(session.turn(bench.request(2, 1, "delta", "whole")).await.unwrap()).await;
    assert_eq!((end.outcome, end.sent), (Outcome::Completed, Sent::Full));
    let sent: Value = serde_json::from_slice(&fs::read(bench.home().join("stdin")).unwrap()).unwrap();
    assert_eq!(sent["message"]["content"][0]["text"], "whole");
}

#[tokio::test]
async fn a_token_of_another_place_is_not_used() {
    let bench = Bench::script(&format!("printf '%s\\n' \"$@\" >\"$HOME/args\"\n{}", answers()));
    let token = end_of(bench.open(None).await.turn(bench.request(1, 1, "x", "x")).await.unwrap())
        .await
        .token
        .unwrap();
    for (field, resumed) in [("v", false), ("host", false), ("home", false), ("cwd", false), ("total", true)]
    {
        let mut token = token.clone();
        token.0[field] = if field == "total" || field == "v" { json!(9) } else { json!("/elsewhere") };
        let end =
            end_of(bench.open(Some(token)).await.turn(bench.request(2, 1, "x", "x")).await.unwrap()).await;
        let args = fs::read_to_string(bench.home().join("args")).unwrap();
        assert_eq!(
            (args.contains("--resume="), end.sent == Sent::Delta),
            (resumed, resumed),
            "{field}: {args}"
        );
    }
}

/// Starts a turn in another process of the host, which is then killed.
#[tokio::test]
async fn an_orphan_of_a_killed_host_is_found_and_ended() {
    let bench = Bench::script(&format!(
        "trap '' INT TERM\ncat >/dev/null\n{}(setsid sleep 1000 &)\nwhile :; do sleep 1000; done",
        prints(&[INIT])
    ));
    drop(bench.open(None).await);
    let session = bench.open(None).await;
    assert!(matches!(session.recover(bench.key(1, 1)).await.unwrap(), Recovery::NotSeen));
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_host_to_be_killed", "--ignored", "--nocapture"])
        .env("BENCH_ROOT", bench.path())
        .spawn()
        .unwrap();
    bench.until("the orphan runs", || bench.alive() >= 3).await;
    host.kill().unwrap();
    host.wait().unwrap();
    assert!(bench.alive() >= 3, "it outlives its host");
    let session = bench.open(None).await;
    assert_eq!((bench.alive(), bench.locks().len()), (0, 0));
    assert!(matches!(session.recover(bench.key(1, 1)).await.unwrap(), Recovery::Unknown));
    assert!(matches!(session.recover(bench.key(2, 1)).await.unwrap(), Recovery::NotSeen));
}

#[tokio::test]
#[ignore = "the part of another test that is killed"]
async fn a_host_to_be_killed() {
    let Some(root) = std::env::var_os("BENCH_ROOT") else { return };
    let bench = Bench::at(root.into());
    let turn = bench.open(None).await.turn(bench.request(1, 1, "x", "x")).await.unwrap();
    turn.events.collect::<Vec<_>>().await;
}

#[tokio::test]
async fn a_missing_or_wrong_binary_is_named() {
    let bench = Bench::new("/nonexistent/claude".into());
    let error = bench.open(None).await.turn(bench.request(1, 1, "x", "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("npm install -g @anthropic-ai/claude-code"), "{error}");
    assert_eq!(bench.harness_probe().await.unwrap_err().kind(), ErrorKind::Missing);
    let other = Bench::script("echo 'claude 0.1'").harness_probe().await.unwrap_err();
    assert!(other.kind() == ErrorKind::Launch && other.to_string().contains("is not Claude Code"), "{other}");
    let real = Bench::script("echo '2.1.329 (Claude Code)'");
    assert_eq!(real.harness_probe().await.unwrap().version, "2.1.329");
}

#[tokio::test]
async fn what_cannot_be_launched_is_refused_before() {
    let bench = Bench::script(&answers());
    let session = bench.open(None).await;
    let mut request = bench.request(1, 1, "x", "  ");
    assert_eq!(session.turn(request.clone()).await.unwrap_err().kind(), ErrorKind::Invalid);
    request = bench.request(1, 1, "x", "x");
    request.limit = Some(Usd::ZERO);
    assert_eq!(session.turn(request.clone()).await.unwrap_err().kind(), ErrorKind::Invalid);
    let mut spec = bench.spec(None);
    spec.system_prompt = "p".repeat(140_000);
    let long = bench.harness().open(spec, claude::no_tools()).await.unwrap();
    let error = long.turn(bench.request(1, 1, "x", "x")).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("at most"), "{error}");
    fs::remove_dir_all(bench.path().join("work")).unwrap();
    let error = session.turn(bench.request(1, 1, "x", "x")).await.unwrap_err();
    assert!(error.to_string().contains("working folder"), "{error}");
}
