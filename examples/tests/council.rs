//! The council as a user runs it.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{Place, comparable, lines, said, stderr};
use std::{
    fs,
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

const QUESTION: &str = "Should we adopt JSONL as our log format?";

#[test]
fn a059_the_default_council_prints_five_voices_and_how_to_see_it_again() {
    let place = Place::new();
    let output = place.council(&[QUESTION]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    let order: Vec<usize> = ["Mary", "John", "Winston", "James", "Maat · synthesis"]
        .iter()
        .map(|name| shown.find(&format!("── {name}")).unwrap_or_else(|| panic!("{name}: {}", said(&output))))
        .collect();
    assert!(order.is_sorted(), "{shown}");
    let session = place.sessions().remove(0);
    assert!(stderr(&output).contains(&format!("--resume {session}")), "{}", said(&output));

    let again = place.council(&["--resume", &session]).output().unwrap();
    assert_eq!((again.status.code(), again.stdout), (Some(0), output.stdout));
}

#[test]
fn without_a_store_it_goes_to_the_user_s_data_folder() {
    let place = Place::new();
    let output = place.command("council").args([QUESTION, "--personas", "mary"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(place.path(".local/share/party/party.db").exists());
}

#[test]
fn the_json_output_of_two_runs_is_equal_but_for_ids_and_times() {
    let runs = [(); 2].map(|()| {
        let output = Place::new().council(&[QUESTION, "--rounds", "2", "--json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        comparable(&lines(&output))
    });
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0].last().unwrap()["body"]["reason"], "finished");
}

#[test]
fn a038_the_prompt_of_a_fan_out_is_one_item_one_record_and_an_entry_per_thread() {
    let place = Place::new();
    let output = place.council(&[QUESTION, "--personas", "mary,john,winston"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let store = rusqlite::Connection::open(place.store()).unwrap();
    let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let item = format!("SELECT id FROM item WHERE body LIKE '%{QUESTION}%' AND body LIKE '%human%'");
    assert_eq!(count(&format!("SELECT count(*) FROM ({item})")), 1);
    assert_eq!(
        count(&format!("SELECT count(*) FROM entry WHERE item IN ({item})")),
        5,
        "the feed and four private threads"
    );
    let delivered = "SELECT body FROM record JOIN kind ON kind.id = record.kind WHERE name = 'delivered'";
    assert_eq!(count(&format!("SELECT count(*) FROM ({delivered}) WHERE body NOT LIKE '%\"by\"%'")), 1);
}

#[test]
fn a058_the_canvas_has_topic_roster_rounds_cost_opinions_and_synthesis() {
    let place = Place::new();
    let output = place.council(&[QUESTION, "--canvas", "canvas.md"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let canvas = fs::read_to_string(place.path("canvas.md")).unwrap();
    for part in [
        QUESTION,
        "- Roster: Mary (persona), John",
        "- Rounds: 1",
        "- Cost: 0.00 USD",
        "### Winston",
        "## Synthesis by Maat",
    ] {
        assert!(canvas.contains(part), "{part}: {canvas}");
    }
    let session = place.sessions().remove(0);
    let printed = place.council(&["--resume", &session, "--canvas"]).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap().trim_end(), canvas.trim_end());
}

#[test]
fn a072_absent_personas_are_named_and_with_all_absent_it_ends_with_exit_code_1() {
    let place = Place::new();
    let script = "agents: {Mary: [{fail: out of paper}], John: [{hang: true}], Maat: [{say: settled}]}";
    fs::write(place.path("script.yaml"), script).unwrap();
    let some = place.council(&[QUESTION, "--script", "script.yaml", "--timeout", "1"]).output().unwrap();
    assert_eq!(some.status.code(), Some(0), "{}", said(&some));
    assert!(stderr(&some).contains("absent in round 1: Mary (failed)"), "{}", said(&some));
    assert!(stderr(&some).contains("absent in round 1: John (took too long)"), "{}", said(&some));

    let none = place.council(&[QUESTION, "--personas", "mary", "--script", "script.yaml"]).output().unwrap();
    assert_eq!(none.status.code(), Some(1), "{}", said(&none));
    assert_eq!(stderr(&none).lines().last(), Some("council: no result: too few spoke"));
    let last = place.records(&place.sessions()[0]);
    assert_eq!(last.last().unwrap()["body"]["reason"], "belowQuorum");
}

/// Kills the council with -9 after `moment`, and resumes it where it had begun.
fn killed_and_resumed(moment: Duration) -> Option<Vec<serde_json::Value>> {
    let place = Place::new();
    let mut council = place.council(&[QUESTION, "--rounds", "2"]);
    let mut child = council.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    let session = place.sessions().pop()?;
    let acknowledged = comparable(&place.records(&session));
    let output = place.council(&["--resume", &session]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "killed after {moment:?}: {}", said(&output));
    let log = comparable(&place.records(&session));
    assert_eq!(log[..acknowledged.len()], acknowledged, "what was acknowledged stays");
    Some(log)
}

/// The moment of the kill is what varies here, so this one test does let time pass.
#[test]
fn a201_killed_at_50_moments_and_resumed_the_final_log_is_the_same() {
    let place = Place::new();
    let begun = Instant::now();
    let output = place.council(&[QUESTION, "--rounds", "2"]).output().unwrap();
    let whole = begun.elapsed();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let expected = comparable(&place.records(&place.sessions()[0]));
    // Moments all over the run, not in step with the script's own times.
    let moment = |step: i32| whole.mul_f64((f64::from(step) * 0.618_034).fract());
    let (resumed, expected) = (AtomicU32::new(0), &expected);
    std::thread::scope(|lanes| {
        for lane in 1..=5 {
            let moments = (lane..=50).step_by(5).map(moment);
            lanes.spawn(|| {
                for moment in moments {
                    if let Some(log) = killed_and_resumed(moment) {
                        assert_eq!(&log, expected, "killed after {moment:?}");
                        resumed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let resumed = resumed.into_inner();
    assert!(resumed >= 25, "only {resumed} of 50 had begun");
}
