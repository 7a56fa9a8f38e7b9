//! Every recording, and what it comes to.

use crate::table::{folder, is_raw, row, table};
use party_core::Failure;
use party_harness::{
    TurnEvent,
    codex::codec::{Asked, Decoded, Question, Status},
};
use std::{collections::BTreeSet, fs};

#[test]
fn each_recording_comes_to_what_it_was() {
    for row in table() {
        assert_eq!(row.found(&row.events()), row, "{}", row.recording);
    }
}

#[test]
fn every_recording_has_a_row() {
    let versions = fs::read_dir(folder()).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let files = versions.flat_map(|version| fs::read_dir(version.path()).unwrap().flatten());
    let names = files.map(|file| {
        let path = file.path();
        path.with_extension("").strip_prefix(folder()).unwrap().to_string_lossy().into_owned()
    });
    let rows: BTreeSet<String> = table().into_iter().map(|row| row.recording).collect();
    assert_eq!(names.collect::<BTreeSet<_>>(), rows);
    assert_eq!(rows.len(), 16);
}

#[test]
fn every_turn_ends_once_and_says_why_where_it_gives_no_answer() {
    for row in table() {
        let events = row.events();
        let mut ended = BTreeSet::new();
        for event in &events {
            match event {
                Decoded::Ended { turn, verdict } => {
                    assert!(ended.insert(turn), "{}", row.recording);
                    assert_eq!(verdict.reason.is_none(), verdict.status == Status::Answered, "{verdict:?}");
                    assert_eq!(verdict.failure.is_some(), verdict.status == Status::Failed, "{verdict:?}");
                }
                Decoded::Event { turn, .. } => {
                    assert!(!ended.contains(turn), "{}: after its end: {event:?}", row.recording);
                }
                _ => {}
            }
        }
        let began = events.iter().filter(|event| matches!(event, Decoded::Began { .. })).count();
        assert_eq!(began, ended.len(), "{}", row.recording);
    }
}

/// Each case of the recording, in its order, and what kind of failure it is.
#[test]
fn a173_errors_of_a_model_are_told_apart() {
    let row = row("0.169.0/model_errors");
    let came: Vec<_> = row.turns.iter().map(|turn| turn.failure).collect();
    use Failure::{Other, Overloaded, RateLimited, Rejected, TooLong, Unauthenticated};
    let failed = [
        (Unauthenticated, 2),
        (Rejected, 2),
        (RateLimited, 3),
        (Overloaded, 4),
        (TooLong, 1),
        (RateLimited, 2),
        (Overloaded, 1),
        (Rejected, 1),
        (Other, 1),
        (Overloaded, 1),
    ];
    let failed = failed.into_iter().flat_map(|(failure, times)| vec![Some(failure); times]);
    assert_eq!(came, failed.chain([None; 5]).collect::<Vec<_>>());
}

/// The server repeats a call whose stream was cut, and with it what was said.
#[test]
fn what_a_repeated_call_says_again_is_told_once() {
    let events = row("0.169.0/model_errors").events();
    let partial = |event: &&Decoded| match event {
        Decoded::Event { event: TurnEvent::Text { text }, .. } => text.starts_with("partial"),
        _ => false,
    };
    let texts: Vec<_> = events.iter().filter(partial).collect();
    let turns: BTreeSet<_> = texts.iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(texts.len(), turns.len(), "{texts:?}");
}

#[test]
fn a_text_that_steering_cut_off_is_no_answer() {
    let row = row("0.169.0/steer");
    let texts: Vec<_> = row.turns.iter().map(|turn| turn.text.as_deref()).collect();
    assert_eq!(texts, [Some("answer after steer"), Some("final")]);
}

#[test]
fn questions_are_read_with_what_they_are_about() {
    let asked = |recording: &str| -> Vec<Asked> {
        let events = row(recording).events().into_iter();
        events
            .filter_map(|event| if let Decoded::Asked(asked) = event { Some(*asked) } else { None })
            .collect()
    };
    let calls = asked("0.169.0/dynamic_tools");
    let Question::Call { id, namespace, tool, arguments } = &calls[0].what else { panic!("{calls:?}") };
    assert_eq!((id.as_str(), namespace.as_deref(), tool.as_str()), ("d1", Some("party"), "Send"));
    assert_eq!(arguments.get(), r#"{"member":"alice","message":"hi"}"#);
    let commands = asked("0.169.0/interrupt");
    assert!(
        commands.iter().any(|asked| matches!(&asked.what, Question::Command { input, .. }
            if input.value()["command"].is_string() && input.value()["cwd"] == "/workspace")),
        "{commands:?}"
    );
    let foreign = asked("0.169.0/mcp");
    assert!(
        foreign.iter().any(|asked| matches!(&asked.what, Question::Elicitation { server, tool, .. }
            if server == "party" && tool.as_deref() == Some("Send"))),
        "{foreign:?}"
    );
}

/// A question that is asked again after a reconnect has its old id.
#[test]
fn what_two_connections_are_told_is_read_once() {
    let row = row("0.169.0/two_clients");
    let events = row.events();
    let ids: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Decoded::Asked(asked) => Some(asked.id.get()),
            _ => None,
        })
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert!(!ids.is_empty());
}

#[test]
fn nothing_of_a_turn_is_unknown() {
    for row in table() {
        let events = row.events();
        let of_turns = events.iter().filter(|event| is_raw(event) && !matches!(event, Decoded::Other(_)));
        assert_eq!(of_turns.count(), 0, "{}", row.recording);
    }
}

/// Prints what the recordings come to, for a new row: `cargo test -p party-harness --test codex_codec
/// -- --ignored --nocapture`.
#[test]
#[ignore = "prints"]
fn rows() {
    for file in fs::read_dir(folder().join("0.169.0")).unwrap().flatten() {
        let name = file.path().file_stem().unwrap().to_string_lossy().into_owned();
        let row: crate::table::Row = serde_json::from_value(serde_json::json!({
            "recording": format!("0.169.0/{name}"), "turns": [], "texts": 0, "thoughts": 0, "calls": 0,
            "replies": 0, "waits": 0, "questions": 0, "refusals": 0, "raw": 0}))
        .unwrap();
        eprintln!("{}", serde_json::to_string(&row.found(&row.events())).unwrap());
    }
}
