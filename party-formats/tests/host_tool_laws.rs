//! What holds for the host's tools in every course of events, beside a model of the calls.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{Sim, TOOLS, desk};
use party_core::*;
use party_formats::Effect;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that happens to the only seat's calls.
#[derive(Debug, Clone)]
enum Act {
    Call(usize, u8),
    Ran(usize),
    ReplyLost(usize),
    FailAttempt,
    TakeOver,
    Stop,
    End,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..4usize, 0..2u8).prop_map(|(tool, argument)| Act::Call(tool, argument)),
        4 => any::<usize>().prop_map(Act::Ran),
        2 => any::<usize>().prop_map(Act::ReplyLost),
        1 => Just(Act::FailAttempt),
        2 => Just(Act::TakeOver),
        1 => Just(Act::Stop),
        1 => Just(Act::End),
    ]
}

/// The calls as a plain list: what is known of each without the engine.
#[derive(Debug, Default)]
struct Model {
    calls: Vec<(u32, String, &'static str, u8)>,
    answered: BTreeMap<(u32, String), String>,
    /// How often a tool began to run for a call, and the drivers that began it.
    begun: BTreeMap<(u32, String), BTreeSet<u32>>,
    driver: u32,
}

const NAMES: [&str; 4] = ["look", "pay", "share", "rm"];

struct World {
    sim: Sim,
    model: Model,
    turn: TurnId,
}

impl World {
    fn new() -> Self {
        let mut format = desk();
        format.roles.values_mut().for_each(|role| role.reacts = None);
        let mut sim = Sim::open_with(&format, &["A:lead"], None, &TOOLS);
        sim.post("Q?");
        let turn = sim.turn_of("A").turn;
        let mut world = Self { sim, model: Model::default(), turn };
        world.look();
        world
    }

    fn attempt(&self) -> Option<u32> {
        self.sim.engine.turn(self.turn).map(|turn| turn.attempt)
    }

    fn commit(&mut self, event: impl Into<Event>) {
        self.sim.commit(vec![NewRecord::new(Timestamp::default(), &event.into())]);
    }

    fn perform(&mut self, act: &Act) {
        let Some(attempt) = self.attempt() else { return };
        let runs = !self.sim.running().is_empty();
        let pick = |n: usize| self.model.calls.get(n % self.model.calls.len().max(1)).cloned();
        match act {
            // Nobody calls while no attempt runs.
            Act::Call(tool, argument) if runs => {
                let call = format!("c{}", self.sim.log.len());
                let argument = *argument;
                // The same arguments in two forms.
                let number: Value = if self.sim.log.len().is_multiple_of(2) { json!(1) } else { json!(1.0) };
                let arguments = json!({ "text": argument.to_string(), "n": number });
                self.sim.ask("A", &call, NAMES[*tool], arguments);
                self.model.calls.push((attempt, call, NAMES[*tool], argument));
            }
            Act::Ran(n) => {
                let due = self.sim.to_run();
                if let Some(call) = due.get(n % due.len().max(1)) {
                    let text = format!("ran {}", self.sim.log.len());
                    self.sim.ran(call.clone(), &text);
                }
            }
            Act::ReplyLost(n) => {
                if let Some((attempt, call, ..)) = pick(*n) {
                    self.commit(ReplyLost { turn: self.turn, attempt, call });
                }
            }
            Act::FailAttempt if runs => {
                let (turn, cost) = (self.turn, Cost::Reported(Usd::ZERO));
                self.commit(AttemptEnded { turn, attempt, outcome: Outcome::Failed, cost, reason: None });
            }
            Act::TakeOver => {
                self.model.driver += 1;
                self.sim.take_over();
            }
            Act::Stop if !self.sim.engine.turn(self.turn).unwrap().interrupted => {
                self.sim.command(Command::Stop);
            }
            Act::End if runs => {
                self.sim.end("A", Outcome::Empty, None, Cost::Unknown);
            }
            Act::Call(..) | Act::FailAttempt | Act::Stop | Act::End => {}
        }
        self.look();
    }

    /// Compares the engine with the model.
    fn look(&mut self) {
        assert_eq!(self.sim.engine.impossible(), 0);
        assert!(self.sim.engine.decide().is_empty());
        let Some(turn) = self.sim.engine.turn(self.turn) else { return };
        let open: BTreeSet<_> =
            turn.open_calls().map(|call| (turn.turn, call.attempt, call.call.clone())).collect();
        let due = self.sim.to_run();
        for (_, attempt, call) in &due {
            let drivers = self.model.begun.entry((*attempt, call.clone())).or_default();
            drivers.insert(self.model.driver);
            let tool = self.model.calls.iter().find(|known| known.1 == *call).unwrap().2;
            assert!(tool == "look" || tool == "pay" && drivers.len() == 1, "{tool} begun by {drivers:?}");
        }
        // What is open runs, or waits for an equal one that runs.
        assert!(due.iter().all(|call| open.contains(call)));
        assert!(open.is_empty() || !due.is_empty());
        let owes = turn.open_calls().any(|call| call.attempt < turn.attempt);
        let runs = self
            .sim
            .engine
            .pending_effects()
            .contains(&Effect::Run { turn: self.turn, attempt: turn.attempt });
        assert_eq!(runs, !owes);
    }

    /// Every call has exactly one answer on the log, but those that its turn's end left open.
    fn answers(&mut self) {
        let open: BTreeSet<(u32, String)> = match self.sim.engine.turn(self.turn) {
            Some(turn) => turn.open_calls().map(|call| (call.attempt, call.call.clone())).collect(),
            None => BTreeSet::new(),
        };
        for record in &self.sim.log {
            let (attempt, call, text) = match record.event().unwrap() {
                Event::ToolAnswered(event) => (event.attempt, event.call, event.text),
                Event::ToolRan(event) => (event.attempt, event.call, event.text),
                _ => continue,
            };
            let before = self.model.answered.insert((attempt, call.clone()), text);
            assert_eq!(before, None, "{call} is answered twice");
        }
        let has_ended = self.sim.engine.turn(self.turn).is_none();
        for (attempt, call, ..) in &self.model.calls {
            let key = (*attempt, call.clone());
            assert!(has_ended || self.model.answered.contains_key(&key) != open.contains(&key), "{call}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn each_call_is_answered_once_and_a_replay_never_decides_again(acts in proptest::collection::vec(act(), 0..40)) {
        let mut world = World::new();
        acts.iter().for_each(|act| world.perform(act));
        world.answers();
        let replayed = world.sim.replay();
        prop_assert!(replayed.decide().is_empty());
        prop_assert_eq!(replayed.pending_effects(), world.sim.engine.pending_effects());
        prop_assert_eq!(&replayed, &world.sim.engine);
        let bytes = serde_json::to_vec(&replayed).unwrap();
        prop_assert_eq!(serde_json::from_slice::<party_formats::Engine>(&bytes).unwrap(), replayed);
    }

    #[test]
    fn effects_come_to_an_end(acts in proptest::collection::vec(act(), 0..40)) {
        let mut world = World::new();
        acts.iter().for_each(|act| world.perform(act));
        for _ in 0..acts.len() + 1 {
            let Some(call) = world.sim.to_run().first().cloned() else { break };
            world.sim.ran(call, "ran");
            world.look();
        }
        prop_assert!(world.sim.to_run().is_empty());
        for name in world.sim.speaking() {
            world.sim.end(&name, Outcome::Empty, None, Cost::Unknown);
        }
        prop_assert!(world.sim.engine.pending_effects().is_empty());
    }

    #[test]
    fn no_order_of_records_panics(
        acts in proptest::collection::vec(act(), 0..40),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..80),
    ) {
        let mut world = World::new();
        acts.iter().for_each(|act| world.perform(act));
        let log = &world.sim.log;
        // The session, its first turn, and then whatever comes.
        let begun = log.iter().position(|record| record.kind == "turnStarted").unwrap() + 1;
        let shuffled = order.iter().map(|index| index.get(&log[begun - 1..]));
        let mut engine = party_formats::Engine::new(world.sim.engine.session());
        for (offset, record) in (1..).zip(log[..begun].iter().chain(shuffled)) {
            let mut record = record.clone();
            record.offset = Offset(offset);
            engine.apply(&record);
            let after = engine.settle(Vec::new(), Timestamp::default()).engine;
            prop_assert!(after.decide().is_empty());
            let _ = (after.pending_effects(), engine.pending_effects());
        }
    }
}
