//! The decode example, as a user runs it.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{Place, lines, said, stderr};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

fn recordings(runtime: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../party-harness/tests/fixtures").join(runtime)
}

fn decoded(runtime: &str, input: Vec<u8>) -> Output {
    let place = Place::new();
    let mut command = place.command("decode");
    let mut child = command
        .arg(runtime)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    output
}

fn outcome(output: &Output) -> Value {
    lines(output).pop().unwrap()
}

#[test]
fn events_are_lines_and_the_outcome_is_the_last() {
    let output =
        decoded("claude", fs::read(recordings("claude").join("2.1.329/teaparty_shape_cold.jsonl")).unwrap());
    let events = lines(&output);
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["raw", "started", "text", "toolUse", "toolResult", "text", "spent", "outcome"]);
    assert_eq!(events[0]["event"]["subtype"], "init");
    let outcome = events.last().unwrap();
    assert_eq!(outcome["status"], "completed");
    assert_eq!(outcome["text"], "Dispatched; I wait for the reply.");
    assert_eq!((&outcome["session"], &outcome["cost_usd"]), (&events[1]["session"], &json!(0.00298)));
    assert_eq!((&outcome["usage"]["steps"], &outcome["error"]), (&json!(2), &Value::Null));
}

#[test]
fn each_recording_has_the_outcome_of_its_row() {
    let table = fs::read_to_string(recordings("claude").join("expected.jsonl")).unwrap();
    for row in table.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let name = row["recording"].as_str().unwrap();
        let output = decoded("claude", fs::read(recordings("claude").join(format!("{name}.jsonl"))).unwrap());
        let expected = match row["status"].as_str().unwrap() {
            "Completed" => "completed",
            "Empty" => "dead",
            "Cancelled" => "cancelled",
            "Poisoned" => "poisoned",
            "Refused" => "refused",
            _ => "failed",
        };
        let outcome = outcome(&output);
        assert_eq!(outcome["status"], expected, "{name}");
        for key in ["text", "session", "cost_usd", "usage", "error"] {
            assert!(outcome.get(key).is_some(), "{name}: {key}");
        }
    }
}

/// What a recording's turns came to: status and text.
fn outcomes(output: &Output) -> Vec<(String, Value)> {
    let ends = lines(output).into_iter().filter(|line| line["type"] == "outcome");
    ends.map(|end| (end["status"].as_str().unwrap().to_owned(), end["text"].clone())).collect()
}

#[test]
fn each_turn_of_a_server_s_recording_has_the_outcome_of_its_row() {
    let names = [
        ("Answered", "completed"),
        ("Silent", "empty"),
        ("Interrupted", "cancelled"),
        ("Cancelled", "cancelled"),
        ("TimedOut", "timed out"),
        ("Refused", "refused"),
        ("Cut", "cut"),
        ("Failed", "failed"),
    ];
    for (runtime, turns) in [("codex", "turns"), ("openclaw", "runs")] {
        let table = fs::read_to_string(recordings(runtime).join("expected.jsonl")).unwrap();
        for row in table.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let name = row["recording"].as_str().unwrap();
            let output =
                decoded(runtime, fs::read(recordings(runtime).join(format!("{name}.jsonl"))).unwrap());
            let expected = row[turns].as_array().unwrap().iter().map(|turn| turn["status"].as_str().unwrap());
            let expected: Vec<&str> = expected
                .map(|status| names.iter().find(|(known, _)| *known == status).expect(status).1)
                .collect();
            let outcomes = outcomes(&output);
            let found: Vec<&str> = outcomes.iter().map(|(status, _)| status.as_str()).collect();
            // A recording without turns has one outcome, which says so.
            let expected = if expected.is_empty() { vec!["failed"] } else { expected };
            assert_eq!(found, expected, "{runtime} {name}");
        }
    }
}

#[test]
fn events_of_a_server_name_their_turn_and_frames_may_stand_alone() {
    let recorded = fs::read_to_string(recordings("codex").join("0.169.0/basic_turn.jsonl")).unwrap();
    let bare: String = recorded
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["dir"] == "s2c" && line["msg"].is_object())
        .map(|line| format!("{}\n", line["msg"]))
        .collect();
    let events = lines(&decoded("codex", recorded.into_bytes()));
    assert_eq!(lines(&decoded("codex", bare.into_bytes())), events);
    let of_turn: Vec<&Value> = events.iter().filter(|event| !event["turn"].is_null()).collect();
    let kinds: Vec<_> = of_turn.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["started", "thinking", "text", "spent", "outcome"]);
    let outcome = of_turn.last().unwrap();
    assert_eq!((&outcome["text"], &outcome["session"]), (&of_turn[2]["text"], &of_turn[0]["session"]));
    assert_eq!(outcome["usage"]["steps"], 1);
}

#[test]
fn a177_damaged_and_empty_streams_have_an_outcome() {
    for runtime in ["claude", "codex", "openclaw"] {
        for input in [&b""[..], b"\n\n", b"\xff\0{", b"[]\n7\n", &[b'x'; 100_000]] {
            let outcome = outcome(&decoded(runtime, input.to_vec()));
            assert_eq!((&outcome["status"], &outcome["text"]), (&json!("failed"), &Value::Null));
            assert!(outcome["error"].is_string());
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let mut command = place.command("decode");
    let mut child = command
        .arg("claude")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // It may be gone before all is written.
        let _ = (0..10_000)
            .try_for_each(|_| stdin.write_all(b"{\"type\":\"endless\",\"a\":[1,2,3,4,5,6,7,8]}\n"));
    });
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 100]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
}

#[test]
fn what_cannot_be_used_is_named() {
    for (args, expected) in [
        (&["codec"][..], "unknown runtime `codec`; there are: claude, codex, openclaw"),
        (&[], "no runtime is named; there are: claude, codex, openclaw"),
        (&["claude", "--fast"], "--fast"),
        (&["claude", "more"], "more"),
    ] {
        let output = Place::new().command("decode").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(output.stdout.is_empty() && stderr(&output).contains(expected), "{}", said(&output));
    }
    let help = Place::new().command("decode").arg("--help").output().unwrap();
    assert!(
        help.status.success() && String::from_utf8(help.stdout).unwrap().contains("Usage: decode RUNTIME")
    );
}
