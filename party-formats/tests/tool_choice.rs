//! What an intent offers and asks for, as the log tells it.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::Sim;
use party_core::*;
use party_formats::{Completion, Format, ToolChoice};
use serde_json::json;

const SEATS: [&str; 2] = ["A:lead", "B:participant"];

fn forum(choice: ToolChoice) -> Format {
    let mut format = Format::forum();
    for intent in format.intents.values_mut() {
        intent.tool_choice = choice.clone();
    }
    format
}

fn open(choice: ToolChoice) -> Sim {
    let mut sim = Sim::open(&forum(choice), &SEATS, None);
    sim.post("Hi all");
    sim
}

fn share(sim: &mut Sim, name: &str, text: &str) -> bool {
    let call = format!("c{}", sim.log.len());
    let (_, is_error) = sim.call(name, &call, "share", json!({ "text": text }));
    !is_error
}

/// How often each turn so far was called again, in order.
fn nudges(sim: &Sim) -> Vec<u32> {
    let started = sim.log.iter().filter_map(|record| match record.event().unwrap() {
        Event::TurnStarted(event) => Some(event.nudge),
        _ => None,
    });
    started.collect()
}

fn absent(sim: &Sim) -> Vec<Absence> {
    let quiesced = sim.log.iter().rev().find_map(|record| match record.event().unwrap() {
        Event::Quiesced(event) => Some(event.absent),
        _ => None,
    });
    quiesced.unwrap()
}

#[test]
fn a_turn_without_the_required_call_is_called_again_twice_and_then_absent() {
    let mut sim = open(ToolChoice::Once);
    share(&mut sim, "A", "From A");
    sim.say("A", "(draft)");
    // B's speech comes first, then its reaction to A, which is of low priority.
    for (intent, nudge) in
        [("speak", 0), ("speak", 1), ("speak", 2), ("react", 0), ("react", 1), ("react", 2)]
    {
        let turn = sim.turn_of("B");
        assert_eq!((turn.intent.as_str(), turn.nudge), (intent, nudge));
        sim.say("B", "I forgot");
    }
    assert_eq!(nudges(&sim), [0, 0, 1, 2, 0, 1, 2]);
    assert_eq!(absent(&sim), [Absence { seat: SeatId(1), reason: AbsenceReason::NoToolCall }]);
    assert_eq!(sim.feed(), ["Hi all", "From A"]);
    assert!(sim.private("B").contains(&"I forgot".to_owned()));
}

#[test]
fn what_a_turn_without_its_call_wrote_is_not_shared() {
    let mut format = Format::council();
    let opine = format.intents.get_mut("opine").unwrap();
    (opine.tools, opine.tool_choice) = (vec!["share".into()], ToolChoice::Once);
    let mut sim = Sim::open(&format, &["A:persona", "J:judge"], None);
    sim.post("Q?");
    sim.say("A", "not passed on");
    let told = sim.engine.framing(&sim.turn_of("A")).unwrap();
    assert!(told.text().starts_with("Round 1 of 1."), "{}", told.text());
    let nudge = "You ended your turn without calling `share`. Call `share` before you end your turn; \
                 what you write without it is not passed on.";
    assert!(told.text().ends_with(nudge), "{}", told.text());
    share(&mut sim, "A", "in the open");
    sim.say("A", "an opinion");
    assert_eq!(sim.feed(), ["Q?", "in the open", "an opinion"]);
    assert_eq!(sim.turn_of("J").absent, []);
}

#[test]
fn a_call_that_was_refused_or_failed_does_not_count() {
    let mut sim = open(ToolChoice::Until("share".into()));
    assert!(!share(&mut sim, "A", "  "), "an empty share is an error");
    sim.call("A", "c0", "rm", json!({}));
    sim.say("A", "done");
    assert_eq!(sim.turn_of("A").nudge, 1);
}

#[test]
fn a_call_of_a_lost_attempt_counts() {
    let mut sim = open(ToolChoice::Once);
    share(&mut sim, "A", "From A");
    sim.lose("A");
    sim.say("A", "(draft)");
    assert_eq!(sim.speaking(), ["B"]);
}

#[test]
fn a_turn_that_failed_timed_out_or_was_lost_is_not_called_again() {
    for outcome in [Outcome::Failed, Outcome::TimedOut, Outcome::Cancelled] {
        let mut sim = open(ToolChoice::Once);
        sim.end("A", outcome, None, Cost::Unknown);
        assert_eq!(sim.speaking(), ["B"], "{outcome:?}");
    }
    let mut sim = open(ToolChoice::Once);
    sim.end("A", Outcome::Empty, None, Cost::Unknown);
    assert_eq!(sim.turn_of("A").nudge, 1, "it finished, and did not call");
}

#[test]
fn a_message_that_came_in_between_takes_the_place_of_being_called_again() {
    let mut sim = open(ToolChoice::Once);
    let second = sim.post("And this?");
    sim.say("A", "I forgot");
    let turn = sim.turn_of("A");
    assert_eq!((turn.nudge, &turn.because[..]), (0, &[second][..]));
    sim.say("A", "I forgot again");
    assert_eq!(sim.turn_of("A").nudge, 1);
    sim.post("And that?");
    share(&mut sim, "A", "Here");
    sim.say("A", "(draft)");
    assert_eq!(sim.turn_of("A").nudge, 0);
    assert_eq!(sim.engine.impossible(), 0);
}

#[test]
fn a_seat_is_not_called_again_once_the_party_is_stopped() {
    let mut sim = open(ToolChoice::Once);
    sim.command(Command::Stop);
    sim.say("A", "within its grace");
    sim.end("B", Outcome::Cancelled, None, Cost::Unknown);
    assert_eq!(sim.engine.closed(), Some(CloseReason::Aborted));
}

#[test]
fn nobody_is_called_again_who_missed_nothing() {
    let mut sim = open(ToolChoice::Once);
    let forged = QueuedInvocation {
        seat: SeatId(0),
        intent: "speak".into(),
        because: vec![],
        reaction: false,
        nudge: 1,
    };
    let record = NewRecord::new(Timestamp::default(), &Queued { invocations: vec![forged] }.into());
    sim.commit(vec![record]);
    assert_eq!(sim.engine.closed(), Some(CloseReason::Corrupt));
}

#[test]
fn a_replay_in_the_middle_calls_again_what_the_log_has_not() {
    let mut sim = open(ToolChoice::Once);
    sim.say("A", "I forgot");
    let ended = sim.log.iter().position(|record| record.kind == "turnEnded").unwrap();
    let mut engine = party_formats::Engine::new(sim.engine.session());
    sim.log[..=ended].iter().for_each(|record| engine.apply(record));
    let next: Vec<String> = engine.decide().into_iter().map(|record| record.kind).collect();
    assert_eq!(next, ["queued"]);
    assert_eq!(serde_json::to_value(sim.replay()).unwrap(), serde_json::to_value(&sim.engine).unwrap());
}

#[test]
fn a023_no_tool_is_offered_where_the_choice_is_none() {
    let mut sim = open(ToolChoice::None);
    let (answer, is_error) = sim.call("A", "c1", "share", json!({ "text": "hi" }));
    assert_eq!((answer.as_str(), is_error), ("the tool `share` is not offered in this turn", true));
}

#[test]
fn intents_of_older_formats_load_and_new_fields_read_as_written() {
    let text = "
name: mine
roles: { lead: { intent: speak } }
intents:
  speak: { tools: [share], toolChoice: { until: share }, mcp: false, ownTools: [Bash], ask: true, idleSecs: 30 }
  think: { toolChoice: none, completion: firstStep }
  vote: { tools: [share], completion: { toolCall: share }, mostSteps: 9 }
  few: { tools: [share], completion: { steps: 3 } }
  old: { tools: [share] }
";
    let format = Format::from_yaml(text).unwrap();
    let speak = &format.intents["speak"];
    assert_eq!(speak.tool_choice, ToolChoice::Until("share".into()));
    assert_eq!((speak.mcp, speak.ask, speak.idle_secs), (false, true, Some(30)));
    assert_eq!(speak.own_tools, ["Bash"]);
    let old = &format.intents["old"];
    assert_eq!((&old.tool_choice, old.mcp, old.ask, old.idle_secs), (&ToolChoice::Auto, true, false, None));
    let completion = |name: &str| (format.intents[name].completion.clone(), format.intents[name].most_steps);
    assert_eq!(completion("think"), (Completion::FirstStep, None));
    assert_eq!(completion("vote"), (Completion::ToolCall("share".into()), Some(9)));
    assert_eq!(completion("few"), (Completion::Steps(3), None));
    assert_eq!(completion("old"), (Completion::NoToolCall, None));
    let stored = serde_json::to_string(&format).unwrap();
    assert_eq!(serde_json::from_str::<Format>(&stored).unwrap(), format);
}

#[test]
fn a_tool_choice_that_cannot_be_is_refused_by_field() {
    let refused = |intent: &str| {
        let text =
            format!("name: mine\nroles: {{ lead: {{ intent: speak }} }}\nintents: {{ speak: {intent} }}\n");
        Format::from_yaml(&text).unwrap_err().to_string()
    };
    assert_eq!(
        refused("{ tools: [share], toolChoice: { until: vote } }"),
        "format `mine`: intents.speak.toolChoice.until names tool `vote`, which is not defined; defined: share"
    );
    assert_eq!(
        refused("{ toolChoice: once }"),
        "format `mine`: intents.speak.toolChoice is `once`, and the intent offers no tools"
    );
    assert_eq!(refused("{ idleSecs: 0 }"), "format `mine`: intents.speak.idleSecs is 0, expected 1 to 86400");
    assert_eq!(
        refused("{ tools: [share], completion: { toolCall: vote } }"),
        "format `mine`: intents.speak.completion.toolCall names tool `vote`, which is not defined; defined: share"
    );
    let out = |place: &str| format!("format `mine`: intents.speak.{place} is 0, expected 1 to 1000");
    assert_eq!(refused("{ completion: { steps: 0 } }"), out("completion.steps"));
    assert_eq!(refused("{ mostSteps: 0 }"), out("mostSteps"));
    assert_eq!(
        refused("{ ownTools: ['  '] }"),
        "format `mine`: intents.speak.ownTools holds what is no name of a tool"
    );
}
