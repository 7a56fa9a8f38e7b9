//! The council on the real `claude`, as a user runs it: killed once, and resumed.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{
    Place, said, stderr,
    voices::{QUESTION, asked, assert_in_order, called, ended, living, opinion, run, speaks},
};
use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};
use test_support::{FakeModel, Gate, ModelTurn, Scenario, claude_binary, claude_env};

const PERSONAS: [&str; 4] = ["Mary", "John", "Winston", "James"];

/// James answers his second question only when `slow` lets him.
fn scenario(slow: Option<&Gate>) -> Scenario {
    let mut scenario = Scenario::new().turn(ModelTurn::text("Settled.").when(called("Maat"))).count_side();
    for name in PERSONAS {
        let gate = slow.filter(|_| name == "James").cloned();
        scenario = scenario.turn(speaks(name, 2).with(|turn| turn.gate = gate)).turn(speaks(name, 1));
    }
    scenario.default_turn(ModelTurn::error(400, "invalid_request_error", "nobody is to be asked this"))
}

/// A council whose agents may see what they need to reach the fake, by name.
fn council(place: &Place, fake: &FakeModel, args: &[&str]) -> Command {
    let mut command = place.council(args);
    let mut env = claude_env(&place.path("."), fake.base_url());
    env.push(("CLAUDE_CODE_MAX_RETRIES".into(), "1".into()));
    let names: Vec<&str> = env.iter().map(|(name, _)| name.as_str()).collect();
    command.arg("--pass-env").arg(names.join(",")).arg("--claude-bin").arg(claude_binary());
    command.envs(env.iter().map(|(name, value)| (name, value)));
    command
}

#[tokio::test]
async fn a051_a054_a201_two_rounds_on_claude_killed_once_and_resumed() {
    Box::pin(two_rounds(false)).await;
}

#[tokio::test]
async fn a051_a054_a161_a201_two_rounds_on_a_persistent_claude_killed_once_and_resumed() {
    Box::pin(two_rounds(true)).await;
}

async fn two_rounds(is_persistent: bool) {
    let (place, slow) = (Place::new(), Gate::new());
    let fake = FakeModel::start(scenario(Some(&slow))).await;
    let mode: &[&str] = if is_persistent { &["--claude-mode", "persistent"] } else { &[] };
    let started = [&[QUESTION, "--harness", "claude", "--rounds", "2"], mode].concat();
    let mut command = council(&place, &fake, &started);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // All have asked, so that no orphan asks later.
    fake.wait_for_model_requests(8).await;
    slow.arrived().await;
    assert_eq!(living(&place).into_iter().any(serves_many_turns), is_persistent);
    child.kill().unwrap();
    child.wait().unwrap();
    let session = place.sessions().remove(0);
    let finished = ended(&place, &session);
    let before = PERSONAS.map(|name| asked(&fake, name));

    // Without its runtime a session is not spoiled by a council of absent personas.
    let missing = place.council(&["--resume", &session, "--claude-bin", "./none"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
    assert!(stderr(&missing).contains("install Claude Code"), "{}", said(&missing));

    fake.set(scenario(None));
    let resumed = run(council(&place, &fake, &[&["--resume", &session], mode].concat())).await;
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    let shown = String::from_utf8(resumed.stdout.clone()).unwrap();
    let mut expected = vec![QUESTION.to_owned()];
    expected.extend([1, 2].iter().flat_map(|round| PERSONAS.map(|name| opinion(name, *round))));
    expected.push("Settled.".into());
    assert_in_order(&shown, &expected);
    for (index, name) in PERSONAS.into_iter().enumerate() {
        let again = usize::from(!finished.contains(&(index as u64, 2)));
        assert_eq!((before[index], asked(&fake, name)), (2, again), "{name}: {finished:?}");
    }
    assert!(stderr(&resumed).contains("ended: finished"), "{}", said(&resumed));
    assert_eq!(living(&place), BTreeSet::new());
    // Once it is over, no claude is needed to see it.
    let again = place.council(&["--resume", &session]).output().unwrap();
    assert_eq!(again.stdout, resumed.stdout);
}

/// Only such a process says again what it is told.
fn serves_many_turns(pid: i32) -> bool {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).any(|argument| argument == b"--replay-user-messages")
}
