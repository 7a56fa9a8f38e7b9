//! Calls of the host's tools, as the log tells them.

mod common;

use common::{Sim, TOOLS, desk};
use party_core::*;
use serde_json::json;

fn open() -> Sim {
    let mut sim = Sim::open_with(&desk(), &["A:lead", "B:participant"], None, &TOOLS);
    sim.post("Hi all");
    sim
}

fn answer(sim: &Sim, call: &(TurnId, u32, String)) -> Option<(String, bool)> {
    sim.engine.turn(call.0)?.answer(call.1, &call.2).cloned()
}

fn lost(sim: &mut Sim, turn: TurnId, call: &str) {
    let event = ReplyLost { turn, attempt: 1, call: call.to_owned() };
    sim.commit(vec![NewRecord::new(Timestamp::default(), &event.into())]);
}

#[test]
fn a049_a_call_stays_open_until_its_tool_ran() {
    let mut sim = open();
    assert_eq!(sim.ask("A", "c1", "look", json!({ "at": 1 })), None);
    assert_eq!(sim.ask("A", "c2", "pay", json!({})), None);
    let due = sim.to_run();
    assert_eq!(due.iter().map(|call| call.2.as_str()).collect::<Vec<_>>(), ["c1", "c2"]);
    sim.ran(due[1].clone(), "paid");
    assert_eq!(sim.to_run(), due[..1]);
    assert_eq!(answer(&sim, &due[1]), Some(("paid".to_owned(), false)));
    assert_eq!(sim.replay(), sim.engine);
}

#[test]
fn a_tool_that_is_not_listed_or_not_there_and_arguments_that_are_no_object_are_refused() {
    let mut sim = open();
    for (tool, arguments, why) in [
        ("hidden", json!({}), "the tool `hidden` is not offered in this turn"),
        ("rm", json!({}), "the tool `rm` is not offered in this turn"),
        ("look", json!([1]), "`look` takes an object of arguments"),
    ] {
        let call = format!("c{}", sim.log.len());
        assert_eq!(sim.call("A", &call, tool, arguments), (why.to_owned(), true));
    }
    assert!(sim.to_run().is_empty());
}

#[test]
fn after_a_takeover_an_idempotent_call_runs_again_and_the_next_attempt_waits_for_it() {
    let mut sim = open();
    sim.ask("A", "c1", "look", json!({ "at": 1 }));
    let (due, turn) = (sim.to_run(), sim.turn_of("A").turn);
    sim.take_over();
    assert_eq!(sim.to_run(), due, "the same call");
    assert_eq!(sim.speaking(), ["B"], "A is told the answer first");
    sim.ran(due[0].clone(), "seen");
    assert_eq!(sim.turn_of("A").attempt, 2);
    // The order of keys and the form of numbers do not matter, and one answer is given once.
    assert_eq!(sim.ask("A", "d1", "look", json!({ "at": 1.0 })), Some(("seen".to_owned(), false)));
    assert_eq!(sim.ask("A", "d2", "look", json!({ "at": 1 })), None);
    assert_eq!(sim.to_run(), [(turn, 2, "d2".to_owned())]);
}

#[test]
fn after_a_takeover_the_outcome_of_any_other_call_is_unknown() {
    let mut sim = open();
    sim.ask("A", "c1", "pay", json!({}));
    let due = sim.to_run();
    sim.take_over();
    let unknown = ("outcome unknown: the host went away while `pay` ran".to_owned(), true);
    assert_eq!(answer(&sim, &due[0]), Some(unknown.clone()));
    assert!(sim.to_run().is_empty());
    assert_eq!(sim.speaking(), ["A", "B"]);
    assert_eq!(sim.ask("A", "d1", "pay", json!({})), Some(unknown), "it is not run unasked");
}

#[test]
fn a_call_whose_reply_was_lost_is_not_run_again_in_the_same_attempt() {
    let mut sim = open();
    let turn = sim.turn_of("A").turn;
    sim.ask("A", "c1", "pay", json!({ "to": "x", "sum": 3 }));
    let due = sim.to_run();
    lost(&mut sim, turn, "c1");
    assert_eq!(sim.ask("A", "c2", "pay", json!({ "sum": 3.0, "to": "x" })), None);
    assert_eq!(sim.to_run(), due, "the second waits for the first");
    sim.ran(due[0].clone(), "paid");
    assert_eq!(answer(&sim, &(turn, 1, "c2".to_owned())), Some(("paid".to_owned(), false)));
    assert_eq!(sim.ask("A", "c3", "pay", json!({ "to": "x", "sum": 3 })), None, "once");
    assert_eq!(sim.to_run().len(), 1);
}

#[test]
fn a_share_whose_reply_was_lost_lands_once_in_the_same_attempt() {
    let mut sim = open();
    let turn = sim.turn_of("A").turn;
    let first = sim.call("A", "c1", "share", json!({ "text": "From A" }));
    lost(&mut sim, turn, "c1");
    assert_eq!(sim.call("A", "c2", "share", json!({ "text": "From A" })), first);
    assert_eq!(sim.feed(), ["Hi all", "From A"]);
}

#[test]
fn a_turn_that_is_to_stop_runs_no_more_tools_and_does_not_wait_for_those_of_lost_attempts() {
    let mut sim = open();
    sim.ask("A", "c1", "look", json!({}));
    sim.ask("B", "c1", "look", json!({}));
    let due = sim.to_run();
    let lost = AttemptEnded {
        turn: due[0].0,
        attempt: 1,
        outcome: Outcome::Failed,
        cost: Cost::Reported(Usd::ZERO),
        reason: None,
    };
    sim.commit(vec![NewRecord::new(Timestamp::default(), &lost.into())]);
    assert_eq!(sim.speaking(), ["B"]);
    sim.command(Command::Stop);
    assert_eq!(
        answer(&sim, &due[0]),
        Some(("outcome unknown: the turn was stopped while `look` ran".to_owned(), true))
    );
    assert_eq!(sim.to_run(), due[1..], "what runs may finish in its grace");
    let (why, is_error) = sim.call("B", "c2", "pay", json!({}));
    assert_eq!((why.as_str(), is_error), ("the turn was stopped; `pay` is not run", true));
}
