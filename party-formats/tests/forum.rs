//! The forum, as the log tells it.

mod common;

use common::Sim;
use party_core::*;
use party_formats::Format;
use serde_json::json;

const SEATS: [&str; 3] = ["A:lead", "B:participant", "C:participant"];

fn open() -> Sim {
    let mut sim = Sim::open(&Format::forum(), &SEATS, None);
    sim.post("Hi all");
    sim
}

fn done(sim: &mut Sim, name: &str) {
    sim.end(name, Outcome::Completed, Some("(private draft)"), Cost::Reported(Usd::ZERO));
}

fn share(sim: &mut Sim, name: &str, call: &str, text: &str) -> (String, bool) {
    sim.call(name, call, "share", json!({ "text": text }))
}

#[test]
fn a001_a_message_calls_every_seat_and_stands_in_every_thread_once() {
    let sim = open();
    assert_eq!(sim.speaking(), ["A", "B", "C"]);
    assert_eq!(sim.count("delivered"), 1);
    assert_eq!((sim.feed(), sim.private("B")), (vec!["Hi all".to_owned()], vec!["Hi all".to_owned()]));
}

#[test]
fn a003_a004_a009_what_is_shared_is_seen_by_all_and_drafts_by_nobody() {
    let mut sim = open();
    let (answer, is_error) = share(&mut sim, "A", "c1", "From A");
    assert!(!is_error && answer.starts_with("shared as itm_"), "{answer}");
    for name in ["A", "B", "C"] {
        done(&mut sim, name);
    }
    assert_eq!(sim.feed(), ["Hi all", "From A"]);
    assert_eq!(sim.private("A"), ["Hi all", "From A", "(private draft)"]);
    assert_eq!(sim.private("C"), ["Hi all", "From A", "(private draft)"]);
}

#[test]
fn a005_a034_others_react_to_a_share_and_a_running_turn_is_not_changed() {
    let mut sim = open();
    share(&mut sim, "A", "c1", "From A");
    assert_eq!(sim.speaking(), ["A", "B", "C"]);
    done(&mut sim, "B");
    assert_eq!(sim.turn_of("B").intent, "react");
    done(&mut sim, "A");
    assert_eq!(sim.speaking(), ["C", "B"]);
}

#[test]
fn a_second_share_in_a_turn_is_answered_with_the_first() {
    let mut sim = open();
    let (first, _) = share(&mut sim, "A", "c1", "one");
    let (second, is_error) = share(&mut sim, "A", "c2", "two");
    assert_eq!((second, is_error), (first.replace("shared", "already shared"), false));
    assert_eq!(sim.feed(), ["Hi all", "one"]);
}

#[test]
fn a007_a017_two_that_always_react_stop_at_the_limit_and_it_quiesces_once() {
    let mut sim = Sim::open(&Format::forum(), &["A:lead", "B:participant"], None);
    sim.post("Hi");
    let mut turns = 0;
    while let Some(name) = sim.speaking().first().cloned() {
        turns += 1;
        share(&mut sim, &name, "c", &format!("{name} {turns}"));
        done(&mut sim, &name);
    }
    assert!(sim.engine.is_quiescent());
    assert_eq!(sim.count("quiesced"), 1);
    assert!(sim.log.iter().filter(|record| record.kind == "turnStarted").count() <= 6);
    sim.post("Again");
    assert_eq!(sim.speaking(), ["A", "B"]);
}

#[test]
fn a019_a_tool_that_is_not_offered_is_refused() {
    let mut sim = open();
    let (answer, is_error) = sim.call("A", "c1", "rm", json!({}));
    assert_eq!((answer.as_str(), is_error), ("the tool `rm` is not offered in this turn", true));
    assert!(share(&mut sim, "A", "c2", "  ").1);
}

#[test]
fn a_share_that_is_repeated_after_a_lost_attempt_lands_once() {
    let mut sim = open();
    let (first, _) = share(&mut sim, "A", "c1", "From A");
    let turn = sim.turn_of("A").turn;
    let lost = AttemptEnded { turn, attempt: 1, outcome: Outcome::Lost, cost: Cost::Unknown, reason: None };
    sim.commit(vec![NewRecord::new(Timestamp::default(), &lost.into())]);
    let (again, _) = share(&mut sim, "A", "c9", "From A");
    assert_eq!(again, first);
    assert_eq!(sim.feed(), ["Hi all", "From A"]);
    assert_eq!(sim.count("delivered"), 2);
}

#[test]
fn an_empty_message_is_refused_and_calls_nobody() {
    let mut sim = Sim::open(&Format::forum(), &SEATS, None);
    sim.post("  \n");
    assert_eq!(sim.kinds().last(), Some(&"refused"));
    assert!(sim.engine.is_quiescent());
}

#[test]
fn close_waits_for_what_runs() {
    let mut sim = open();
    sim.command(Command::Close);
    for name in ["A", "B", "C"] {
        assert_eq!(sim.engine.closed(), None);
        done(&mut sim, name);
    }
    assert_eq!(sim.engine.closed(), Some(CloseReason::Closed));
}
