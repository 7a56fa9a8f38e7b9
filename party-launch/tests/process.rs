//! An agent in a process that speaks lines of JSON, and one whose process dies.
#![cfg(unix)]
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
    collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration,
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

#[tokio::test]
async fn a046_what_a_process_says_is_shared_and_one_that_dies_leaves_its_seat_failed() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("claude");
    fs::write(&program, PROGRAM).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

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
