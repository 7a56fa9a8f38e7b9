//! Bad input: one clear message, exit code 2, nothing written.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{Place, said, stderr};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

const Q: &str = "Ship?";

/// Runs it, and checks that it ends with exit code 2 and one line that holds `expected`, and that
/// no file came or went.
fn refused(place: &Place, mut command: Command, expected: &str) {
    let before = place.files();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{expected}: {}", said(&output));
    assert!(output.stdout.is_empty(), "{}", said(&output));
    assert!(stderr(&output).contains(expected), "{expected}: {}", said(&output));
    assert_eq!(stderr(&output).trim_end().lines().count(), 1, "{}", said(&output));
    assert_eq!(place.files(), before, "{expected}");
}

#[test]
fn a061_a062_a063_options_that_cannot_be_used_are_named() {
    let place = Place::new();
    for (args, expected) in [
        ([Q, "--personas", "mary,bob"].as_slice(), "bob"),
        (&[Q, "--personas", "mary,bob"], "Mary, John, Winston, James"),
        (&[Q, "--personas", "maat"], "judge"),
        (&[""], "the question is empty"),
        (&[], "no question"),
        (&[Q, "--rounds", "0"], "--rounds: `0` is not a number from 1 to 5"),
        (&[Q, "--budget", "0"], "--budget: a budget of 0 buys nothing"),
        (&[Q, "--budget", "abc"], "--budget: `abc` is not an amount in USD"),
        (&[Q, "--budget", "0.000001"], "leaves no room for a turn"),
        (
            &[Q, "--harness", "hal"],
            "unknown harness `hal`; there are: scripted, claude, codex, openclaw, model",
        ),
        (&[Q, "--claude-mode", "fast"], "unknown mode `fast`; there are: per-turn, persistent"),
        (&[Q, "--harness", "codex", "--codex-bin", "/no/such/codex"], "--harness codex: "),
        (&[Q, "--harness", "codex", "--codex-bin", "/no/such/codex"], "/no/such/codex"),
        (&[Q, "--harness", "openclaw"], "--openclaw-url and --openclaw-token-file say how"),
        (
            &[
                Q,
                "--harness",
                "openclaw",
                "--openclaw-url",
                "ws://127.0.0.1:1",
                "--openclaw-token-file",
                "/no/such/token",
            ],
            "--openclaw-token-file /no/such/token: No such file",
        ),
        (&[Q, "--harness", "model", "--model", "m"], "`OPENAI_API_KEY` is not set"),
        (&[Q, "--harness", "model", "--model-key-env", "NO_SUCH_KEY"], "--model-key-env: NO_SUCH_KEY"),
        (
            &[Q, "--harness", "model", "--model-api", "ollama", "--model-url", "ftp://127.0.0.1"],
            "begins neither with https:// nor with http://",
        ),
        (
            &[Q, "--harness", "model", "--model-api", "ollama", "--model-url", "http://127.0.0.1:1"],
            "cannot be reached",
        ),
        (&[Q, "--harness", "claude"], "npm install -g @anthropic-ai/claude-code"),
        (&[Q, "--harness", "claude", "--claude-bin", "/no/such/claude"], "/no/such/claude"),
        (&[Q, "--pass-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (&[Q, "--persona-dir", "nowhere"], "nowhere"),
        (&[Q, "--script", "nowhere"], "--script nowhere"),
        (&[Q, "--script", "/"], "--script /: is not a regular file"),
        (&[Q, "--script", "/dev/zero"], "--script /dev/zero: is not a regular file"),
        (&[Q, "--json", "--json"], "--json is given twice"),
        (&[Q, "--canvas="], "--canvas: the path is empty"),
        (&[Q, "--canvas", "/"], "--canvas /: is a folder"),
        (&[Q, "--canvas", "nowhere/a.md"], "--canvas nowhere/a.md: there is no folder nowhere"),
        (&[Q, "--canvas", "party.db"], "--canvas party.db: that is the store"),
        (&[Q, "--canvas", "/proc/a.md"], "--canvas /proc/a.md: "),
        (&["--resume", "ses_7"], "is not a session id"),
    ] {
        refused(&place, place.council(args), expected);
    }
}

#[test]
fn a069_a070_the_environment_can_set_the_budget_and_disable_parties() {
    let place = Place::new();
    for (name, value, expected) in [
        ("PARTY_DEFAULT_BUDGET_USD", "-1", "PARTY_DEFAULT_BUDGET_USD: `-1` is not an amount"),
        ("PARTY_DEFAULT_BUDGET_USD", "0", "PARTY_DEFAULT_BUDGET_USD: a budget of 0"),
        ("PARTY_DISABLED", "true", "parties are disabled"),
    ] {
        let mut command = place.council(&[Q]);
        command.env(name, value);
        refused(&place, command, expected);
    }
}

#[test]
fn a060_a061_persona_folders_without_a_soul_or_a_judge_are_refused() {
    let place = Place::new();
    let folder = place.path("personas");
    fs::create_dir(&folder).unwrap();
    let council = || place.council(&[Q, "--persona-dir", "personas"]);
    refused(&place, council(), "personas");
    fs::write(folder.join("ann.md"), "## Soul\nYou count.\n").unwrap();
    refused(&place, council(), "judge");
    fs::write(folder.join("judge.md"), "---\nrole: judge\n---\n## Rules\nBe brief.\n").unwrap();
    refused(&place, council(), "judge.md");
    fs::write(folder.join("judge.md"), "---\nrole: judge\n---\n## Soul\nYou weigh.\n").unwrap();
    let output = council().output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_persona_folder_that_cannot_be_read_is_refused_with_the_cause() {
    let place = Place::new();
    std::os::unix::fs::symlink("loop", place.path("loop")).unwrap();
    refused(&place, place.council(&[Q, "--persona-dir", "loop"]), "symbolic links");
}

#[test]
fn stores_that_cannot_be_used_stay_as_they_are() {
    let place = Place::new();
    let at = |store: &str| {
        let mut command = place.command("council");
        command.args([Q, "--store", store]);
        command
    };
    fs::create_dir(place.path("folder")).unwrap();
    refused(&place, at("folder"), "folder");
    refused(&place, at("missing/party.db"), "missing");
    fs::write(
        place.path("notes.txt"),
        "these are my notes, and they are longer than a header of a database file needs",
    )
    .unwrap();
    refused(&place, at("notes.txt"), "notes.txt");

    let other = rusqlite::Connection::open(place.path("other.db")).unwrap();
    other.execute_batch("CREATE TABLE mine (x)").unwrap();
    drop(other);
    let before = fs::read(place.path("other.db")).unwrap();
    refused(&place, at("other.db"), "other.db");
    assert_eq!(fs::read(place.path("other.db")).unwrap(), before);

    assert!(place.council(&[Q]).output().unwrap().status.success());
    let store = rusqlite::Connection::open(place.store()).unwrap();
    store.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA user_version = 999").unwrap();
    drop(store);
    let before = fs::read(place.store()).unwrap();
    refused(&place, place.council(&[Q]), "newer");
    refused(&place, place.council(&["--resume", "ses_00000000000000000000000000000000"]), "newer");
    assert_eq!(fs::read(place.store()).unwrap(), before);
}

#[test]
fn a_store_that_may_not_be_written_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("locked")).unwrap();
    fs::set_permissions(place.path("locked"), fs::Permissions::from_mode(0o500)).unwrap();
    // Who is root may write there all the same; then a file system that nobody may write serves.
    let store =
        if fs::write(place.path("locked/probe"), "").is_ok() { "/sys/party.db" } else { "locked/party.db" };
    let mut command = place.command("council");
    command.args([Q, "--store", store]);
    let _ = fs::remove_file(place.path("locked/probe"));
    refused(&place, command, "party.db");
}

#[test]
fn sessions_that_are_not_there_are_named() {
    let place = Place::new();
    let nobody = "ses_00000000000000000000000000000000";
    refused(&place, place.council(&["--resume", nobody]), "party.db");
    assert!(place.council(&[Q]).output().unwrap().status.success());
    refused(&place, place.council(&["--resume", nobody]), "there is no session ses_0000");
    refused(&place, place.council(&["--resume", nobody, Q]), "leave the question out");
    let mut log = place.command("log");
    log.args(["--session", nobody, "--store"]).arg(place.store());
    refused(&place, log, "there is no session");
}

#[test]
fn a_script_is_a_regular_file_of_at_most_1_mib() {
    let place = Place::new();
    let file = fs::File::create(place.path("large.yaml")).unwrap();
    file.set_len((1 << 20) + 1).unwrap();
    refused(&place, place.council(&[Q, "--script", "large.yaml"]), "large.yaml: is larger than 1024 KiB");
    let made = Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(made.success());
    refused(&place, place.council(&[Q, "--script", "pipe"]), "--script pipe: is not a regular file");
}

#[test]
fn a_canvas_that_was_there_stays_where_something_else_is_wrong() {
    let place = Place::new();
    fs::write(place.path("old.md"), "kept").unwrap();
    refused(&place, place.council(&[Q, "--canvas", "old.md", "--script", "nowhere"]), "--script nowhere");
    assert_eq!(fs::read_to_string(place.path("old.md")).unwrap(), "kept");
}

#[test]
fn the_log_takes_each_option_once() {
    let place = Place::new();
    for (args, expected) in [
        (["--json", "--json"].as_slice(), "--json is given twice"),
        (&["--store", "a", "--store", "b"], "--store is given twice"),
        (&["--session", "ses_7"], "is not a session id"),
        (&["--store", ""], "--store: the path is empty"),
    ] {
        let mut log = place.command("log");
        log.args(args);
        refused(&place, log, expected);
    }
}

#[test]
fn a_token_that_cannot_be_one_is_refused() {
    let place = Place::new();
    let openclaw =
        ["--harness", "openclaw", "--openclaw-url", "ws://127.0.0.1:1", "--openclaw-token-file", "token"];
    for (token, expected) in [("", "token: is empty"), ("two words", "token: is more than one word")] {
        fs::write(place.path("token"), token).unwrap();
        refused(&place, place.council(&[&[Q], &openclaw[..]].concat()), expected);
    }
    fs::write(place.path("token"), "x\n").unwrap();
    let elsewhere =
        ["--openclaw-url", "ws://10.0.0.1:1", "--openclaw-token-file", "token", "--harness", "openclaw"];
    refused(&place, place.council(&[&[Q], &elsewhere[..]].concat()), "--openclaw-url: ");
}
