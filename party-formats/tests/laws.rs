//! What holds for every format, team and course of events.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{Sim, usd};
use party_core::*;
use party_formats::{Coalesce, Engine, Format, Member, Release, Shares, ToolChoice, check};
use proptest::prelude::*;
use serde_json::json;

/// What an agent does next; the number picks who.
#[derive(Debug, Clone)]
enum Act {
    Say(usize, u32),
    Fail(usize),
    LoseAttempt(usize),
    Share(usize, u8),
    Post,
    Stop,
    Ask(usize),
    Withdraw(usize),
    /// Answers the first of so many questions, or one that nobody asked.
    Answer(usize, bool),
    /// A command of a newer version.
    Strange,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (any::<usize>(), 0..600_000u32).prop_map(|(who, micros)| Act::Say(who, micros)),
        2 => any::<usize>().prop_map(Act::Fail),
        2 => any::<usize>().prop_map(Act::LoseAttempt),
        4 => (any::<usize>(), 0..3u8).prop_map(|(who, text)| Act::Share(who, text)),
        1 => Just(Act::Post),
        2 => any::<usize>().prop_map(Act::Ask),
        1 => any::<usize>().prop_map(Act::Withdraw),
        2 => (0..3usize, any::<bool>()).prop_map(|(which, allow)| Act::Answer(which, allow)),
        1 => Just(Act::Strange),
    ]
}

fn setup() -> impl Strategy<Value = (Format, Vec<String>, Option<BudgetTerms>)> {
    let budget = prop_oneof![Just(None), Just(Some("1.50")), Just(Some("0.40"))];
    let coalesce = prop_oneof![Just(Coalesce::Keep), Just(Coalesce::Merge), Just(Coalesce::Replace)];
    let share = prop_oneof![Just(Shares::Final), Just(Shares::Tool), Just(Shares::Nothing)];
    let release = prop_oneof![Just(Release::Now), Just(Release::Barrier)];
    let choice = prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::Once),
        Just(ToolChoice::Until("share".into())),
        Just(ToolChoice::None),
    ];
    let shape = (any::<bool>(), 1..5usize, 1..4u32, choice);
    (shape, budget, coalesce, share, release).prop_map(
        |((council, size, rounds, choice), cap, coalesce, share, release)| {
            let terms = cap.map(|cap| BudgetTerms { cap: usd(cap), per_turn: None });
            let (mut format, role) = if council {
                (Format::council().with_rounds(rounds).unwrap(), "persona")
            } else {
                (Format::forum(), "participant")
            };
            for intent in format.intents.values_mut() {
                intent.coalesce = coalesce;
                if choice != ToolChoice::Auto {
                    intent.tools = vec!["share".into()];
                }
                intent.tool_choice = choice.clone();
            }
            for role in format.roles.values_mut().filter(|role| role.reacts.is_some()) {
                (role.share, role.release) = (share, release);
            }
            let mut seats: Vec<String> = (0..size).map(|n| format!("P{n}:{role}")).collect();
            if council {
                seats.push("J:judge".into());
            }
            (format, seats, terms)
        },
    )
}

fn perform(sim: &mut Sim, act: &Act) {
    let speaking = sim.speaking();
    let who = |n: usize| speaking.get(n % speaking.len().max(1)).cloned();
    match act {
        Act::Post => {
            sim.post("Q?");
        }
        Act::Stop => sim.command(Command::Stop),
        Act::Say(n, micros) => {
            if let Some(name) = who(*n) {
                sim.end(
                    &name,
                    Outcome::Completed,
                    Some("so"),
                    Cost::Reported(Usd::from_micros(u64::from(*micros))),
                );
            }
        }
        Act::Fail(n) => {
            if let Some(name) = who(*n) {
                sim.end(&name, Outcome::Failed, None, Cost::Unknown);
            }
        }
        Act::LoseAttempt(n) => {
            if let Some(name) = who(*n) {
                sim.lose(&name);
            }
        }
        Act::Ask(n) => {
            if let Some(name) = who(*n) {
                let request = format!("q{}", sim.log.len());
                sim.ask_leave(&name, &request);
            }
        }
        Act::Withdraw(n) => {
            if let Some(name) = who(*n)
                && let Some(question) = sim.turn_of(&name).questions.first()
            {
                sim.withdraw(&name, &question.request.clone());
            }
        }
        Act::Answer(which, allow) => {
            let nobody_s = (TurnId(Offset(3)), "q0".to_owned());
            let open = sim.engine.questions().nth(*which).map(|(turn, asked)| (turn, asked.request.clone()));
            let (turn, request) = open.unwrap_or(nobody_s);
            let deny = Permission::Deny { why: "no".into() };
            sim.answer(turn, &request, if *allow { Permission::Allow } else { deny });
        }
        Act::Strange => sim.command(Command::Unknown(json!({ "type": "teleport" }))),
        Act::Share(n, text) => {
            if let Some(name) = who(*n) {
                let call = format!("c{}", sim.log.len());
                sim.call(&name, &call, "share", json!({ "text": text.to_string() }));
            }
        }
    }
}

/// Adversarial agents that always answer, until nobody runs. They share in the turns that `shares`
/// tells, over and over.
fn run_to_rest(sim: &mut Sim, shares: &[bool]) {
    for turn in 0..2_000 {
        let Some(name) = sim.speaking().first().cloned() else { return };
        if shares[turn % shares.len()] {
            let call = format!("c{}", sim.log.len());
            sim.call(&name, &call, "share", json!({ "text": "again" }));
        }
        sim.say(&name, "so");
    }
    panic!("does not come to rest");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn replay_equals_live_and_reservations_never_exceed_the_cap((format, seats, budget) in setup(), acts in proptest::collection::vec(act(), 0..40)) {
        let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
        let mut sim = Sim::open(&format, &seats, budget);
        sim.post("Q?");
        for act in &acts {
            perform(&mut sim, act);
            if let Some(terms) = budget {
                let set_aside = sim.engine.committed().saturating_sub(sim.engine.spent());
                prop_assert!(set_aside <= terms.cap);
            }
        }
        prop_assert_eq!(sim.engine.impossible(), 0);
        prop_assert!(sim.engine.decide().is_empty());
        let replayed = sim.replay();
        prop_assert_eq!(serde_json::to_string(&replayed).unwrap(), serde_json::to_string(&sim.engine).unwrap());
    }

    #[test]
    fn a_session_ends_within_its_bound(
        (format, seats, budget) in setup(),
        shares in proptest::collection::vec(any::<bool>(), 1..5),
        acts in proptest::collection::vec(act(), 0..10),
    ) {
        let members: Vec<Member> = seats.iter().map(|seat| seat.split_once(':').unwrap()).map(|(name, role)| Member::new(name, role)).collect();
        let bound = check(&format, &members).unwrap();
        let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
        let mut sim = Sim::open(&format, &seats, budget);
        sim.post("Q?");
        acts.iter().for_each(|act| perform(&mut sim, act));
        run_to_rest(&mut sim, &shares);
        let messages = sim.log.iter().filter(|record| record.kind == "messagePosted").count();
        prop_assert!(sim.count("turnStarted") <= bound.invocations as usize * messages);
        prop_assert!(sim.engine.closed().is_some() || sim.engine.is_quiescent());
    }

    #[test]
    fn a_stop_always_closes((format, seats, budget) in setup(), acts in proptest::collection::vec(act(), 0..10)) {
        let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
        let mut sim = Sim::open(&format, &seats, budget);
        acts.iter().for_each(|act| perform(&mut sim, act));
        let was_closed = sim.engine.closed();
        perform(&mut sim, &Act::Stop);
        for name in sim.speaking() {
            sim.end(&name, Outcome::Cancelled, None, Cost::Unknown);
        }
        prop_assert_eq!(sim.engine.closed(), was_closed.or(Some(CloseReason::Aborted)));
    }

    #[test]
    fn no_record_in_any_order_panics(
        (format, seats, budget) in setup(),
        acts in proptest::collection::vec(act(), 0..20),
        order in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..60),
    ) {
        let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
        let mut sim = Sim::open(&format, &seats, budget);
        acts.iter().for_each(|act| perform(&mut sim, act));
        let mut engine = Engine::new(sim.engine.session());
        for (offset, (index, mangle)) in (1..).zip(order) {
            let mut record = index.get(&sim.log).clone();
            record.offset = Offset(offset);
            match mangle {
                0..16 => record.kind = "turnEnded".into(),
                16..32 => record.class = RecordClass::Input,
                32..40 => record.offset = Offset(0),
                48..56 => record.v = 9,
                56..64 => record.kind = "permissionAnswered".into(),
                64..72 => record.kind = "permissionWithdrawn".into(),
                40..48 => record.items.clear(),
                _ => {}
            }
            engine.apply(&record);
            // What would follow is looked at, and not taken: the next record meets the same state.
            let after = engine.settle(Vec::new(), Timestamp::default()).engine;
            prop_assert!(after.decide().is_empty());
            let _ = (after.pending_effects(), engine.is_quiescent(), engine.committed());
        }
    }

    #[test]
    fn a_snapshot_is_the_state((format, seats, budget) in setup(), acts in proptest::collection::vec(act(), 0..20)) {
        let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
        let mut sim = Sim::open(&format, &seats, budget);
        sim.post("Q?");
        acts.iter().for_each(|act| perform(&mut sim, act));
        let bytes = serde_json::to_vec(&sim.engine).unwrap();
        let loaded: Engine = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(loaded, sim.engine);
    }
}
