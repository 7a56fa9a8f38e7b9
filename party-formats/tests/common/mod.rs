//! A session without a bus or a runtime: the test says what turns report.
#![allow(dead_code, clippy::unwrap_used, reason = "test code; each test binary uses a part of it")]

use party_core::*;
use party_formats::{Effect, Engine, Format, Member, RunningTurn, check_budget, check_with};

pub(crate) struct Sim {
    pub(crate) engine: Engine,
    pub(crate) log: Vec<Record>,
    fresh: u64,
}

impl Sim {
    /// A session with `NAME:role` seats, settled after its genesis.
    pub(crate) fn open(format: &Format, seats: &[&str], budget: Option<BudgetTerms>) -> Self {
        Self::open_with(format, seats, budget, &[])
    }

    /// The same with tools of the host, of which some are idempotent.
    pub(crate) fn open_with(
        format: &Format,
        seats: &[&str],
        budget: Option<BudgetTerms>,
        tools: &[(&str, bool)],
    ) -> Self {
        let session = SessionId::derive(&[b"sim"]);
        let mut sim = Self { engine: Engine::new(session), log: Vec::new(), fresh: 0 };
        let team: Vec<_> = seats.iter().map(|seat| seat.split_once(':').unwrap()).collect();
        let members: Vec<_> = team.iter().map(|(name, role)| Member::new(*name, *role)).collect();
        let names: Vec<_> = tools.iter().map(|(name, _)| *name).collect();
        check_with(format, &members, &names).unwrap();
        let terms = |(name, idempotent): &(&str, bool)| HostToolTerms {
            name: (*name).to_owned(),
            idempotent: *idempotent,
        };
        let per_turn = |terms| check_budget(format, &members, terms).unwrap();
        let budget = budget.map(|terms| BudgetTerms { per_turn: Some(per_turn(terms)), ..terms });
        let (document, item) = Document::new(serde_json::to_string(format).unwrap());
        let seats = team
            .iter()
            .map(|(name, role)| SeatSpec {
                name: (*name).to_owned(),
                role: (*role).to_owned(),
                thread: ThreadId::derive(&[name.as_bytes()]),
                prompt: document.clone(),
                harness: "sim".to_owned(),
                model: None,
            })
            .collect();
        let opened = SessionOpened {
            min_engine: 1,
            format_name: format.name.clone(),
            format: document,
            feed: ThreadId::derive(&[b"feed"]),
            seats,
            budget,
            host_tools: tools.iter().map(terms).collect(),
        };
        sim.commit(vec![NewRecord::new(Timestamp::default(), &opened.into()).with_item(item)]);
        sim
    }

    pub(crate) fn commit(&mut self, records: Vec<NewRecord>) {
        let settled = self.engine.settle(records, Timestamp::default());
        for record in settled.records {
            let offset = self.log.last().map_or(Offset::START, |last| last.offset).plus(1);
            self.log.push(record.placed(self.engine.session(), offset, None));
        }
        self.engine = settled.engine;
    }

    pub(crate) fn item(&mut self, author: Author, text: &str) -> Item {
        self.fresh += 1;
        Item::message(ItemId::derive(&[&self.fresh.to_be_bytes()]), author, Timestamp::default(), text)
    }

    pub(crate) fn post(&mut self, text: &str) -> ItemId {
        let item = self.item(Author::human("ann"), text);
        let id = item.id;
        let event = Event::from(MessagePosted { item: id });
        self.commit(vec![NewRecord::new(Timestamp::default(), &event).with_item(item)]);
        id
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.commit(vec![NewRecord::new(Timestamp::default(), &Commanded { command }.into())]);
    }

    pub(crate) fn running(&self) -> Vec<RunningTurn> {
        let effects = self.engine.pending_effects().into_iter();
        effects
            .filter_map(|effect| match effect {
                Effect::Run { turn, .. } => self.engine.turn(turn).cloned(),
                Effect::RunTool { .. } | Effect::Interrupt { .. } | Effect::Answer { .. } => None,
            })
            .collect()
    }

    pub(crate) fn name(&self, seat: SeatId) -> String {
        self.engine.seat(seat).unwrap().name.clone()
    }

    /// Names of seats that run, in order of their turns.
    pub(crate) fn speaking(&self) -> Vec<String> {
        self.running().iter().map(|turn| self.name(turn.seat)).collect()
    }

    pub(crate) fn turn_of(&self, name: &str) -> RunningTurn {
        self.running()
            .into_iter()
            .find(|turn| self.name(turn.seat) == name)
            .unwrap_or_else(|| panic!("{name} runs"))
    }

    pub(crate) fn end(
        &mut self,
        name: &str,
        outcome: Outcome,
        text: Option<&str>,
        cost: Cost,
    ) -> Option<ItemId> {
        let turn = self.turn_of(name);
        let item = text.map(|text| self.item(Author::agent(name), text));
        let event = TurnEnded {
            turn: turn.turn,
            attempt: turn.attempt,
            outcome,
            item: item.as_ref().map(|item| item.id),
            usage: Usage::default(),
            cost,
            reason: None,
            failure: None,
            sent: Sent::Full,
        };
        let mut record = NewRecord::new(Timestamp::default(), &event.into()).in_turn(turn.turn);
        let id = item.as_ref().map(|item| item.id);
        if let Some(item) = item {
            let threads = vec![self.engine.seat(turn.seat).unwrap().thread];
            record = record.with_op(Op::Add { threads, item: item.id, how: How::Said }).with_item(item);
        }
        self.commit(vec![record]);
        id
    }

    /// The seat finishes with a text that cost a cent.
    pub(crate) fn say(&mut self, name: &str, text: &str) -> ItemId {
        self.end(name, Outcome::Completed, Some(text), Cost::Reported(Usd::from_micros(10_000))).unwrap()
    }

    pub(crate) fn fail(&mut self, name: &str) {
        self.end(name, Outcome::Failed, None, Cost::Reported(Usd::ZERO));
    }

    /// The seat's runtime asks whether it may use `Bash`.
    pub(crate) fn ask_leave(&mut self, name: &str, request: &str) -> TurnId {
        let turn = self.turn_of(name);
        let event = PermissionAsked {
            turn: turn.turn,
            attempt: turn.attempt,
            request: request.to_owned(),
            tool: "Bash".to_owned(),
            input: serde_json::json!({ "command": "ls" }),
        };
        self.commit(vec![NewRecord::new(Timestamp::default(), &event.into())]);
        turn.turn
    }

    pub(crate) fn withdraw(&mut self, name: &str, request: &str) {
        let turn = self.turn_of(name);
        let event =
            PermissionWithdrawn { turn: turn.turn, attempt: turn.attempt, request: request.to_owned() };
        self.commit(vec![NewRecord::new(Timestamp::default(), &event.into())]);
    }

    pub(crate) fn answer(&mut self, turn: TurnId, request: &str, answer: Permission) {
        self.command(Command::Answer { turn, request: request.to_owned(), answer });
    }

    /// The attempt is lost; the turn goes on with another.
    pub(crate) fn lose(&mut self, name: &str) {
        let turn = self.turn_of(name);
        let lost = AttemptEnded {
            turn: turn.turn,
            attempt: turn.attempt,
            outcome: Outcome::Lost,
            cost: Cost::Reported(Usd::ZERO),
            reason: None,
        };
        self.commit(vec![NewRecord::new(Timestamp::default(), &lost.into())]);
    }

    /// Why the last input that was refused was.
    pub(crate) fn refused(&self) -> String {
        let refused = self.log.iter().rev().find_map(|record| match record.event().unwrap() {
            Event::Refused(refused) => Some(refused.why),
            _ => None,
        });
        refused.unwrap_or_else(|| panic!("nothing was refused"))
    }

    pub(crate) fn call(
        &mut self,
        name: &str,
        call: &str,
        tool: &str,
        arguments: serde_json::Value,
    ) -> (String, bool) {
        self.ask(name, call, tool, arguments).unwrap()
    }

    /// A call that a tool of the host may have to run for.
    pub(crate) fn ask(
        &mut self,
        name: &str,
        call: &str,
        tool: &str,
        arguments: serde_json::Value,
    ) -> Option<(String, bool)> {
        let turn = self.turn_of(name);
        let event = ToolCalled {
            turn: turn.turn,
            attempt: turn.attempt,
            call: call.to_owned(),
            tool: tool.to_owned(),
            arguments,
        };
        self.commit(vec![NewRecord::new(Timestamp::default(), &event.into())]);
        self.engine.turn(turn.turn).unwrap().answer(turn.attempt, call).cloned()
    }

    /// The host's tools that are to run now.
    pub(crate) fn to_run(&self) -> Vec<(TurnId, u32, String)> {
        let effects = self.engine.pending_effects().into_iter();
        effects
            .filter_map(|effect| match effect {
                Effect::RunTool { turn, attempt, call } => Some((turn, attempt, call)),
                Effect::Run { .. } | Effect::Interrupt { .. } | Effect::Answer { .. } => None,
            })
            .collect()
    }

    /// A tool of the host gives `text`.
    pub(crate) fn ran(&mut self, (turn, attempt, call): (TurnId, u32, String), text: &str) {
        let event = ToolRan { turn, attempt, call, text: text.to_owned(), is_error: false };
        self.commit(vec![NewRecord::new(Timestamp::default(), &event.into())]);
    }

    /// Another driver takes over: every attempt is lost.
    pub(crate) fn take_over(&mut self) {
        let taken = LeaseTaken { owner: "next".to_owned(), fencing_token: 2 };
        let mut records = vec![NewRecord::new(Timestamp::default(), &taken.into())];
        for turn in self.running() {
            let (outcome, cost) = (Outcome::Lost, Cost::Reported(Usd::ZERO));
            let lost = AttemptEnded { turn: turn.turn, attempt: turn.attempt, outcome, cost, reason: None };
            records.push(NewRecord::new(Timestamp::default(), &lost.into()));
        }
        self.commit(records);
    }

    /// Texts of a thread in order, as the log's ops put them there.
    pub(crate) fn thread(&self, thread: ThreadId) -> Vec<String> {
        let items: std::collections::BTreeMap<_, _> =
            self.log.iter().flat_map(|record| &record.items).map(|item| (item.id, item.text())).collect();
        let ops = self.log.iter().flat_map(|record| &record.ops);
        ops.filter_map(|op| match op {
            Op::Add { threads, item, .. } if threads.contains(&thread) => Some(items[item].clone()),
            _ => None,
        })
        .collect()
    }

    pub(crate) fn private(&self, name: &str) -> Vec<String> {
        let seat = self.engine.seats().iter().find(|seat| seat.name == name).unwrap();
        self.thread(seat.thread)
    }

    pub(crate) fn feed(&self) -> Vec<String> {
        self.thread(self.engine.feed().unwrap())
    }

    pub(crate) fn kinds(&self) -> Vec<&str> {
        self.log.iter().map(|record| record.kind.as_str()).collect()
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.log.iter().filter(|record| record.kind == kind).count()
    }

    /// A copy of the log up to `at`, as another session.
    pub(crate) fn fork(&self, at: u64) -> Self {
        let session = SessionId::derive(&[b"fork"]);
        let mut fork = Self { engine: Engine::new(session), log: Vec::new(), fresh: 10_000 };
        for record in self.log.iter().take(usize::try_from(at).unwrap()) {
            fork.log.push(Record { session, ..record.clone() });
        }
        fork.engine = fork.replay();
        let event = Forked { from: self.engine.session(), at: Offset(at) };
        fork.commit(vec![NewRecord::new(Timestamp::default(), &event.into())]);
        fork
    }

    pub(crate) fn replay(&self) -> Engine {
        let mut engine = Engine::new(self.engine.session());
        self.log.iter().for_each(|record| engine.apply(record));
        engine
    }
}

pub(crate) fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// `look` may be run again, `pay` may not; `hidden` is not offered.
pub(crate) const TOOLS: [(&str, bool); 3] = [("hidden", true), ("look", true), ("pay", false)];

/// A forum whose agents may call them.
pub(crate) fn desk() -> Format {
    let mut format = Format::forum();
    for intent in format.intents.values_mut() {
        intent.tools = ["share", "look", "pay"].map(str::to_owned).to_vec();
    }
    format
}
