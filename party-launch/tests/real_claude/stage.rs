//! A folder, a fake model, and a party's builder that leads to both.

use crate::{host, way::Way};
use party_launch::{
    Persona, Roster, Seat,
    bus::{Bus, BusExt, Classes, SqliteBus, Window},
    core::{Event, Offset, Record, SessionId, Usd},
    formats::Format,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use test_support::{ClaudeVersion, FakeModel, Gate, ModelTurn, Scenario};

pub(crate) const PERSONAS: [&str; 4] = ["Mary", "John", "Winston", "James"];
pub(crate) const QUESTION: &str =
    "Should we adopt \"JSONL\" as our log format? <größer → 1 KiB>\n\n  - yes\n";

pub(crate) struct Stage {
    pub(crate) way: Way,
    root: tempfile::TempDir,
    pub(crate) fake: FakeModel,
}

impl Stage {
    pub(crate) async fn new(scenario: Scenario) -> Self {
        Self::on(Way::per_turn(ClaudeVersion::Current), scenario).await
    }

    pub(crate) async fn on(way: Way, scenario: Scenario) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(host::home(root.path())).unwrap();
        // A request without tools is one of the CLI's own to the fake, and one of a seat here.
        Self { way, root, fake: FakeModel::start(scenario.count_side()).await }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn set(&self, scenario: Scenario) {
        self.fake.set(scenario.count_side());
    }

    pub(crate) async fn bus(&self) -> Arc<SqliteBus> {
        Arc::new(host::bus(self.root()).await)
    }

    pub(crate) fn builder(&self, bus: Arc<dyn Bus>) -> party_launch::PartyBuilder {
        host::builder(self.way, self.root(), self.fake.base_url(), bus)
    }

    /// What so many answers of the fake cost by the CLI's own count, with `more` thousand tokens: its
    /// default models differ.
    pub(crate) fn cost(&self, answers: u64, more: u64) -> Usd {
        let (answer, thousand) = match self.way.version {
            ClaudeVersion::Older => (2_113, 25_000),
            _ => (1_490, 20_000),
        };
        Usd::from_micros(answer * answers + thousand * more)
    }

    /// The processes of this place's home: the CLI's, and whatever those started.
    pub(crate) fn living(&self) -> BTreeSet<i32> {
        let home = format!("HOME={}", host::home(self.root()).display());
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_here = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
        };
        pids.filter(is_here).collect()
    }

    /// The requests of one seat, by the name in its system prompt.
    pub(crate) fn asked(&self, name: &str) -> Vec<Value> {
        let mut requests = self.fake.model_requests();
        requests.retain(|request| system(request).contains(&called(name)));
        requests
    }

    /// What the CLI keeps of all its sessions.
    pub(crate) fn transcripts(&self) -> String {
        let files =
            |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|file| file.path());
        let projects = files(host::home(self.root()).join(".claude/projects"));
        projects.flat_map(files).filter_map(|file| fs::read_to_string(file).ok()).collect()
    }

    pub(crate) fn lose_transcripts(&self) {
        fs::remove_dir_all(host::home(self.root()).join(".claude/projects")).unwrap();
    }
}

impl Drop for Stage {
    /// A test that fails leaves nothing behind either.
    fn drop(&mut self) {
        for pid in self.living().into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// By this a seat's requests are known.
pub(crate) fn called(name: &str) -> String {
    format!("Your name is {name}.")
}

pub(crate) fn opinion(name: &str, round: u32) -> String {
    format!("{name} thinks so in round {round}.")
}

pub(crate) fn tagged(name: &str, round: u32) -> String {
    format!("<from agent=\"{name}\">\n{}", opinion(name, round))
}

/// What a council's fake model says: each persona its opinion of each round, Maat the synthesis.
pub(crate) fn opinions(rounds: RangeInclusive<u32>) -> Scenario {
    let mut scenario = Scenario::new().turn(ModelTurn::text("Settled.").when(called("Maat")));
    for round in rounds {
        for name in PERSONAS {
            scenario = scenario.turn(ModelTurn::text(opinion(name, round)).when(called(name)));
        }
    }
    scenario.default_turn(ModelTurn::error(400, "invalid_request_error", "nobody is to be asked this"))
}

/// The same, but in the last round the models of Winston and James answer only when the gate lets them.
pub(crate) fn with_slow_pair(rounds: u32, gate: &Gate) -> Scenario {
    let mut scenario = opinions(1..=rounds);
    for name in ["Winston", "James"] {
        let turn = scenario.turns.iter_mut().rfind(|turn| turn.when.as_slice().contains(&called(name)));
        turn.unwrap().gate = Some(gate.clone());
    }
    scenario
}

pub(crate) fn council(rounds: u32) -> (Format, Vec<Seat>) {
    let roster = Roster::new(Persona::shipped()).unwrap();
    let mut seats: Vec<Seat> = roster
        .personas
        .iter()
        .map(|persona| Seat::new(&persona.name, "persona").prompt(persona.prompt()))
        .collect();
    seats.push(Seat::new(&roster.judge.name, "judge").prompt(roster.judge.prompt()));
    (Format::council().with_rounds(rounds).unwrap(), seats)
}

/// What the feed of a whole council says.
pub(crate) fn whole_feed(rounds: u32) -> Vec<String> {
    let mut feed = vec![format!("you: {QUESTION}")];
    for round in 1..=rounds {
        feed.extend(PERSONAS.map(|name| format!("{name}: {}", opinion(name, round))));
    }
    feed.push("Maat: Settled.".into());
    feed
}

pub(crate) async fn records(bus: &dyn Bus, session: SessionId) -> Vec<Arc<Record>> {
    bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap()
}

pub(crate) async fn events(bus: &dyn Bus, session: SessionId) -> Vec<Event> {
    records(bus, session).await.iter().map(|record| record.event().unwrap()).collect()
}

pub(crate) async fn turns_ended(bus: &dyn Bus, session: SessionId) -> usize {
    events(bus, session).await.iter().filter(|event| matches!(event, Event::TurnEnded(_))).count()
}

/// What stands in the feed: the author and the text of each entry.
pub(crate) async fn feed(bus: &dyn Bus, session: SessionId) -> Vec<String> {
    let events = events(bus, session).await;
    let Some(Event::SessionOpened(opened)) = events.first() else { panic!("{events:?}") };
    let page = bus.window(Window::last(session, opened.feed, 1000)).await.unwrap();
    page.entries.iter().map(|entry| format!("{}: {}", entry.item.author, entry.item.text())).collect()
}

/// The names of the CLI's sessions that the log knows, by seat.
pub(crate) async fn cli_sessions(bus: &dyn Bus, session: SessionId) -> BTreeMap<u16, BTreeSet<String>> {
    let mut found = BTreeMap::<u16, BTreeSet<String>>::new();
    for event in events(bus, session).await {
        if let Event::RuntimeBound(bound) = event {
            found.entry(bound.seat.0).or_default().insert(bound.token["id"].as_str().unwrap().to_owned());
        }
    }
    found
}

/// The system prompt of a request.
pub(crate) fn system(request: &Value) -> String {
    texts(&request["body"]["system"])
}

/// What each message of a request says: role and text. The CLI's own, of role `system`, are left out:
/// they tell of its folder, the date and the budget.
pub(crate) fn said(request: &Value) -> Vec<(String, String)> {
    let messages = request["body"]["messages"].as_array().unwrap().iter().filter(|m| m["role"] != "system");
    messages.map(|m| (m["role"].as_str().unwrap().to_owned(), texts(&m["content"]))).collect()
}

/// The text of content; answers to tools included.
pub(crate) fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let text = |block: &Value| match block["type"].as_str() {
                Some("tool_result") => format!("[{}]", texts(&block["content"])),
                Some("tool_use") => format!("{}({})", block["name"].as_str().unwrap(), block["input"]),
                _ => block["text"].as_str().unwrap_or_default().to_owned(),
            };
            blocks.iter().map(text).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

pub(crate) fn tools(request: &Value) -> Vec<String> {
    let tools = request["body"]["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// Polls until it holds; for what nobody announces.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < end, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
