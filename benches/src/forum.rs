//! A discussion without a bus or a runtime, as long as one likes.

use party_core::*;
use party_formats::{Effect, Engine, Format, RunningTurn};
use serde_json::json;

const SEATS: [(&str, &str); 4] =
    [("Ada", "lead"), ("Bob", "participant"), ("Cy", "participant"), ("Dee", "participant")];

/// A forum of four that answers one message after the other: each shares once and ends its turn,
/// then reacts, or ends without a word.
#[derive(Debug)]
pub struct Forum {
    engine: Engine,
    log: Vec<Record>,
    fresh: u64,
}

impl Forum {
    /// A session that has opened and waits for its first message.
    pub fn open() -> Self {
        let session = SessionId::derive(&[b"forum"]);
        let mut forum = Self { engine: Engine::new(session), log: Vec::new(), fresh: 0 };
        let format = Format::forum();
        let (document, item) = Document::new(serde_json::to_string(&format).expect("a format is JSON"));
        let seat = |(name, role): (&str, &str)| SeatSpec {
            name: name.to_owned(),
            role: role.to_owned(),
            thread: ThreadId::derive(&[name.as_bytes()]),
            prompt: document.clone(),
            harness: "bench".to_owned(),
            model: None,
        };
        let opened = SessionOpened {
            min_engine: 1,
            format_name: format.name.clone(),
            format: document.clone(),
            feed: ThreadId::derive(&[b"feed"]),
            seats: SEATS.into_iter().map(seat).collect(),
            budget: None,
            host_tools: Vec::new(),
        };
        forum.commit(vec![NewRecord::new(Timestamp::default(), &opened.into()).with_item(item)]);
        forum
    }

    /// Goes on until the log has at least `records`, and comes to rest there.
    pub fn talk_until(&mut self, records: usize) {
        while self.log.len() < records {
            self.post();
            while let Some(turn) = self.next_turn() {
                if turn.intent == "speak" {
                    self.share(&turn);
                }
                let step = self.turn_end(&turn);
                self.commit(step);
            }
        }
    }

    /// The state now.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Its log so far.
    pub fn log(&self) -> &[Record] {
        &self.log
    }

    /// Somebody says something; the turns that it calls for run.
    pub fn post(&mut self) {
        let item = self.item(Author::human("you"), "What would you do about it, and what would it cost?");
        let event = MessagePosted { item: item.id };
        self.commit(vec![NewRecord::new(Timestamp::default(), &event.into()).with_item(item)]);
    }

    /// The report with which the first running turn would end.
    pub fn next_report(&mut self) -> Vec<NewRecord> {
        let turn = self.next_turn().expect("a turn runs");
        self.turn_end(&turn)
    }

    fn next_turn(&self) -> Option<RunningTurn> {
        self.engine.pending_effects().into_iter().find_map(|effect| match effect {
            Effect::Run { turn, .. } => self.engine.turn(turn).cloned(),
            Effect::RunTool { .. } | Effect::Interrupt { .. } | Effect::Answer { .. } => None,
        })
    }

    fn share(&mut self, turn: &RunningTurn) {
        let call = ToolCalled {
            turn: turn.turn,
            attempt: turn.attempt,
            call: "call-1".to_owned(),
            tool: "share".to_owned(),
            arguments: json!({ "text": "I would wait for a week, and measure before that. ".repeat(6) }),
        };
        self.commit(vec![NewRecord::new(Timestamp::default(), &call.into()).in_turn(turn.turn)]);
    }

    fn turn_end(&mut self, turn: &RunningTurn) -> Vec<NewRecord> {
        let (name, thread) =
            self.engine.seat(turn.seat).map(|seat| (seat.name.clone(), seat.thread)).expect("a seat of ours");
        let item = self.item(Author::agent(name), "Nothing to add.");
        let event = TurnEnded {
            turn: turn.turn,
            attempt: turn.attempt,
            outcome: Outcome::Completed,
            item: Some(item.id),
            usage: Usage::default(),
            cost: Cost::Reported(Usd::from_micros(10_000)),
            reason: None,
            failure: None,
            sent: Sent::Full,
        };
        let said = Op::Add { threads: vec![thread], item: item.id, how: How::Said };
        let record = NewRecord::new(Timestamp::default(), &event.into()).in_turn(turn.turn);
        vec![record.with_op(said).with_item(item)]
    }

    fn item(&mut self, author: Author, text: &str) -> Item {
        self.fresh += 1;
        Item::message(ItemId::derive(&[&self.fresh.to_be_bytes()]), author, Timestamp::default(), text)
    }

    fn commit(&mut self, records: Vec<NewRecord>) {
        let settled = self.engine.settle(records, Timestamp::default());
        for record in settled.records {
            let offset = Offset(self.log.len() as u64 + 1);
            self.log.push(record.placed(self.engine.session(), offset, None));
        }
        self.engine = settled.engine;
    }
}
