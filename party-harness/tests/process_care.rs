//! What becomes of a runtime's processes: with their host, beside other hosts, and after each way to end.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod claude;

use claude::{Bench, end_of};
use futures::StreamExt as _;
use party_core::Outcome;
use party_harness::{Close, ErrorKind, Recovery, RuntimeSession, Turn};
use std::{
    fs,
    path::Path,
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};

const INIT: &str =
    r#"echo '{"type":"system","subtype":"init","session_id":"s-1","uuid":"u1","tools":[],"mcp_servers":[]}'"#;
const DONE: &str = r#"echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"Hello.","session_id":"s-1","uuid":"u3","total_cost_usd":0}'"#;

/// A script that answers.
fn answers() -> String {
    format!("cat >/dev/null\n{INIT}\n{DONE}")
}

/// A script that works until it is ended; `prelude` says how it takes signals.
fn works(prelude: &str) -> String {
    format!("{prelude}\ncat >/dev/null\n{INIT}\nsleep 1000 &\nwhile :; do wait; done")
}

async fn turn_of(bench: &Bench, session: &Arc<dyn RuntimeSession>) -> Turn {
    session.turn(bench.request(1, 1, "x", "x")).await.unwrap()
}

/// A turn that the process has begun.
async fn begun(bench: &Bench, session: &Arc<dyn RuntimeSession>) -> Turn {
    let mut turn = turn_of(bench, session).await;
    tokio::time::timeout(Duration::from_secs(20), turn.events.next()).await.unwrap().unwrap();
    turn
}

/// Another process of the host that runs `test` of this program.
fn host(bench: &Bench, test: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("BENCH_ROOT", bench.path());
    command.spawn().unwrap()
}

fn number(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[tokio::test]
#[ignore = "the part of other tests that is killed"]
async fn a_host_to_be_killed() {
    let Some(root) = std::env::var_os("BENCH_ROOT") else { return };
    let bench = Bench::at(root.into());
    let turn = turn_of(&bench, &bench.open(None).await).await;
    turn.events.collect::<Vec<_>>().await;
}

#[tokio::test]
async fn a_runtime_is_told_that_its_host_was_killed() {
    let bench = Bench::script(&works(
        "trap 'echo told >\"$HOME/told\"; kill $!; exit 143' TERM\necho $$ >\"$HOME/pid\"",
    ));
    let mut host = host(&bench, "a_host_to_be_killed");
    bench.until("the runtime works", || bench.alive() == 2).await;
    let pid = number(&bench.home().join("pid")).unwrap();
    let [lock] = &bench.locks()[..] else { panic!() };
    let named = format!("\"process\":[{pid},");
    bench
        .until("the lock names the runtime itself", || fs::read_to_string(lock).unwrap().contains(&named))
        .await;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let group: i32 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(2).unwrap().parse().unwrap();
    assert_eq!(group, pid, "a group of its own");
    host.kill().unwrap();
    host.wait().unwrap();
    bench.until("nothing of the runtime lives", || bench.alive() == 0).await;
    assert!(bench.home().join("told").exists(), "it could put its affairs in order");
}

#[tokio::test]
async fn a159_the_runtime_gets_the_environment_that_was_given_byte_for_byte() {
    let odd = [("EMPTY", ""), ("EQUALS", "a=b=c"), ("LINES", "one\ntwo\n"), ("WIDE", "é\u{2028}🎉")];
    let script = format!("cat /proc/$$/environ >\"$HOME/environ\"\n{}", answers());
    let bench = Bench::script(&script).env(odd.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let end = end_of(turn_of(&bench, &bench.open(None).await).await).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    let mut expected = bench.spec(None).env;
    let scratch = bench.seat().join("claude-tmp").to_string_lossy().into_owned();
    let own = [
        ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
        ("CLAUDE_CODE_TMPDIR", &scratch),
        ("DISABLE_AUTOUPDATER", "1"),
        ("ENABLE_TOOL_SEARCH", "false"),
        ("MCP_TIMEOUT", "10000"),
    ];
    expected.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let expected: String = expected.iter().map(|(name, value)| format!("{name}={value}\0")).collect();
    assert_eq!(fs::read_to_string(bench.home().join("environ")).unwrap(), expected);
}

#[tokio::test]
async fn a169_two_turns_of_one_session_never_run_at_once() {
    let bench = Bench::script(&format!("echo x >>\"$HOME/launches\"\ncat \"$HOME/fifo\"\n{}", answers()));
    assert!(Command::new("mkfifo").arg(bench.home().join("fifo")).status().unwrap().success());
    let other = bench.elsewhere();
    let launches = || fs::read_to_string(bench.home().join("launches")).unwrap_or_default().lines().count();
    // Once with the session that is to be, and once with the one that was.
    let mut token = None;
    for round in 1..=2 {
        let (one, two) = (bench.open(token.clone()).await, other.open(token.clone()).await);
        let turn = turn_of(&bench, &one).await;
        bench.until("it is launched", || launches() == round).await;
        let error = two.turn(other.request(1, 1, "x", "x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        let [lock] = &bench.locks()[..] else { panic!() };
        let id = lock.file_stem().unwrap().to_str().unwrap();
        assert!(error.to_string().contains(id), "{error}");
        assert!(fs::metadata(other.seat().join("claude-settings.json")).is_err(), "nothing was written");
        fs::write(bench.home().join("fifo"), "go").unwrap();
        let end = end_of(turn).await;
        assert_eq!((end.outcome, launches()), (Outcome::Completed, round), "{end:?}");
        assert_eq!(bench.locks(), Vec::<std::path::PathBuf>::new(), "what is over leaves no file");
        token = end.token;
    }
}

#[tokio::test]
async fn a169_a_host_that_was_killed_gives_its_session_free_and_its_process_is_ended_first() {
    // The first launch outlives its host; a later one says whether the first still runs.
    let first = works("trap '' INT TERM\necho $$ >\"$HOME/first\"\n(setsid sleep 1000 &)");
    let script = format!(
        "if [ -e \"$HOME/first\" ]; then\n\
         case $(cut -d ')' -f 2 /proc/$(cat \"$HOME/first\")/stat) in\n\
         '' | ' Z'*) ;;\n*) echo both >\"$HOME/both\" ;;\nesac\n{}\nelse\n{first}\nfi",
        answers()
    );
    let bench = Bench::script(&script);
    let mut host = host(&bench, "a_host_to_be_killed");
    bench.until("the other host's turn runs", || bench.alive() == 3).await;
    let other = bench.elsewhere();
    let session = other.open(None).await;
    let error = session.turn(other.request(1, 1, "x", "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    host.kill().unwrap();
    host.wait().unwrap();
    assert_eq!(bench.alive(), 3, "it ignores what it is told");
    let end = end_of(turn_of(&other, &session).await).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    assert!(!bench.home().join("both").exists(), "both ran at once");
    assert_eq!((bench.alive(), bench.locks().len()), (0, 0));
}

#[tokio::test]
async fn a_turn_is_unseen_only_where_its_seat_can_prove_it() {
    let bench = Bench::script(&answers());
    let unseen = async |turn: u64| {
        let recovery = bench.open(None).await.recover(bench.key(turn, 1)).await.unwrap();
        matches!(recovery, Recovery::NotSeen)
    };
    drop(bench.open(None).await);
    assert!(unseen(5).await, "opened, never launched");
    end_of(turn_of(&bench, &bench.open(None).await).await).await;
    assert!(!unseen(1).await && unseen(2).await, "launched, and the one after it");
    bench.forget();
    assert!(!unseen(5).await, "a seat without a trace proves nothing");
    assert!(!unseen(5).await && unseen(6).await, "nor does the trace that was made for it");
    let trace = bench.seat().join("claude-trace.json");
    for field in ["boot", "host"] {
        let mut text: serde_json::Value = serde_json::from_slice(&fs::read(&trace).unwrap()).unwrap();
        text[field] = "another".into();
        fs::write(&trace, text.to_string()).unwrap();
        drop(bench.open(None).await);
        assert!(!unseen(9).await, "another {field}, though it was opened since");
    }
    fs::write(&trace, "").unwrap();
    drop(bench.open(None).await);
    assert!(!unseen(9).await, "what a power cut left");
}

#[tokio::test]
async fn a_process_that_ends_in_order_and_leaves_a_child_with_its_pipes_is_no_hang() {
    let bench = Bench::script(&format!("(setsid sleep 1000 &)\n{}", answers()));
    let end = end_of(turn_of(&bench, &bench.open(None).await).await).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Hello.")));
    assert_eq!(bench.alive(), 0);
}

#[tokio::test]
async fn what_a_turn_with_tools_left_in_the_background_ends_with_it() {
    let quiet = "setsid sleep 1000 </dev/null >/dev/null 2>&1 &";
    let bench = Bench::script(&format!("{quiet}\n{}", answers()));
    let session = bench.open(None).await;
    let mut request = bench.request(1, 1, "x", "x");
    request.own_tools = vec!["Bash".to_owned()];
    let end = end_of(session.turn(request).await.unwrap()).await;
    assert_eq!((end.outcome, bench.alive()), (Outcome::Completed, 0), "{end:?}");
}

#[tokio::test]
async fn a_process_that_closes_its_output_and_stays_is_ended() {
    let bench = Bench::script(&format!("trap '' INT\ncat >/dev/null\n{INIT}\nexec >&-\nsleep 1000"));
    let end = end_of(turn_of(&bench, &bench.open(None).await).await).await;
    assert_eq!((end.outcome, bench.alive()), (Outcome::Failed, 0), "{end:?}");
}

#[tokio::test]
async fn a171_a_child_without_environment_in_a_session_of_its_own_is_ended_with_its_parent() {
    // It is known by its parent only, which is gone when it is looked for.
    let child = "setsid env -i sleep 1000 </dev/null >/dev/null 2>&1 &\necho $! >\"$HOME/child\"";
    let bench = Bench::script(&works(&format!("trap 'kill $!; exit 0' INT\n{child}")));
    let session = bench.open(None).await;
    let turn = begun(&bench, &session).await;
    let child = number(&bench.home().join("child")).unwrap();
    bench.until("it has lost its environment", || bench.alive() == 2 && is_running(child)).await;
    turn.control.interrupt().await.unwrap();
    assert_eq!(end_of(turn).await.outcome, Outcome::Cancelled);
    assert!(!is_running(child));
}

#[tokio::test]
async fn a171_a_session_is_closed_in_order_or_at_once() {
    let polite = works("trap 'echo asked >\"$HOME/asked\"; kill $!; exit 0' INT");
    for (how, asked) in [(Close::Orderly, true), (Close::Now, false)] {
        let bench = Bench::script(&polite).patience(Duration::from_secs(60));
        let session = bench.open(None).await;
        let turn = begun(&bench, &session).await;
        tokio::time::timeout(Duration::from_secs(20), session.close(how)).await.unwrap().unwrap();
        assert_eq!((bench.alive(), bench.home().join("asked").exists()), (0, asked), "{how:?}");
        assert_eq!(end_of(turn).await.outcome, Outcome::Cancelled);
    }
}

#[tokio::test]
async fn a171_who_is_out_of_patience_ends_what_is_being_ended_in_order() {
    let bench = Bench::script(&works("trap '' INT TERM")).patience(Duration::from_secs(600));
    let session = bench.open(None).await;
    let turn = begun(&bench, &session).await;
    let orderly = session.close(Close::Orderly);
    futures::pin_mut!(orderly);
    assert!(futures::poll!(&mut orderly).is_pending());
    let both = async { tokio::join!(orderly, session.close(Close::Now)) };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap().0.unwrap();
    assert_eq!(bench.alive(), 0);
    drop(turn);
}

#[test]
fn a_hundred_turns_leave_no_descriptor_and_no_process() {
    let bench = Bench::script(&answers());
    let mut host = host(&bench, "a_host_of_a_hundred_turns");
    assert!(host.wait().unwrap().success());
    assert_eq!((bench.alive(), bench.locks().len()), (0, 0));
}

/// In a process of its own, where no other test opens anything.
#[tokio::test]
#[ignore = "the part of another test that counts"]
async fn a_host_of_a_hundred_turns() {
    let Some(root) = std::env::var_os("BENCH_ROOT") else { return };
    let bench = Bench::at(root.into());
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let own = std::process::id().to_string();
    let children = || {
        let stats = fs::read_dir("/proc").unwrap().flatten();
        let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        let is_child = |stat: &String| {
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.split(' ').nth(1) == Some(&own))
        };
        stats.filter(is_child).collect::<Vec<_>>()
    };
    let mut before = 0;
    for turn in 0..=100 {
        let session = bench.open(None).await;
        let end = end_of(session.turn(bench.request(turn + 1, 1, "x", "x")).await.unwrap()).await;
        assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
        before = if turn == 0 { open() } else { before };
    }
    assert_eq!((open(), children()), (before, Vec::new()));
}
