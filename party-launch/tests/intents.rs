//! What an intent says reaches the runtime and holds: tools, tool choice, questions, idle time.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::puppet::{Puppet, Stage, end, said};
use party_launch::{
    ErrorKind, Party, PartyBuilder, Seat,
    bus::{Bus, BusExt, Classes, Fault, FaultyBus, MemoryBus, SessionQuery},
    core::{Event, Failure, Offset, Outcome, Permission, TurnEnded, TurnId},
    formats::{Format, ToolChoice},
    harness::{
        Answer, Capabilities, Permissions, ToolChoice as RuntimeChoice, ToolDoor, ToolScope, TurnEnd,
        TurnEvent,
        scripted::{Script, Scripted, Step},
    },
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc, time::sleep};

/// A room of one, under an intent with these fields.
fn room(intent: &str) -> Format {
    let text =
        format!("name: room\nroles: {{ lead: {{ intent: speak }} }}\nintents: {{ speak: {intent} }}\n");
    Format::from_yaml(&text).unwrap()
}

fn builder(bus: &Arc<dyn Bus>, puppet: &Arc<Puppet>) -> PartyBuilder {
    let folder = std::env::temp_dir().join("party-tests");
    Party::builder(Arc::clone(bus)).harness(Arc::clone(puppet)).folder(folder)
}

async fn start(intent: &str, puppet: &Arc<Puppet>) -> Party {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    builder(&bus, puppet).format(room(intent)).seat(Seat::new("Ada", "lead")).start("Hi").await.unwrap()
}

/// The ends of the session's turns, up to the head.
async fn ends(bus: &dyn Bus, party: &Party) -> Vec<TurnEnded> {
    let records = bus.read_to_end(party.session(), Offset::START, Classes::FOLDED).await.unwrap();
    let ends = records.iter().filter_map(|record| match record.event().unwrap() {
        Event::TurnEnded(event) => Some(event),
        _ => None,
    });
    ends.collect()
}

/// Waits for the first record of a kind.
async fn record(party: &Party, kind: &str) -> Event {
    let mut records = party.records();
    loop {
        let record = records.next().await.unwrap();
        if record.kind == kind {
            return record.event().unwrap();
        }
    }
}

#[tokio::test]
async fn a_required_call_that_does_not_come_is_asked_for_again_in_words() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let puppet = Puppet::new(move |stage: Stage| {
        let notes = Arc::clone(&notes);
        async move {
            let TurnRequestSeen { told, .. } = &note(&notes, &stage);
            if told.contains("without calling `share`") {
                assert!(!stage.call("c1", "share", serde_json::json!({ "text": "Here" })).await.is_error);
            }
            said("(draft)")
        }
    });
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let intent =
        "{ instruction: Speak., tools: [share], toolChoice: { until: share }, ownTools: [Bash], ask: true }";
    let seated = builder(&bus, &puppet).format(room(intent)).seat(Seat::new("Ada", "lead"));
    let party = seated.start("Hi").await.unwrap();
    party.at_rest().await.unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        assert_eq!(
            (request.tools.as_slice(), request.choice),
            (&["share".to_owned()][..], RuntimeChoice::Always)
        );
        assert_eq!((request.own_tools.as_slice(), request.ask), (&["Bash".to_owned()][..], true));
    }
    assert_eq!(seen[0].told, "Speak.");
    assert!(seen[1].told.starts_with("Speak.\n\nYou ended your turn without calling `share`."));
    let failures: Vec<_> = ends(bus.as_ref(), &party).await.iter().map(|end| end.failure).collect();
    assert_eq!(failures, [Some(Failure::NoToolCall), None]);
}

#[tokio::test]
async fn a020_a021_a022_a023_the_tool_choice_reaches_the_runtime() {
    let (share, nothing) = (vec!["share".to_owned()], Vec::new());
    let cases = [
        ("{ tools: [share] }", RuntimeChoice::Auto, &share),
        ("{ tools: [share], toolChoice: once }", RuntimeChoice::Once, &share),
        ("{ tools: [share], toolChoice: { until: share } }", RuntimeChoice::Always, &share),
        ("{ tools: [share], toolChoice: none }", RuntimeChoice::Auto, &nothing),
    ];
    for (intent, choice, tools) in cases {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let puppet = Puppet::new(move |stage: Stage| {
            note(&notes, &stage);
            std::future::ready(end(Outcome::Failed, None))
        });
        let party = start(intent, &puppet).await;
        party.at_rest().await.unwrap();
        let seen = seen.lock().unwrap().clone();
        assert_eq!((seen.len(), seen[0].choice, &seen[0].tools), (1, choice, tools), "{intent}");
        party.shutdown().await.unwrap();
    }
}

#[derive(Debug, Clone)]
struct TurnRequestSeen {
    tools: Vec<String>,
    choice: RuntimeChoice,
    own_tools: Vec<String>,
    ask: bool,
    told: String,
}

fn note(notes: &Mutex<Vec<TurnRequestSeen>>, stage: &Stage) -> TurnRequestSeen {
    let seen = TurnRequestSeen {
        tools: stage.request.tools.iter().map(|tool| tool.name.clone()).collect(),
        choice: stage.request.tool_choice,
        own_tools: stage.request.own_tools.clone(),
        ask: stage.request.ask,
        told: stage.told(),
    };
    notes.lock().unwrap().push(seen.clone());
    seen
}

#[tokio::test]
async fn killed_at_every_append_a_seat_that_missed_its_call_is_called_again_as_often() {
    let script = || {
        let shares = Step { share: Some("Ada opens".into()), ..Step::say(5, "draft") };
        Script::default().agent("Ada", [Step::say(5, "I forgot"), Step::say(5, "Again"), shares])
    };
    let party = |bus: Arc<dyn Bus>| {
        let mut format = Format::forum();
        format.intents.get_mut("speak").unwrap().tool_choice = ToolChoice::Once;
        common::builder(bus, script()).format(format).seat(Seat::new("Ada", "lead"))
    };
    let inner = Arc::new(MemoryBus::new());
    let counted = Arc::new(FaultyBus::new(inner.clone(), Fault::none()));
    let undisturbed = party(counted.clone()).start("Hi").await.unwrap();
    undisturbed.at_rest().await.unwrap();
    let session = undisturbed.session();
    undisturbed.shutdown().await.unwrap();
    let expected = common::in_words(session, &common::folded(inner.as_ref(), session).await);
    assert_eq!(expected.iter().filter(|line| line.starts_with("turnStarted")).count(), 3);
    for append in 2..=counted.appends() {
        for fault in [Fault::crash_before(append), Fault::crash_after(append)] {
            let inner: Arc<dyn Bus> = Arc::new(MemoryBus::new());
            let crashed = party(Arc::new(FaultyBus::new(Arc::clone(&inner), fault))).start("Hi").await;
            if let Ok(party) = crashed {
                let _ = party.at_rest().await;
                let _ = party.shutdown().await;
            }
            let session = inner.sessions(SessionQuery::newest()).await.unwrap().entries[0].session;
            common::release(inner.as_ref(), session, 1).await;
            let party = common::builder(Arc::clone(&inner), script()).resume(session).await.unwrap();
            party.at_rest().await.unwrap();
            party.shutdown().await.unwrap();
            let log = common::in_words(session, &common::folded(inner.as_ref(), session).await);
            assert_eq!(turns_in(&log), turns_in(&expected), "{fault:?}");
        }
    }
}

/// The log without tool calls: one that a lost attempt made is made once more, and answered as before.
fn turns_in(log: &[String]) -> Vec<&String> {
    log.iter().filter(|line| !line.starts_with("tool")).collect()
}

/// Asks until it is answered, and says what it was told.
fn asks(puppet_heard: mpsc::UnboundedSender<(String, Answer)>) -> Arc<Puppet> {
    Puppet::new(move |mut stage: Stage| {
        let heard = puppet_heard.clone();
        async move {
            stage.ask("q1");
            let (request, answer) = stage.answered().await;
            heard.send((request, answer)).unwrap();
            said("done")
        }
    })
}

async fn question(party: &Party) -> (TurnId, String) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let state = party.state().await.unwrap();
        let found = state.questions().next().map(|(turn, question)| (turn, question.request.clone()));
        match found {
            Some(found) => return found,
            None => assert!(tokio::time::Instant::now() < deadline, "nobody asks"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

const ASKING: &str = "{ ownTools: [Bash], ask: true, idleSecs: 30 }";

#[tokio::test]
async fn a_person_s_answer_reaches_the_runtime_that_asked() {
    let (heard, mut told) = mpsc::unbounded_channel();
    let party = start(ASKING, &asks(heard)).await;
    let (turn, request) = question(&party).await;
    party.answer(turn, "q7", Permission::Allow).await.unwrap();
    let Event::Refused(refused) = record(&party, "refused").await else { panic!("not refused") };
    assert_eq!(refused.why, "the turn has no such open question");
    party.answer(turn, request, Permission::Deny { why: "not here".into() }).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), ("q1".to_owned(), Answer::Deny { why: "not here".into() }));
    party.at_rest().await.unwrap();
    assert_eq!(party.state().await.unwrap().questions().count(), 0);
    party.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_question_of_a_lost_attempt_is_closed_and_asked_again() {
    let (heard, mut told) = mpsc::unbounded_channel();
    let puppet = asks(heard);
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let first = builder(&bus, &puppet).format(room(ASKING)).seat(Seat::new("Ada", "lead")).start("Hi").await;
    let first = first.unwrap();
    let (turn, _) = question(&first).await;
    let session = first.session();
    first.shutdown().await.unwrap();
    puppet.forget();
    let second = builder(&bus, &puppet).resume(session).await.unwrap();
    assert_eq!(question(&second).await, (turn, "q1".to_owned()));
    second.answer(turn, "q1", Permission::Allow).await.unwrap();
    assert_eq!(told.recv().await.unwrap().1, Answer::Allow);
    second.at_rest().await.unwrap();
    let ends = ends(bus.as_ref(), &second).await;
    assert_eq!((ends.len(), ends[0].attempt), (1, 2));
    second.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_handed_over_is_told_the_answer_that_its_question_got() {
    let (heard, mut told) = mpsc::unbounded_channel();
    let puppet = asks(heard);
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let first = builder(&bus, &puppet).format(room(ASKING)).seat(Seat::new("Ada", "lead")).start("Hi").await;
    let first = first.unwrap();
    let (turn, _) = question(&first).await;
    let session = first.session();
    first.shutdown().await.unwrap();
    let second = builder(&bus, &puppet).resume(session).await.unwrap();
    sleep(secs(60)).await;
    second.answer(turn, "q1", Permission::Allow).await.unwrap();
    assert_eq!(told.recv().await.unwrap().1, Answer::Allow);
    second.at_rest().await.unwrap();
    let ends = ends(bus.as_ref(), &second).await;
    assert_eq!((ends.len(), ends[0].attempt, ends[0].outcome), (1, 1, Outcome::Completed));
    second.shutdown().await.unwrap();
}

/// Plays `script` under an intent that allows 30 s of silence and ten minutes in all.
async fn timed<F>(script: impl Fn(Stage) -> F + Send + Sync + 'static) -> TurnEnded
where
    F: Future<Output = TurnEnd> + Send + 'static,
{
    timed_on(Arc::new(MemoryBus::new()), script).await
}

async fn timed_on<F>(bus: Arc<dyn Bus>, script: impl Fn(Stage) -> F + Send + Sync + 'static) -> TurnEnded
where
    F: Future<Output = TurnEnd> + Send + 'static,
{
    let intent =
        "{ tools: [share], ownTools: [Bash], ask: true, idleSecs: 30, timeoutSecs: 600, graceSecs: 5 }";
    let seated = builder(&bus, &Puppet::new(script)).format(room(intent)).seat(Seat::new("Ada", "lead"));
    let party = seated.start("Hi").await.unwrap();
    party.at_rest().await.unwrap();
    let end = ends(bus.as_ref(), &party).await.remove(0);
    party.shutdown().await.unwrap();
    end
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test(start_paused = true)]
async fn a_turn_without_a_sign_of_life_is_interrupted() {
    let obeys = timed(|stage| async move {
        stage.interrupted.cancelled().await;
        end(Outcome::Cancelled, None)
    });
    let ignores = timed(|_| std::future::pending());
    for ended in [obeys.await, ignores.await] {
        assert_eq!((ended.outcome, ended.failure), (Outcome::TimedOut, Some(Failure::Idle)));
        assert_eq!(ended.reason.as_deref(), Some("it showed no sign of life for 30 s"));
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_provider_is_life_and_the_timeout_holds_all_the_same() {
    let ended = timed(|stage| async move {
        for _ in 0..10 {
            sleep(secs(25)).await;
            stage.tell(TurnEvent::Waiting { reason: "api_retry".into() });
        }
        said("in the end")
    });
    assert_eq!(ended.await.outcome, Outcome::Completed);
    let ended = timed(|stage| async move {
        loop {
            sleep(secs(25)).await;
            stage.tell(TurnEvent::Waiting { reason: "api_retry".into() });
        }
    });
    let ended = ended.await;
    assert_eq!(ended.reason.as_deref(), Some("it took longer than 600 s"));
    assert_eq!((ended.outcome, ended.failure), (Outcome::TimedOut, None));
}

#[tokio::test(start_paused = true)]
async fn the_idle_clock_stands_still_while_a_tool_or_a_question_is_open() {
    let tool = |id: &str| TurnEvent::ToolUse {
        id: id.into(),
        name: "Bash".into(),
        input: serde_json::json!({}).into(),
    };
    let ended = timed(move |stage| async move {
        stage.tell(tool("t1"));
        sleep(secs(120)).await;
        stage.tell(TurnEvent::ToolResult { id: "t1".into(), text: "ok".into(), is_error: false });
        sleep(secs(25)).await;
        stage.ask("q1");
        sleep(secs(120)).await;
        said("in the end")
    });
    assert_eq!(ended.await.outcome, Outcome::Completed);
    let ended = timed(move |stage| async move {
        stage.tell(tool("t1"));
        sleep(secs(120)).await;
        stage.tell(TurnEvent::ToolResult { id: "t1".into(), text: "ok".into(), is_error: false });
        stage.interrupted.cancelled().await;
        end(Outcome::Cancelled, None)
    });
    assert_eq!(ended.await.failure, Some(Failure::Idle), "it goes on once the tool has answered");
}

#[tokio::test(start_paused = true)]
async fn the_idle_clock_stands_still_while_the_host_answers_a_call() {
    // The store is full for more than a minute when the call is to be written.
    let bus = Arc::new(FaultyBus::new(Arc::new(MemoryBus::new()), Fault::full(2, 24)));
    let ended = timed_on(bus.clone(), |stage| async move {
        let begun = tokio::time::Instant::now();
        let reply = stage.call("c1", "share", serde_json::json!({ "text": "Here" })).await;
        assert!(!reply.is_error && begun.elapsed() > secs(60));
        said("in the end")
    });
    assert_eq!(ended.await.outcome, Outcome::Completed);
    assert!(bus.appends() > 24);
}

#[tokio::test]
async fn what_a_runtime_cannot_hold_is_refused_before_the_start() {
    let text_only = Capabilities::TEXT_ONLY;
    let own = Capabilities { own_tools: true, ..text_only };
    let cases = [
        ("{ tools: [share] }", text_only, "it takes no tools of the host, and `tools` lists some"),
        ("{ ownTools: [Bash] }", text_only, "it has no tools of its own, and `ownTools` lists some"),
        ("{ ownTools: [Bash], ask: true }", own, "it never asks before it uses a tool, and `ask` is set"),
        (
            "{ completion: firstStep }",
            text_only,
            "it does not count steps, and `completion` or `mostSteps` is set",
        ),
        ("{ mostSteps: 3 }", text_only, "it does not count steps, and `completion` or `mostSteps` is set"),
    ];
    for (intent, can, why) in cases {
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
        let puppet = Puppet::with(can, |_| async { said("so") });
        let seated = builder(&bus, &puppet).format(room(intent)).seat(Seat::new("Ada", "lead"));
        let error = seated.start("Hi").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let expected = format!("seat `Ada` cannot run under intent `speak` on harness `puppet`: {why}");
        assert_eq!(error.to_string(), expected);
        assert!(bus.sessions(SessionQuery::newest()).await.unwrap().entries.is_empty(), "nothing is written");
    }
    let able = Capabilities { tools: ToolDoor::InProcess, permissions: Permissions::Lost, ..own };
    for intent in ["{ tools: [share], ownTools: [Bash], ask: true }", "{ tools: [share], toolChoice: none }"]
    {
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
        let can = if intent.contains("none") { text_only } else { able };
        let puppet = Puppet::with(can, |_| async { said("so") });
        let seated = builder(&bus, &puppet).format(room(intent)).seat(Seat::new("Ada", "lead"));
        seated.start("Hi").await.unwrap().at_rest().await.unwrap();
    }
}

#[tokio::test]
async fn a_runtime_that_knows_no_costs_is_refused_where_there_is_a_budget() {
    let seated = |has_budget: bool| {
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
        let puppet = Puppet::with(Capabilities::TEXT_ONLY, |_| async { said("so") });
        let seated = builder(&bus, &puppet).format(room("{}")).seat(Seat::new("Ada", "lead"));
        if has_budget { seated.budget("1.50".parse().unwrap(), None) } else { seated }
    };
    let error = seated(true).start("Hi").await.unwrap_err();
    let expected = "nobody knows what seat `Ada` costs: harness `puppet` does not know its costs, and there is a \
                    budget; run it on another, or allow it by `allow_unknown_prices`";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Price, expected));
    for allowed in [seated(true).allow_unknown_prices(), seated(false)] {
        allowed.start("Hi").await.unwrap().at_rest().await.unwrap();
    }
}

#[tokio::test]
async fn tools_that_a_runtime_cannot_change_are_the_same_in_all_intents_of_a_seat() {
    let can = Capabilities {
        tools: ToolDoor::InProcess,
        tool_scope: ToolScope::Session,
        ..Capabilities::TEXT_ONLY
    };
    let seated = |format: Format| {
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
        let puppet = Puppet::with(can, |_| async { said("so") });
        builder(&bus, &puppet).format(format).seat(Seat::new("Ada", "participant")).start("Hi")
    };
    seated(Format::forum()).await.unwrap().at_rest().await.unwrap();
    let mut changing = Format::forum();
    changing.intents.get_mut("react").unwrap().tools.clear();
    let error = seated(changing).await.unwrap_err();
    let expected = "seat `Ada` has intents with different `tools`, which harness `puppet` cannot change within a session";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unsupported, expected));
}

#[tokio::test]
async fn two_harnesses_of_one_kind_go_by_names_of_their_own() {
    let scripted = |text: &str| {
        Scripted::new(Script::default().agent("Ada", [Step::say(1, text)]).agent("Bob", [Step::say(1, text)]))
    };
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
    let folder = std::env::temp_dir().join("party-tests");
    let builder = || Party::builder(Arc::clone(&bus)).folder(&folder).format(room("{}"));
    let party = builder()
        .harness_as("left", scripted("from the left"))
        .harness_as("right", scripted("from the right"))
        .seat(Seat::new("Ada", "lead").harness("right"))
        .seat(Seat::new("Bob", "lead").harness("left"));
    let party = party.start("Hi").await.unwrap();
    party.at_rest().await.unwrap();
    let mut feed = party.feed();
    let mut texts = Vec::new();
    while texts.len() < 3 {
        texts.push(feed.next().await.unwrap().unwrap().text());
    }
    texts[1..].sort();
    assert_eq!(texts, ["Hi", "from the left", "from the right"]);
    let twice = || builder().harness(scripted("a")).harness(scripted("b"));
    let error = twice().seat(Seat::new("Ada", "lead")).start("Hi").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "two harnesses are named `scripted`; add one under another name");
    let resumed = Party::builder(Arc::clone(&bus)).harness(scripted("a")).harness(scripted("b"));
    assert_eq!(resumed.resume(party.session()).await.unwrap_err().kind(), ErrorKind::Invalid);
}
