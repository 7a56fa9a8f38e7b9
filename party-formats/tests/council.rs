//! The council, as the log tells it.

mod common;

use common::{Sim, usd};
use party_core::*;
use party_formats::Format;

const SEATS: [&str; 3] = ["A:persona", "B:persona", "J:judge"];

fn budget(cap: &str, per_turn: Option<&str>) -> Option<BudgetTerms> {
    Some(BudgetTerms { cap: usd(cap), per_turn: per_turn.map(usd) })
}

#[test]
fn a_council_of_two_is_four_commits_of_these_records() {
    let mut sim = Sim::open(&Format::council(), &SEATS, budget("1.50", None));
    sim.post("Q?");
    assert_eq!(
        sim.kinds()[1..],
        ["messagePosted", "delivered", "budgetReserved", "queued", "turnStarted", "turnStarted"]
    );
    let mut seen = sim.log.len();
    let mut step = |sim: &Sim| {
        let kinds: Vec<String> = sim.kinds()[seen..].iter().map(ToString::to_string).collect();
        seen = sim.log.len();
        kinds
    };
    sim.say("A", "a1");
    assert_eq!(step(&sim), ["turnEnded"]);
    sim.say("B", "b1");
    assert_eq!(step(&sim), ["turnEnded", "quiesced", "delivered", "delivered", "queued", "turnStarted"]);
    sim.say("J", "settled");
    assert_eq!(step(&sim), ["turnEnded", "delivered", "quiesced", "sessionClosed"]);
    assert_eq!(sim.engine.closed(), Some(CloseReason::Finished));
}

#[test]
fn a053_a054_a057_opinions_are_published_at_the_barrier_in_roster_order() {
    let mut sim = Sim::open(&Format::council().with_rounds(2).unwrap(), &SEATS, None);
    sim.post("Q?");
    sim.say("B", "b1");
    assert_eq!(sim.private("A"), ["Q?"]);
    sim.say("A", "a1");
    assert_eq!(sim.feed(), ["Q?", "a1", "b1"]);
    assert_eq!(sim.private("A"), ["Q?", "a1", "b1"]);
    assert_eq!(sim.speaking(), ["A", "B"]);
    sim.say("B", "b2");
    sim.say("A", "a2");
    assert_eq!(sim.speaking(), ["J"]);
    assert_eq!(sim.private("J"), ["Q?", "a1", "b1", "a2", "b2"]);
    sim.say("J", "settled");
    assert_eq!(sim.engine.closed(), Some(CloseReason::Finished));
    assert_eq!(sim.count("turnStarted"), 5);
}

#[test]
fn a072_a_persona_that_fails_is_named_absent_to_the_judge() {
    let mut sim = Sim::open(&Format::council(), &["A:persona", "B:persona", "C:persona", "J:judge"], None);
    sim.post("Q?");
    sim.fail("B");
    sim.end("C", Outcome::Empty, None, Cost::Reported(Usd::ZERO));
    sim.say("A", "a1");
    let judge = sim.turn_of("J");
    let told = sim.engine.framing(&judge).unwrap();
    assert!(told.text().ends_with("Name as absent: B (failed), C (said nothing)."), "{}", told.text());
    sim.say("J", "settled");
    assert_eq!(sim.engine.closed(), Some(CloseReason::Finished));
}

#[test]
fn a072_a_persona_that_fails_in_a_later_round_is_absent_in_that_round_and_the_judge_is_told() {
    let mut sim = Sim::open(&Format::council().with_rounds(2).unwrap(), &SEATS, None);
    sim.post("Q?");
    sim.say("A", "a1");
    sim.say("B", "b1");
    sim.say("A", "a2");
    sim.fail("B");
    let absent = [Absence { seat: SeatId(1), reason: AbsenceReason::Failed }];
    let quiesced = sim.log.iter().rev().find(|record| record.kind == "quiesced").unwrap();
    let Event::Quiesced(quiesced) = quiesced.event().unwrap() else { panic!("{quiesced:?}") };
    assert_eq!(
        (quiesced.round, &quiesced.spoke[..], &quiesced.absent[..]),
        (2, &[SeatId(0)][..], &absent[..])
    );
    assert_eq!(sim.turn_of("J").absent, absent);
    sim.say("J", "settled");
    assert_eq!(sim.engine.closed(), Some(CloseReason::Finished));
}

#[test]
fn a072_all_absent_closes_below_quorum_without_a_judge() {
    let mut sim = Sim::open(&Format::council(), &SEATS, None);
    sim.post("Q?");
    sim.fail("A");
    sim.fail("B");
    assert_eq!(sim.engine.closed(), Some(CloseReason::BelowQuorum));
    assert_eq!(sim.count("turnStarted"), 2);
}

#[test]
fn a_judge_that_fails_is_asked_once_more_and_then_the_session_closes() {
    let mut sim = Sim::open(&Format::council(), &SEATS, budget("1.50", None));
    sim.post("Q?");
    sim.say("A", "a1");
    sim.say("B", "b1");
    sim.fail("J");
    assert_eq!(sim.speaking(), ["J"]);
    sim.fail("J");
    assert_eq!(sim.engine.closed(), Some(CloseReason::JudgeFailed));
    assert_eq!(sim.feed(), ["Q?", "a1", "b1"]);
}

#[test]
fn a065_a071_a_seat_that_never_fits_the_budget_is_absent_and_the_judge_still_runs() {
    let mut sim = Sim::open(&Format::council(), &SEATS, budget("0.50", Some("0.20")));
    sim.post("Q?");
    assert_eq!(sim.speaking(), ["A"]);
    sim.end("A", Outcome::Completed, Some("a1"), Cost::Reported(usd("0.20")));
    assert_eq!(sim.speaking(), ["J"]);
    let absent = &sim.turn_of("J").absent;
    assert_eq!(absent[..], [Absence { seat: SeatId(1), reason: AbsenceReason::OverBudget }]);
    sim.end("J", Outcome::Completed, Some("settled"), Cost::Reported(usd("0.20")));
    assert_eq!(sim.engine.closed(), Some(CloseReason::Finished));
    assert_eq!(sim.engine.spent(), usd("0.40"));
}

#[test]
fn a_seat_that_does_not_fit_waits_for_a_settlement() {
    let mut sim = Sim::open(&Format::council(), &SEATS, budget("0.50", Some("0.20")));
    sim.post("Q?");
    sim.end("A", Outcome::Completed, Some("a1"), Cost::Reported(usd("0.05")));
    assert_eq!(sim.speaking(), ["B"]);
}

#[test]
fn an_attempt_of_unknown_cost_is_charged_its_whole_reservation() {
    let mut sim = Sim::open(&Format::council(), &SEATS, budget("1.50", None));
    sim.post("Q?");
    sim.end("A", Outcome::Failed, None, Cost::Unknown);
    assert_eq!(sim.engine.spent(), usd("0.50"));
}

#[test]
fn every_lost_attempt_of_unknown_cost_is_charged_its_reservation() {
    let mut sim = Sim::open(&Format::council(), &SEATS, budget("1.50", None));
    sim.post("Q?");
    let turn = sim.turn_of("A").turn;
    for attempt in [1, 2] {
        let lost = AttemptEnded { turn, attempt, outcome: Outcome::Lost, cost: Cost::Unknown, reason: None };
        sim.commit(vec![NewRecord::new(Timestamp::default(), &lost.into())]);
    }
    sim.say("A", "a1");
    assert_eq!(sim.engine.spent(), usd("1.01"));
}

#[test]
fn a082_stop_interrupts_what_runs_keeps_what_was_said_and_closes_as_aborted() {
    let mut sim = Sim::open(&Format::council(), &SEATS, None);
    sim.post("Q?");
    sim.say("A", "a1");
    sim.command(Command::Stop);
    assert!(sim.turn_of("B").interrupted);
    sim.end("B", Outcome::Cancelled, None, Cost::Reported(Usd::ZERO));
    assert_eq!(sim.engine.closed(), Some(CloseReason::Aborted));
    assert_eq!(sim.private("A"), ["Q?", "a1"]);
}

#[test]
fn opinions_about_a_message_in_mid_council_are_judged_too() {
    let mut sim = Sim::open(&Format::council(), &SEATS, None);
    sim.post("Q?");
    sim.say("A", "a1");
    sim.say("B", "b1");
    sim.post("And then?");
    // The judge settles the first question while the others take up the second.
    sim.say("J", "first settled");
    sim.say("A", "a2");
    sim.fail("B");
    assert_eq!(sim.speaking(), ["J"]);
    let absent = [Absence { seat: SeatId(1), reason: AbsenceReason::Failed }];
    assert_eq!(sim.turn_of("J").absent, absent);
    sim.say("J", "both settled");
    assert_eq!(sim.engine.closed(), Some(CloseReason::Finished));
    assert_eq!(sim.feed(), ["Q?", "a1", "b1", "And then?", "first settled", "a2", "both settled"]);
}

#[test]
fn an_opinion_about_an_earlier_message_is_no_opinion_about_the_later_one() {
    let mut sim = Sim::open(&Format::council().with_quorum(2).unwrap(), &SEATS, None);
    sim.post("Q?");
    sim.post("And then?");
    sim.say("A", "a1");
    sim.say("B", "b1");
    sim.say("A", "a2");
    sim.fail("B");
    assert_eq!(sim.engine.closed(), Some(CloseReason::BelowQuorum));
}

#[test]
fn close_waits_until_the_matter_is_settled() {
    let mut sim = Sim::open(&Format::council(), &SEATS, None);
    sim.post("Q?");
    sim.command(Command::Close);
    sim.say("A", "a1");
    sim.say("B", "b1");
    sim.say("J", "settled");
    assert_eq!(sim.engine.closed(), Some(CloseReason::Finished));
    assert_eq!(sim.feed(), ["Q?", "a1", "b1", "settled"]);
}

#[test]
fn nobody_s_input_can_pass_for_a_decision_or_corrupt_the_session() {
    let mut sim = Sim::open(&Format::council(), &SEATS, None);
    sim.post("Q?");
    let closed = Event::from(SessionClosed { reason: CloseReason::Aborted });
    let mut forged = NewRecord::new(Timestamp::default(), &closed);
    forged.class = RecordClass::Input;
    let mut junk = forged.clone();
    junk.kind = "messagePosted".into();
    sim.commit(vec![forged, junk]);
    assert_eq!(sim.engine.closed(), None);
    assert_eq!(sim.engine.impossible(), 0);
    assert_eq!(sim.count("refused"), 2);
}

#[test]
fn a_record_that_cannot_be_closes_the_session_as_corrupt() {
    let mut sim = Sim::open(&Format::council(), &SEATS, None);
    let impossible = Interrupted { turns: vec![TurnId(Offset(99))] };
    sim.commit(vec![NewRecord::new(Timestamp::default(), &impossible.into())]);
    assert_eq!(sim.engine.closed(), Some(CloseReason::Corrupt));
}
