//! The server of one's own: its door, its end, and what outlives it.

use crate::{
    codex::{Tools, begin, end_of, holds, request, run, tool, within},
    mcp::McpServer,
    stage::{Stage, kill, offered, said},
};
use party_core::{Failure, Outcome, Sent};
use party_harness::{ErrorKind, Harness as _, Recovery, ToolPort, codex::Codex};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use test_support::{ModelTurn, Scenario, codex_binary};

fn three() -> Scenario {
    let say = |n: u32| ModelTurn::text(format!("Answer {n}.")).when(format!("cue-{n}"));
    Scenario::new().turn(say(3)).turn(say(2)).turn(say(1))
}

#[tokio::test]
async fn a_probe_tells_the_version_and_starts_no_server() {
    let stage = Stage::new(Scenario::new()).await;
    assert_eq!(stage.codex().probe().await.unwrap().version, "0.169.0");
    assert_eq!(stage.of_server(), [] as [i32; 0]);
    let missing = Codex::new("/nonexistent/codex").probe().await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Missing);
    let other = Codex::new("/bin/true").probe().await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Launch, "{other}");
}

/// One server, on a port that the system chose, behind a token that only its owner can read.
#[tokio::test]
async fn a172_the_server_is_started_once_with_a_token_on_a_port_of_its_own() {
    let stage = Stage::new(three()).await;
    let codex = stage.codex();
    let port = Arc::clone(&stage.tools) as Arc<dyn ToolPort>;
    let ann = stage.open(&codex).await;
    let bob = codex.open(stage.bench.spec(2, None), port).await.unwrap();
    assert_eq!(stage.of_server(), [] as [i32; 0], "only a turn needs it");
    let (first, second) =
        futures::join!(run(&ann, request(1, "cue-1", &[])), run(&bob, request(2, "cue-2", &[])));
    assert_eq!((first.text.as_deref(), second.text.as_deref()), (Some("Answer 1."), Some("Answer 2.")));
    let servers = stage.of_server();
    assert_eq!(servers.len(), 1);
    let file = stage.home().join("party-token");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = fs::read_to_string(&file).unwrap();
    let command = fs::read_to_string(format!("/proc/{}/cmdline", servers[0])).unwrap();
    assert!(!command.contains(&token) && !command.contains("sk-fake"), "{command}");
    let url = format!("ws://127.0.0.1:{}", listening(servers[0]));
    for wrong in [None, Some("wrong")] {
        let error = Codex::attach(&url, wrong).unwrap().probe().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Launch, "{error}");
    }
    let probe = Codex::attach(&url, Some(&token)).unwrap().probe().await.unwrap();
    assert_eq!(probe.version, "0.169.0");
    codex.shutdown().await.unwrap();
}

/// The loopback port on which a process listens.
fn listening(pid: i32) -> u16 {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let sockets: Vec<String> = links
        .filter_map(|link| fs::read_link(link.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| link.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let listens = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_own = fields.get(3) == Some(&"0A")
            && sockets.iter().any(|socket| fields.get(9) == Some(&socket.as_str()));
        u16::from_str_radix(fields.get(1).filter(|_| is_own)?.strip_prefix("0100007F:")?, 16).ok()
    };
    table.lines().find_map(listens).unwrap()
}

/// With its tools, its MCP servers, and its memory.
#[tokio::test]
async fn a172_a_thread_survives_the_servers_sigkill_and_restart_with_its_mcp_servers() {
    let stage = Stage::new(three()).await;
    let mcp = McpServer::start().await;
    let key = request(1, "", &[]).key;
    let door = mcp.admit(key, vec![tool("find")], Arc::clone(&stage.tools) as Arc<dyn ToolPort>);
    let authorization = format!("Bearer {}", door.secret);
    let config = json!({"url": door.url, "http_headers": {"Authorization": authorization}});
    let codex = stage.codex().mcp_server("docs", config);
    let session = stage.open(&codex).await;
    for n in 1..=3 {
        let mut request = request(n, &format!("cue-{n}"), &["share"]);
        request.own_tools = vec!["mcp__docs".to_owned()];
        let end = run(&session, request).await;
        let sent = if n == 1 { Sent::Full } else { Sent::Delta };
        assert_eq!((end.text, end.sent), (Some(format!("Answer {n}.").into()), sent));
        stage.of_server().into_iter().for_each(kill);
    }
    let requests = stage.fake.model_requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        // Of a server, its resources too.
        let offered = offered(request).into_iter().filter(|name| !name.contains("mcp_resource"));
        assert_eq!(offered.collect::<Vec<_>>(), ["mcp__docs.find", "party.share"]);
    }
    assert_eq!(said(&requests[2]), ["cue-1", "cue-2", "cue-3"]);
    codex.shutdown().await.unwrap();
}

#[tokio::test]
async fn a172_a_turn_whose_server_is_killed_ends_once_and_the_next_one_works() {
    let scenario =
        Scenario::new().turn(ModelTurn::text("Next.").when("cue-2")).turn(ModelTurn::empty().hang().repeat());
    let stage = Stage::new(scenario).await;
    let codex = stage.codex();
    let session = stage.open(&codex).await;
    let turn = begin(&session, request(1, "cue-1", &["share"])).await;
    stage.fake.wait_for_model_requests(1).await;
    stage.of_server().into_iter().for_each(kill);
    let end = end_of(turn).await;
    assert_eq!((end.outcome, end.failure), (Outcome::Failed, Some(Failure::Died)), "{end:?}");
    let end = run(&session, request(2, "cue-2", &["share"])).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Next."), Sent::Delta));
    codex.shutdown().await.unwrap();
}

/// A later attempt at a turn that the thread has goes on; the message is not said twice.
#[tokio::test]
async fn a_later_attempt_goes_on_where_the_thread_has_the_message() {
    let scenario = Scenario::new()
        .turn(ModelTurn::text("Done.").when("Go on, please."))
        .turn(ModelTurn::empty().hang().repeat());
    let stage = Stage::new(scenario).await;
    let codex = stage.codex();
    let session = stage.open(&codex).await;
    let turn = begin(&session, request(1, "cue-1", &[])).await;
    stage.fake.wait_for_model_requests(1).await;
    stage.of_server().into_iter().for_each(kill);
    end_of(turn).await;
    let mut again = request(1, "cue-1", &[]);
    (again.key.attempt, again.continuation) = (2, Some("Go on, please.".to_owned()));
    let end = run(&session, again).await;
    assert_eq!(end.text.as_deref(), Some("Done."));
    let told = said(stage.fake.model_requests().last().unwrap());
    assert_eq!(told.iter().filter(|said| *said == "cue-1").count(), 1, "{told:?}");
    codex.shutdown().await.unwrap();
}

/// Another process of the host finds the folder, the thread, and what became of the last turn.
#[tokio::test]
async fn a_session_and_its_last_turn_are_found_again_after_a_restart_of_the_host() {
    let stage = Stage::new(three()).await;
    let first = stage.codex();
    let session = stage.open(&first).await;
    let end = run(&session, request(1, "cue-1", &["share"])).await;
    first.shutdown().await.unwrap();
    drop((session, first));
    let second = stage.codex();
    let session = stage.bench.open_with(&second, &stage.tools, end.token.clone()).await;
    assert!(session.state().resumed);
    match within(session.recover(crate::codex::key(1, 1))).await.unwrap() {
        Recovery::Ended(known) => {
            assert_eq!((known.outcome, known.text, known.token), (end.outcome, end.text, end.token));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(session.recover(crate::codex::key(2, 1)).await.unwrap(), Recovery::NotSeen));
    let end = run(&session, request(2, "cue-2", &["share"])).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Answer 2."), Sent::Delta));
    let requests = stage.fake.model_requests();
    assert_eq!(
        (said(&requests[1]), offered(&requests[1])),
        (vec!["cue-1".into(), "cue-2".into()], vec!["party.share".to_owned()])
    );
    second.shutdown().await.unwrap();
}

/// A thread that is not there any more is no error: the turn is told everything in a new one.
#[tokio::test]
async fn a_thread_that_is_gone_is_begun_anew() {
    let stage = Stage::new(three()).await;
    let first = stage.codex();
    let session = stage.open(&first).await;
    let token = run(&session, request(1, "cue-1", &[])).await.token;
    first.shutdown().await.unwrap();
    fs::remove_dir_all(stage.home()).unwrap();
    let second = stage.codex();
    let session = stage.bench.open_with(&second, &stage.tools, token).await;
    let end = run(&session, request(2, "cue-2", &[])).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Answer 2."), Sent::Full));
    second.shutdown().await.unwrap();
}

/// Two hosts of one user have a folder each; a third that names one that is taken is told.
#[tokio::test]
async fn a_folder_has_one_server_at_a_time() {
    let stage = Stage::new(three()).await;
    let first = stage.codex();
    run(&stage.open(&first).await, request(1, "cue-1", &[])).await;
    let second = stage.codex();
    let tools = Tools::new();
    let session = second.open(stage.bench.spec(2, None), tools as Arc<dyn ToolPort>).await.unwrap();
    let error = session.turn(request(2, "cue-2", &[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    first.shutdown().await.unwrap();
    assert_eq!(run(&session, request(2, "cue-2", &[])).await.text.as_deref(), Some("Answer 2."));
    second.shutdown().await.unwrap();
}

/// A `codex` whose help does not tell of some ways to reach it.
fn without(stage: &Stage, hidden: &str) -> PathBuf {
    let path = stage.bench.folder("bin").join("codex");
    let real = codex_binary();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--help*) exec \"{0}\" \"$@\" | grep -v '{hidden}';; *) exec \"{0}\" \"$@\";; esac\n",
        Path::new(&real).display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Over its socket in the file system, and over its pipes: the same turns, and the same end.
#[tokio::test]
async fn a172_a_binary_without_websockets_on_a_port_is_reached_otherwise() {
    for (hidden, has_socket) in [("ws://\\|--ws-token-file", true), ("://\\|--ws-token-file", false)] {
        let stage = Stage::new(three()).await;
        let codex = stage.on(Codex::new(without(&stage, hidden))).start_patience(Duration::from_secs(20));
        let session = stage.open(&codex).await;
        for n in 1..=2 {
            let end = run(&session, request(n, &format!("cue-{n}"), &["share"])).await;
            assert_eq!(end.text, Some(format!("Answer {n}.").into()), "{hidden}");
        }
        assert_eq!(fs::symlink_metadata(stage.home().join("party.sock")).is_ok(), has_socket, "{hidden}");
        stage.of_server().into_iter().for_each(kill);
        let end = run(&session, request(3, "cue-3", &["share"])).await;
        assert_eq!((end.text.as_deref(), end.sent), (Some("Answer 3."), Sent::Delta), "{hidden}");
        codex.shutdown().await.unwrap();
        assert_eq!(stage.of_server(), [] as [i32; 0]);
    }
}

/// A server of the host's that does not start is no turn without tools.
#[tokio::test]
async fn an_mcp_server_that_is_dead_is_a_typed_error_before_a_model_is_asked() {
    let stage = Stage::new(three()).await;
    let codex = stage.codex().mcp_server("docs", json!({"url": "http://127.0.0.1:9/mcp"}));
    let session = stage.open(&codex).await;
    let mut asked = request(1, "cue-1", &["share"]);
    asked.own_tools = vec!["mcp__docs".to_owned()];
    let error = within(session.turn(asked)).await.unwrap_err();
    assert!(error.to_string().contains("docs"), "{error}");
    assert_eq!(stage.fake.model_requests().len(), 0);
    let end = run(&session, request(2, "cue-2", &["share"])).await;
    assert_eq!(end.text.as_deref(), Some("Answer 2."));
    codex.shutdown().await.unwrap();
}

/// The server dies with its host; what that leaves behind, the next one ends.
#[tokio::test]
async fn a171_a_killed_host_takes_its_server_with_it_and_the_next_one_ends_the_rest() {
    let command = json!({"cmd": "setsid sleep 987 & sleep 987", "yield_time_ms": 30000});
    let scenario = Scenario::new()
        .turn(ModelTurn::text("Next.").when("cue-2"))
        .turn(ModelTurn::tool_use("exec_command", command));
    let stage = Stage::new(scenario).await;
    let mut host = std::process::Command::new(std::env::current_exe().unwrap());
    host.args(["--exact", "server::a_host_to_be_killed", "--ignored", "--nocapture"]);
    host.env("BENCH_ROOT", stage.bench.folder("")).env("BENCH_MODEL", stage.fake.base_url());
    let mut host = host.spawn().unwrap();
    holds("the tool runs", || stage.of_seat().len() >= 3).await;
    host.kill().unwrap();
    host.wait().unwrap();
    holds("the server is gone", || stage.of_server().is_empty()).await;
    let codex = stage.codex();
    let session = stage.open(&codex).await;
    assert_eq!(stage.of_seat(), [] as [i32; 0]);
    let recovery = within(session.recover(crate::codex::key(1, 1))).await.unwrap();
    assert!(matches!(recovery, Recovery::Unknown), "{recovery:?}");
    let end = run(&session, request(2, "cue-2", &[])).await;
    assert_eq!(end.text.as_deref(), Some("Next."));
    codex.shutdown().await.unwrap();
}

#[tokio::test]
#[ignore = "the part of another test that is killed"]
async fn a_host_to_be_killed() {
    let (Some(root), Ok(model)) = (std::env::var_os("BENCH_ROOT"), std::env::var("BENCH_MODEL")) else {
        return;
    };
    let bench = crate::codex::Bench::at(root.into());
    let codex = crate::stage::on(&bench, &model, Codex::new(codex_binary()));
    let mut request = request(1, "cue-1", &[]);
    request.own_tools = vec!["shell".to_owned()];
    run(&bench.open(&codex, &Tools::new()).await, request).await;
}
