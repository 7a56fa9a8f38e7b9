//! Questions of runtimes and people's answers, as the log tells them.

mod common;

use common::Sim;
use party_core::*;
use party_formats::{Effect, Format};

fn open() -> Sim {
    let mut sim = Sim::open(&Format::forum(), &["A:lead", "B:participant"], None);
    sim.post("Hi all");
    sim
}

fn answers(sim: &Sim) -> Vec<Effect> {
    let effects = sim.engine.pending_effects().into_iter();
    effects.filter(|effect| matches!(effect, Effect::Answer { .. })).collect()
}

fn open_questions(sim: &Sim) -> Vec<String> {
    sim.engine.questions().map(|(_, question)| question.request.clone()).collect()
}

#[test]
fn an_answer_closes_the_question_and_asks_to_be_passed_on() {
    let mut sim = open();
    let turn = sim.ask_leave("A", "q1");
    assert_eq!((open_questions(&sim), answers(&sim)), (vec!["q1".to_owned()], vec![]));
    let deny = Permission::Deny { why: "not now".into() };
    sim.answer(turn, "q1", deny.clone());
    assert!(open_questions(&sim).is_empty());
    let told = Effect::Answer { turn, attempt: 1, request: "q1".into(), answer: deny };
    assert_eq!(answers(&sim), [told]);
    let answered = sim.log.iter().find(|record| record.kind == "permissionAnswered").unwrap();
    let Event::PermissionAnswered(answered) = answered.event().unwrap() else { panic!("{answered:?}") };
    assert_eq!(sim.log[answered.input.0 as usize - 1].kind, "commanded");
    sim.say("A", "done");
    assert_eq!(answers(&sim), []);
}

#[test]
fn an_answer_to_what_nobody_asks_is_refused_with_the_reason() {
    let mut sim = open();
    let turn = sim.ask_leave("A", "q1");
    sim.answer(turn, "q2", Permission::Allow);
    assert_eq!(sim.refused(), "the turn has no such open question");
    sim.answer(TurnId(Offset(99)), "q1", Permission::Allow);
    assert_eq!(sim.refused(), "the turn does not run");
    sim.answer(turn, "q1", Permission::Allow);
    sim.answer(turn, "q1", Permission::Allow);
    assert_eq!(sim.refused(), "the question is answered already");
    sim.ask_leave("A", "q3");
    sim.withdraw("A", "q3");
    sim.answer(turn, "q3", Permission::Allow);
    assert_eq!(sim.refused(), "the turn has no such open question");
    assert_eq!((sim.count("refused"), sim.engine.impossible()), (4, 0));
}

#[test]
fn a_lost_attempt_closes_its_questions_and_the_next_one_asks_again() {
    let mut sim = open();
    let turn = sim.ask_leave("A", "q1");
    sim.ask_leave("A", "q2");
    sim.answer(turn, "q2", Permission::Allow);
    sim.lose("A");
    assert!(open_questions(&sim).is_empty());
    assert_eq!(answers(&sim), []);
    sim.ask_leave("A", "q1");
    sim.answer(turn, "q1", Permission::Allow);
    let told = Effect::Answer { turn, attempt: 2, request: "q1".into(), answer: Permission::Allow };
    assert_eq!(answers(&sim), [told]);
}

#[test]
fn an_answer_is_acted_on_though_a_close_waits_in_front_of_it() {
    let mut sim = open();
    let turn = sim.ask_leave("A", "q1");
    sim.command(Command::Close);
    sim.answer(turn, "q1", Permission::Allow);
    assert_eq!(answers(&sim).len(), 1);
    sim.say("A", "done");
    sim.say("B", "done");
    assert_eq!(sim.engine.closed(), Some(CloseReason::Closed));
}

#[test]
fn a_command_of_a_newer_version_is_refused_by_name() {
    let mut sim = open();
    sim.command(Command::Unknown(serde_json::json!({ "type": "teleport", "to": "Mars" })));
    assert_eq!(sim.refused(), "the command `teleport` is not known");
    assert_eq!(sim.engine.closed(), None);
}

#[test]
fn the_same_question_twice_cannot_be() {
    let mut sim = open();
    sim.ask_leave("A", "q1");
    sim.ask_leave("A", "q1");
    assert_eq!(sim.engine.closed(), Some(CloseReason::Corrupt));
}
