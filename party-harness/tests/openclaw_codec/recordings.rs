//! Every recording, and what it comes to.

use crate::table::{decode, is_raw, recordings, table};
use party_core::Outcome;
use party_harness::{TurnEvent, openclaw::codec::Decoded};
use std::collections::BTreeMap;

#[test]
fn a048_each_run_of_each_recording_comes_to_what_it_was() {
    let rows = table();
    assert_eq!(rows.len(), recordings());
    for row in rows {
        let events = decode([row.bytes().as_slice()]);
        assert_eq!(row.found(&events), row);
    }
}

#[test]
fn a176_nothing_in_the_recordings_is_unknown() {
    for row in table() {
        let events = decode([row.bytes().as_slice()]);
        let raw: Vec<_> = events.iter().filter(|event| is_raw(event)).collect();
        assert!(raw.is_empty(), "{}: {raw:?}", row.recording);
    }
}

#[test]
fn each_run_has_one_end_and_says_why_it_has_no_answer() {
    for row in table() {
        let mut ends = BTreeMap::new();
        for event in decode([row.bytes().as_slice()]) {
            match event {
                Decoded::Ended { run, verdict } => {
                    let is_answered = verdict.status.outcome() == Outcome::Completed;
                    assert_eq!(verdict.reason.is_none(), is_answered, "{}: {verdict:?}", row.recording);
                    assert_eq!(verdict.failure.is_some(), verdict.status.outcome() == Outcome::Failed);
                    assert!(ends.insert(run, ()).is_none(), "{} has two ends", row.recording);
                }
                Decoded::Event { run, event } => {
                    assert!(!ends.contains_key(&run), "{}: behind the end: {event:?}", row.recording);
                }
                Decoded::Accepted { .. } | Decoded::Other(_) => {}
            }
        }
    }
}

/// Texts are told whole again and again; put together, what is new of each is the whole.
#[test]
fn what_was_said_is_told_once() {
    for row in table() {
        let (mut said, mut checked) = (BTreeMap::<String, String>::new(), 0);
        for event in decode([row.bytes().as_slice()]) {
            match event {
                Decoded::Event { run, event: TurnEvent::Text { text } } => {
                    said.entry(run).or_default().push_str(&text);
                }
                Decoded::Ended { run, verdict } => {
                    if let (Some(said), Some(text)) = (said.get(&run), &verdict.text) {
                        let text = text.trim_end_matches('…').trim();
                        let repeats = said.matches(text).count() > 1 && text.len() > 8;
                        assert!(!repeats, "{}: {said:?}", row.recording);
                        checked += 1;
                    }
                }
                _ => {}
            }
        }
        assert!(checked > 0 || row.runs.iter().all(|run| run.text.is_none()), "{}", row.recording);
    }
}
