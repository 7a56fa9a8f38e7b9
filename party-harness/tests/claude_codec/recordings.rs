//! Every recording, and what it comes to.

use crate::table::{Row, decoder, folder, is_raw, row, table};
use party_core::{Cost, Failure};
use party_harness::{
    TurnEvent,
    claude_code::codec::{Control, ControlRequest, Decoded, Status, Verdict},
};
use std::{collections::BTreeSet, fs};

fn whole(row: &Row) -> (Vec<Decoded>, Verdict) {
    row.decode([row.bytes().as_slice()])
}

fn events(recording: &str) -> Vec<Decoded> {
    whole(&row(recording)).0
}

#[test]
fn a163_a164_a165_each_recording_comes_to_what_it_was() {
    for row in table() {
        let (events, verdict) = whole(&row);
        let name = &row.recording;
        assert_eq!(row.found(&events, &verdict), row, "{verdict:?}");
        let is_complete = verdict.status == Status::Completed;
        assert_eq!(verdict.reason.is_none(), is_complete, "{name}: {:?}", verdict.reason);
        let failed = !matches!(verdict.status, Status::Completed | Status::Empty | Status::Cancelled);
        assert_eq!(verdict.failure.is_some(), failed, "{name}");
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
    assert!(rows.len() > 100);
}

#[test]
fn a_session_is_kept_unless_it_is_of_no_more_use() {
    for row in table() {
        let (events, verdict) = whole(&row);
        let sessions: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Decoded::Session(session) => Some(session),
                _ => None,
            })
            .collect();
        let began = events
            .iter()
            .filter(|event| is_raw(event))
            .any(|event| format!("{event:?}").contains(r#""init""#));
        assert_eq!(sessions.len(), usize::from(began), "{}", row.recording);
        match verdict.status {
            Status::Empty | Status::Poisoned | Status::Refused | Status::NotStarted => {
                assert_eq!(verdict.session, None, "{}", row.recording);
            }
            _ => assert_eq!(verdict.session.as_ref(), sessions.first().copied(), "{}", row.recording),
        }
    }
}

#[test]
fn words_of_sub_agents_and_of_the_cli_itself_are_not_the_agents() {
    for row in table() {
        let (events, _) = whole(&row);
        let foreign = |text: &str| text.contains("API Error") || text.starts_with("Sub ");
        let texts = events
            .iter()
            .filter(|event| matches!(event, Decoded::Event(TurnEvent::Text { text }) if foreign(text)));
        assert_eq!(texts.count(), 0, "{}", row.recording);
    }
}

#[test]
fn a163_the_answer_is_the_last_result_and_each_is_paid() {
    for recording in ["2.1.329/bash_background_task", "2.1.329/subagent_default"] {
        let (events, verdict) = whole(&row(recording));
        let spent: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Decoded::Event(TurnEvent::Spent { cost, .. }) => Some(*cost),
                _ => None,
            })
            .collect();
        assert_eq!(spent.len(), 2, "{recording}");
        assert_eq!(spent.last(), Some(&verdict.cost), "{recording}");
        assert!(spent[0].amount() <= spent[1].amount(), "{recording}");
    }
}

#[test]
fn a163_nothing_is_done_while_a_task_runs_in_the_background() {
    for (recording, done_at_results) in [
        // The first result comes while the command runs.
        ("2.1.329/bash_background_task", [false, true]),
        // The first result is held back until the sub-agent's end.
        ("2.1.329/subagent_default", [true, true]),
    ] {
        let mut decoder = decoder();
        let mut done = Vec::new();
        for line in row(recording).bytes().split_inclusive(|byte| *byte == b'\n') {
            let events = decoder.feed(line);
            if events.iter().any(|event| matches!(event, Decoded::Event(TurnEvent::Spent { .. }))) {
                done.push(decoder.is_done());
            }
        }
        assert_eq!(done, done_at_results, "{recording}");
    }
}

#[test]
fn a164_success_with_an_error_is_a_failure_of_its_kind_and_paid() {
    for (recording, failure) in [
        ("err_400_prompt_too_long", Failure::TooLong),
        ("err_401", Failure::Unauthenticated),
        ("err_429_forever", Failure::RateLimited),
        ("err_529_forever", Failure::Overloaded),
        ("err_tool_then_500", Failure::Other),
        ("no_api_key", Failure::Unauthenticated),
        ("rate_limit_rejected_oauth", Failure::RateLimited),
    ] {
        let (_, verdict) = whole(&row(&format!("2.1.329/{recording}")));
        assert_eq!((verdict.status, verdict.failure), (Status::Failed, Some(failure)), "{recording}");
        assert!(matches!(verdict.cost, Cost::Reported(_)) && verdict.reason.is_some(), "{recording}");
    }
}

#[test]
fn waits_and_limits_are_events() {
    let has = |recording: &str, wanted: fn(&TurnEvent) -> bool| {
        events(recording).iter().any(|event| matches!(event, Decoded::Event(event) if wanted(event)))
    };
    let limit = |wanted: bool| match wanted {
        true => {
            |event: &TurnEvent| matches!(event, TurnEvent::RateLimit { rejected: true, resets_at: Some(_) })
        }
        false => {
            |event: &TurnEvent| matches!(event, TurnEvent::RateLimit { rejected: false, resets_at: Some(_) })
        }
    };
    assert!(has("2.1.329/err_429_forever", |event| matches!(event, TurnEvent::Waiting { .. })));
    assert!(has("2.1.329/rate_limit_rejected_oauth", limit(true)));
    assert!(has("2.1.329/rate_limit_warning_oauth", limit(false)));
}

#[test]
fn the_control_protocol_is_read() {
    let controls = |recording: &str| {
        let controls = events(recording).into_iter().filter_map(|event| match event {
            Decoded::Control(control) => Some(control),
            _ => None,
        });
        controls.collect::<Vec<_>>()
    };
    let controls_of_cancel = controls("2.1.329/can_use_tool_cancelled_by_interrupt");
    let [Control::Asked { id, what }, Control::Withdrawn { id: withdrawn }, Control::Answered { answer, .. }] =
        controls_of_cancel.as_slice()
    else {
        panic!("{controls_of_cancel:?}")
    };
    assert_eq!(id, withdrawn);
    assert!(
        matches!(what, ControlRequest::CanUseTool { tool, call: Some(_), .. } if tool == "Bash"),
        "{what:?}"
    );
    assert!(answer.is_ok());
    let answers = controls("2.1.329/control_basic");
    let refused =
        answers.iter().filter(|control| matches!(control, Control::Answered { answer: Err(_), .. }));
    assert!(answers.len() >= 6 && refused.count() >= 1, "{answers:?}");
}
