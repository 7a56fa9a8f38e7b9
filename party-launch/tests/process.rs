//! An agent in a process that speaks lines of JSON, and one whose process dies.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{folded, in_words};
use party_launch::{
    Party, PartyBuilder, Seat,
    bus::{Bus, MemoryBus},
    core::CloseReason,
    formats::Format,
    harness::{
        claude_code::ClaudeCode,
        scripted::{Script, Scripted, Step},
    },
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A stand-in for the binary: Ada answers, any other dies in the middle of its answer.
const PROGRAM: &str = r#"#!/bin/sh
case "$*" in --version) echo '2.1.329 (Claude Code)'; exit;; esac
cat >>"$HOME/told"
echo '{"type":"system","subtype":"init","session_id":"s-1","uuid":"1","tools":[],"mcp_servers":[]}'
case "$*" in *--agent=party-0-ada*) ;; *) kill -9 $$;; esac
echo '{"type":"assistant","session_id":"s-1","uuid":"2","message":{"id":"m","content":[{"type":"text","text":"Ada has her doubts."}]}}'
echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"Ada has her doubts.","session_id":"s-1","uuid":"3","total_cost_usd":0.002}'
"#;

/// The same for many turns, as long as its host keeps it.
const FOR_MANY_TURNS: &str = r#"#!/bin/sh
case "$*" in --version) echo '2.1.329 (Claude Code)'; exit;; esac
echo "$*" >>"$HOME/launches"
while read -r line; do
    case $line in
    *'"type":"control_request"'*)
        echo '{"type":"control_response","response":{"subtype":"success","request_id":"party-initialize","response":{}}}';;
    *'"type":"user"'*)
        n=$((n + 1)); uuid=${line##*\"uuid\":\"}
        echo '{"type":"system","subtype":"init","session_id":"s-1","tools":[],"mcp_servers":[]}'
        echo '{"type":"user","isReplay":true,"session_id":"s-1","message":{"role":"user","content":[]},"uuid":"'"${uuid%%\"*}"'"}'
        echo '{"type":"assistant","session_id":"s-1","message":{"id":"'$$-$n'","content":[{"type":"text","text":"Noted."}]}}'
        echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"Noted.","session_id":"s-1","total_cost_usd":0.002}';;
    esac
done
"#;

#[tokio::test]
async fn a171_seats_that_nobody_asks_keep_no_process_and_go_on_in_their_session() {
    let folder = tempfile::tempdir().unwrap();
    let harness = ClaudeCode::new(program(folder.path(), FOR_MANY_TURNS)).persistent();
    let party = desk(folder.path(), harness.idle_patience(Duration::from_millis(50)));
    let party = party.start("One?").await.unwrap();
    for launches in 1..=2 {
        party.at_rest().await.unwrap();
        // It is asked for nothing more, and its party is still there.
        until(|| living(folder.path()) == 0).await;
        let text = fs::read_to_string(folder.path().join("launches")).unwrap();
        assert_eq!(text.lines().count(), launches, "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("--resume=s-1")).count(), launches - 1, "{text}");
        party.post("And now?").await.unwrap();
    }
    party.shutdown().await.unwrap();
    assert_eq!(living(folder.path()), 0);
}

#[tokio::test]
async fn a171_a_party_that_ends_in_any_way_takes_its_waiting_processes_with_it() {
    for ends in ["dropped", "drained", "closed", "stopped"] {
        let folder = tempfile::tempdir().unwrap();
        let harness = ClaudeCode::new(program(folder.path(), FOR_MANY_TURNS)).persistent();
        let party = desk(folder.path(), harness).start("One?").await.unwrap();
        party.at_rest().await.unwrap();
        assert_eq!(living(folder.path()), 1, "it waits for its next turn");
        let kept = match ends {
            "dropped" => {
                drop(party);
                None
            }
            "drained" => {
                party.shutdown().await.unwrap();
                assert_eq!(living(folder.path()), 0);
                None
            }
            "closed" => party.close().await.map(|()| Some(party)).unwrap(),
            _ => party.stop().await.map(|()| Some(party)).unwrap(),
        };
        until(|| living(folder.path()) == 0).await;
        drop(kept);
    }
}

/// An open party of one agent.
fn desk(folder: &Path, harness: ClaudeCode) -> PartyBuilder {
    let format = Format::from_yaml("{name: desk, roles: {clerk: {intent: answer}}, intents: {answer: {}}}");
    let env = [("HOME", folder.to_string_lossy().into_owned()), ("PATH", "/usr/bin:/bin".to_owned())];
    Party::builder(Arc::new(MemoryBus::new()))
        .harness(harness)
        .folder(folder)
        .environment(BTreeMap::from(env.map(|(name, value)| (name.to_owned(), value))))
        .format(format.unwrap())
        .seat(Seat::new("Ada", "clerk"))
}

fn program(folder: &Path, text: &str) -> PathBuf {
    let program = folder.join("claude");
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// How many processes live whose home is this folder.
fn living(folder: &Path) -> usize {
    let home = format!("HOME={}", folder.display());
    let is_here = |process: &fs::DirEntry| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
    };
    fs::read_dir("/proc").unwrap().flatten().filter(is_here).count()
}

async fn until(mut holds: impl FnMut() -> bool) {
    let holds = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), holds).await.expect("it comes to hold");
}

#[tokio::test]
async fn a046_what_a_process_says_is_shared_and_one_that_dies_leaves_its_seat_failed() {
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), PROGRAM);
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let council = builder(folder.path(), &bus).seat(seat("Ada")).seat(seat("Eve"));
    let party = council.seat(judge()).start("Should we ship?").await.unwrap();
    assert_eq!(finished(&party).await, CloseReason::Finished);
    let mut feed = party.feed();
    let mut said = Vec::new();
    while let Some(item) = feed.next().await.unwrap() {
        said.push(format!("{}: {}", item.author, item.text()));
    }
    assert_eq!(said, ["you: Should we ship?", "Ada: Ada has her doubts.", "Maat: Then wait."]);
    let told = fs::read_to_string(folder.path().join("told")).unwrap();
    assert_eq!(told.matches("Should we ship?").count(), 2, "{told}");
    let log = in_words(party.session(), &folded(bus.as_ref(), party.session()).await);
    assert!(log.iter().any(|line| line.starts_with("turnEnded Eve Failed None")), "{log:#?}");

    let council = builder(folder.path(), &bus).seat(seat("Eve")).seat(judge());
    let party = council.start("And now?").await.unwrap();
    assert_eq!(finished(&party).await, CloseReason::BelowQuorum);
}

fn builder(folder: &Path, bus: &Arc<dyn Bus>) -> PartyBuilder {
    let home = folder.to_string_lossy().into_owned();
    let env = [("HOME", home), ("PATH", "/usr/bin:/bin".to_owned())];
    let script = Script::default().agent("Maat", [Step::say(0, "Then wait.")]);
    Party::builder(Arc::clone(bus))
        .harness(Scripted::new(script))
        .harness(ClaudeCode::new(folder.join("claude")))
        .folder(folder)
        .environment(BTreeMap::from(env.map(|(name, value)| (name.to_owned(), value))))
        .format(Format::council())
}

fn seat(name: &str) -> Seat {
    Seat::new(name, "persona").prompt(format!("You are {name}.")).harness("claude")
}

fn judge() -> Seat {
    Seat::new("Maat", "judge").harness("scripted")
}

async fn finished(party: &Party) -> CloseReason {
    tokio::time::timeout(Duration::from_secs(30), party.finished()).await.expect("it ends").unwrap()
}
