//! A council of the shipped personas.

use crate::{
    host::with_council,
    stage::{
        PERSONAS, QUESTION, Stage, called, cli_sessions, council, events, feed, opinion, opinions, said,
        system, tagged, tools, whole_feed,
    },
    way::{Way, in_each_way},
};
use party_launch::core::{CloseReason, Event, Sent};
use serde_json::json;
use std::collections::BTreeSet;
use test_support::{Gate, ModelTurn, Scenario};

in_each_way!(
    a051_a052_a053_a055_a057_a161_one_round_of_five_agents_in_five_processes,
    a054_a055_a161_a170_a_second_round_resumes_each_session_with_what_the_others_said,
);

/// A persona waits at `together` in each round, the judge at `alone`; the judge writes more.
fn gated(rounds: u32, together: &Gate, alone: &Gate) -> Scenario {
    let mut scenario = opinions(1..=rounds);
    for turn in &mut scenario.turns {
        let is_judge = turn.when.as_slice().contains(&called("Maat"));
        turn.gate = Some(if is_judge { alone.clone() } else { together.clone() });
        if is_judge {
            turn.usage.insert("output_tokens".into(), json!(1_042));
        }
    }
    scenario
}

/// Lets a round pass once all of it has arrived; returns the processes that were there.
async fn pass(stage: &Stage, gate: &Gate, count: usize) -> BTreeSet<i32> {
    for _ in 0..count {
        gate.arrived().await;
    }
    let living = stage.living();
    (0..count).for_each(|_| gate.release());
    living
}

async fn a051_a052_a053_a055_a057_a161_one_round_of_five_agents_in_five_processes(way: Way) {
    let (together, alone) = (Gate::new(), Gate::new());
    let stage = Stage::on(way, gated(1, &together, &alone)).await;
    let bus = stage.bus().await;
    let party = with_council(stage.builder(bus.clone()), 1).start(QUESTION).await.unwrap();
    let personas = pass(&stage, &together, 4).await;
    let judge = pass(&stage, &alone, 1).await;
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    let mine = &judge - &personas;
    assert_eq!((personas.len(), mine.len()), (4, 1), "a051: a process each, side by side");
    assert_eq!(judge.len(), if way.is_persistent { 5 } else { 1 });

    assert_eq!(feed(bus.as_ref(), party.session()).await, whole_feed(1));
    let sessions = cli_sessions(bus.as_ref(), party.session()).await;
    let ids: BTreeSet<&String> = sessions.values().flatten().collect();
    assert_eq!((sessions.len(), ids.len()), (5, 5), "a051: {sessions:?}");
    assert_eq!(party.spent(), stage.cost(5, 1));
    party.shutdown().await.unwrap();

    assert_eq!(stage.fake.model_requests().len(), 5);
    for seat in council(1).1 {
        let requests = stage.asked(&seat.name);
        assert_eq!(requests.len(), 1, "{}", seat.name);
        assert_eq!(tools(&requests[0]), Vec::<String>::new(), "no tools");
        assert!(system(&requests[0]).contains(seat.prompt.trim()), "a052: {}", system(&requests[0]));
        for other in council(1).1.iter().filter(|other| other.name != seat.name) {
            assert!(!requests[0].to_string().contains(&called(&other.name)), "a052");
            assert!(!system(&requests[0]).contains(other.prompt.trim()), "a052");
        }
        let said = said(&requests[0]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].1.contains(QUESTION), "byte for byte: {said:?}");
        let opinions = PERSONAS.iter().filter(|name| said[0].1.contains(&opinion(name, 1)));
        let tagged = PERSONAS.iter().filter(|name| said[0].1.contains(&tagged(name, 1)));
        let expected = if seat.role == "judge" { 4 } else { 0 };
        assert_eq!((opinions.count(), tagged.count()), (expected, expected), "a053, a055: {said:?}");
    }
}

async fn a054_a055_a161_a170_a_second_round_resumes_each_session_with_what_the_others_said(way: Way) {
    let (together, alone) = (Gate::new(), Gate::new());
    let stage = Stage::on(way, gated(2, &together, &alone)).await;
    let bus = stage.bus().await;
    let party = with_council(stage.builder(bus.clone()), 2).start(QUESTION).await.unwrap();
    let first = pass(&stage, &together, 4).await;
    let second = pass(&stage, &together, 4).await;
    let judge = pass(&stage, &alone, 1).await;
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    let processes = if way.is_persistent { 5 } else { 9 };
    assert_eq!((&(&first | &second) | &judge).len(), processes, "a process for each turn, or for each seat");

    assert_eq!(feed(bus.as_ref(), party.session()).await, whole_feed(2));
    let sessions = cli_sessions(bus.as_ref(), party.session()).await;
    let ids: BTreeSet<&String> = sessions.values().flatten().collect();
    assert_eq!((sessions.len(), ids.len()), (5, 5), "each is resumed: {sessions:?}");
    assert_eq!(party.spent(), stage.cost(9, 1), "a170: the sum of the turns");
    let ends = events(bus.as_ref(), party.session()).await;
    let deltas = ends.iter().filter(|e| matches!(e, Event::TurnEnded(end) if end.sent == Sent::Delta));
    assert_eq!(deltas.count(), 4);
    party.shutdown().await.unwrap();

    for name in PERSONAS {
        let requests = stage.asked(name);
        assert_eq!(requests.len(), 2, "{name}");
        let said = said(&requests[1]);
        let roles: Vec<&str> = said.iter().map(|(role, _)| role.as_str()).collect();
        assert_eq!(roles, ["user", "assistant", "user"], "{said:?}");
        assert_eq!(said[1].1, opinion(name, 1));
        assert!(said[0].1.contains(QUESTION) && !said[2].1.contains(QUESTION), "the delta only: {said:?}");
        for other in PERSONAS {
            assert_eq!(said[2].1.matches(&tagged(other, 1)).count(), usize::from(other != name), "a054");
            assert!(!said[2].1.contains(&opinion(other, 2)));
        }
        assert!(!said[2].1.contains(&opinion(name, 1)));
    }
    let judged = stage.asked("Maat");
    assert_eq!(judged.len(), 1, "a055: once");
    let told = &said(&judged[0])[0].1;
    assert!(told.contains(QUESTION));
    for (name, round) in PERSONAS.iter().flat_map(|name| [(name, 1), (name, 2)]) {
        assert_eq!(told.matches(&tagged(name, round)).count(), 1, "a055: {told}");
    }
}

#[tokio::test]
async fn a072_a_persona_whose_model_fails_is_absent_and_the_judge_is_told() {
    let failing =
        ModelTurn::error(400, "invalid_request_error", "no such thing").when(called("John")).repeat();
    let mut scenario = opinions(1..=1);
    scenario.turns.insert(0, failing);
    let stage = Stage::new(scenario).await;
    let bus = stage.bus().await;
    let party = with_council(stage.builder(bus.clone()), 1).start(QUESTION).await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    let mut expected = whole_feed(1);
    expected.retain(|line| !line.starts_with("John:"));
    assert_eq!(feed(bus.as_ref(), party.session()).await, expected);
    party.shutdown().await.unwrap();
    let told = &said(&stage.asked("Maat")[0])[0].1;
    assert!(told.contains("Name as absent: John (failed)."), "{told}");
}
