//! Calls of the host's tools, as the log tells them.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::Sim;
use party_core::*;
use party_formats::{Effect, Format};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// `look` may be run again, `pay` may not; `hidden` is not offered.
const TOOLS: [(&str, bool); 3] = [("hidden", true), ("look", true), ("pay", false)];

fn format() -> Format {
    let mut format = Format::forum();
    for intent in format.intents.values_mut() {
        intent.tools = ["share", "look", "pay"].map(str::to_owned).to_vec();
    }
    format
}

fn open() -> Sim {
    let mut sim = Sim::open_with(&format(), &["A:lead", "B:participant"], None, &TOOLS);
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
        let mut format = format();
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
