//! Where the output goes, and what becomes of it.

mod common;

use common::{Place, lines, said, stderr};
use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    process::Stdio,
};

const Q: &str = "Ship?";

#[test]
fn json_goes_to_standard_output_while_the_canvas_goes_to_its_file() {
    let place = Place::new();
    let output = place.council(&[Q, "--json", "--canvas", "canvas.md"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(lines(&output).last().unwrap()["kind"], "sessionClosed");
    assert!(fs::read_to_string(place.path("canvas.md")).unwrap().contains("## Synthesis by Maat"));
}

#[test]
fn output_that_cannot_be_written_is_exit_code_1_but_a_reader_that_went_away_is_not() {
    let place = Place::new();
    assert!(place.council(&[Q]).output().unwrap().status.success());
    let council = |args: &[&str]| place.council(args);
    let log = |args: &[&str]| {
        let mut log = place.command("log");
        log.args(args).arg("--store").arg(place.store());
        log
    };
    for mut command in
        [council(&[Q]), council(&[Q, "--json"]), council(&[Q, "--canvas"]), council(&["--help"]), log(&[])]
    {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {}", said(&output));
        assert!(stderr(&output).contains("cannot write to standard output: "), "{}", said(&output));

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {}", said(&output));
    }
    for session in place.sessions() {
        assert_eq!(place.records(&session).last().unwrap()["body"]["reason"], "finished");
    }
}

#[test]
fn a_failed_judge_is_listed_once_and_a_cost_above_the_budget_is_told() {
    let place = Place::new();
    let script = "agents: {Mary: [{say: yes, costUsd: 3.0}], Maat: [{fail: no ink}]}";
    fs::write(place.path("script.yaml"), script).unwrap();
    let output = place.council(&[Q, "--personas", "mary", "--script", "script.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = stderr(&output);
    assert_eq!(told.matches("absent in round 1: Maat (failed)").count(), 1, "{told}");
    assert_eq!(told.matches("absent").count(), 1, "{told}");
    assert_eq!(told.lines().last(), Some("council: no result: the judge failed"));
    let warning =
        "cost 3.00 USD is above the budget of 1.50 USD: runtimes reported more than they had reserved";
    assert!(told.lines().any(|line| line == warning), "{told}");
}

#[test]
fn a_store_has_one_folder_of_seats_by_whatever_way_it_is_named() {
    let place = Place::new();
    assert!(place.council(&[Q]).output().unwrap().status.success());
    symlink("party.db", place.path("link.db")).unwrap();
    let mut council = place.command("council");
    let output = council.args([Q, "--store", "link.db"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let seats = place.files().into_iter().filter(|file| file.extension() == Some(OsStr::new("seats")));
    assert_eq!(seats.collect::<Vec<_>>(), [place.path("party.db.seats")]);
    assert_eq!(place.sessions().len(), 2);
}

#[test]
fn paths_may_be_of_any_bytes() {
    let place = Place::new();
    let [store, canvas] = [b"st\xff.db".as_slice(), b"ca\xff.md"].map(OsStr::from_bytes);
    let mut council = place.command("council");
    let output = council.arg(Q).arg("--store").arg(store).arg("--canvas").arg(canvas).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(stderr(&output).contains(r"st\xff.db'"), "{}", said(&output));
    let canvas = place.path(".").join(canvas);
    assert!(canvas.exists());
    let output = place.command("log").arg("--store").arg(store).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn the_list_has_a_line_per_session_or_says_that_there_is_none() {
    let place = Place::new();
    let question = format!("\n{}\nand more", "Ship\tit? ".repeat(30));
    assert!(place.council(&[&question]).output().unwrap().status.success());
    let log = || {
        let mut log = place.command("log");
        log.arg("--store").arg(place.store()).stdin(Stdio::null());
        log.output().unwrap()
    };
    let listed = String::from_utf8(log().stdout).unwrap();
    let shown = listed.trim_end().rsplit("  ").next().unwrap().to_owned();
    assert_eq!((listed.lines().count(), shown.chars().count()), (1, 100), "{listed}");
    assert!(shown.starts_with("Ship it? Ship it?") && shown.ends_with('…'), "{listed}");

    let store = rusqlite::Connection::open(place.store()).unwrap();
    store.execute_batch("UPDATE session SET opened_at = NULL").unwrap();
    let output = log();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), "no sessions\n"));
    assert!(output.stdout.is_empty());
}
