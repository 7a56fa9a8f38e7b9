//! A session that goes on as a copy of another.

mod common;

use common::{Sim, usd};
use party_core::*;
use party_formats::Format;

const SEATS: [&str; 3] = ["A:persona", "B:persona", "J:judge"];

fn council() -> Sim {
    let terms = BudgetTerms { cap: usd("1.50"), per_turn: None };
    let mut sim = Sim::open(&Format::council(), &SEATS, Some(terms));
    sim.post("Q?");
    sim
}

#[test]
fn turns_that_ran_are_abandoned_in_the_fork_and_go_on_in_the_original() {
    let mut sim = council();
    sim.say("A", "a1");
    let mut fork = sim.fork(sim.engine.head().0);
    // B is absent there, so the judge speaks at once; nothing is set aside for B any more.
    assert_eq!((sim.speaking(), fork.speaking()), (vec!["B".to_owned()], vec!["J".to_owned()]));
    let reserved = fork.turn_of("J").reserve.unwrap();
    assert_eq!(fork.engine.committed(), fork.engine.spent().saturating_add(reserved));
    assert_eq!(fork.turn_of("J").absent, [Absence { seat: SeatId(1), reason: AbsenceReason::Cancelled }]);
    fork.say("J", "without B");
    sim.say("B", "b1");
    sim.say("J", "with B");
    assert_eq!(fork.feed(), ["Q?", "a1", "without B"]);
    assert_eq!(sim.feed(), ["Q?", "a1", "b1", "with B"]);
    assert_eq!((fork.engine.impossible(), fork.replay()), (0, fork.engine.clone()));
}

#[test]
fn a_fork_from_any_record_comes_to_rest_and_shares_no_runtime_session() {
    let mut sim = council();
    let turn = sim.turn_of("A").turn;
    let bound = RuntimeBound { seat: SeatId(0), token: serde_json::json!("t"), seen: turn };
    sim.commit(vec![NewRecord::new(Timestamp::default(), &bound.into()).in_turn(turn)]);
    sim.say("A", "a1");
    sim.say("B", "b1");
    sim.say("J", "settled");
    for at in 1..=sim.engine.head().0 {
        let mut fork = sim.fork(at);
        // A session that is over stays as it was.
        assert!(fork.engine.binding(SeatId(0)).is_none() || at == sim.engine.head().0);
        for _ in 0..10 {
            let Some(name) = fork.speaking().first().cloned() else { break };
            fork.say(&name, "again");
        }
        let ended = fork.engine.closed().is_some() || fork.engine.is_quiescent();
        assert!(ended && fork.engine.impossible() == 0, "at {at}: {:?}", fork.kinds());
    }
}
