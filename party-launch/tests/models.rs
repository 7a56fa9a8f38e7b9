//! Each seat has its own runtime and its own model.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "test code")]

use party_launch::{
    Party, Seat,
    bus::MemoryBus,
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

/// A stand-in for the binary that writes down which agent it was launched for, and with which model.
const PROGRAM: &str = r#"#!/bin/sh
case "$*" in --version) echo '2.1.329 (Claude Code)'; exit;; esac
cat >/dev/null
for argument; do
    case "$argument" in --agent=*|--model=*) line="$line ${argument#--}";; esac
done
echo "${0##*/}$line" >>"$HOME/launches"
echo '{"type":"system","subtype":"init","session_id":"s-1","uuid":"1","tools":[],"mcp_servers":[]}'
echo '{"type":"assistant","session_id":"s-1","uuid":"2","message":{"id":"m","content":[{"type":"text","text":"So be it."}]}}'
echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"So be it.","session_id":"s-1","uuid":"3","total_cost_usd":0.002}'
"#;

/// The stand-in under a name of its own.
fn program(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, PROGRAM).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a080_each_persona_is_launched_with_its_own_model_and_runner_and_so_is_the_judge() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_string_lossy().into_owned();
    let env = [("HOME", home), ("PATH", "/usr/bin:/bin".to_owned())];
    let script = Script::default().agent("James", [Step::say(0, "Scripted.")]);
    let persona = |name: &str, harness: &str| Seat::new(name, "persona").harness(harness);
    let party = Party::builder(Arc::new(MemoryBus::new()))
        .harness_as("first", ClaudeCode::new(program(folder.path(), "claude-1")))
        .harness_as("second", ClaudeCode::new(program(folder.path(), "claude-2")))
        .harness(Scripted::new(script))
        .folder(folder.path())
        .environment(BTreeMap::from(env.map(|(name, value)| (name.to_owned(), value))))
        .format(Format::council())
        .seat(persona("Mary", "first").model("opus"))
        .seat(persona("John", "second").model("haiku"))
        .seat(persona("Winston", "second"))
        .seat(persona("James", "scripted"))
        .seat(Seat::new("Maat", "judge").harness("first").model("sonnet"));
    let party = party.start("Ship?").await.unwrap();
    let finished = tokio::time::timeout(Duration::from_secs(30), party.finished()).await;
    assert_eq!(finished.expect("it ends").unwrap(), CloseReason::Finished);

    let mut feed = party.feed();
    let mut said = Vec::new();
    while let Some(item) = feed.next().await.unwrap() {
        said.push(format!("{}: {}", item.author, item.text()));
    }
    assert!(said.contains(&"James: Scripted.".to_owned()), "{said:?}");
    let launches = fs::read_to_string(folder.path().join("launches")).unwrap();
    let mut launches: Vec<&str> = launches.lines().collect();
    assert_eq!(launches.pop(), Some("claude-1 agent=party-4-maat model=sonnet"), "the judge comes last");
    launches.sort_unstable();
    let expected = [
        "claude-1 agent=party-0-mary model=opus",
        "claude-2 agent=party-1-john model=haiku",
        "claude-2 agent=party-2-winston",
    ];
    assert_eq!(launches, expected);
}
