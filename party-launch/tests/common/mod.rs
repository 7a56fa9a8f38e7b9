//! A scripted council, and a session's log in words.
#![allow(dead_code, clippy::unwrap_used, reason = "test code; each test binary uses a part of it")]

pub(crate) mod lookout;
pub(crate) mod puppet;

use party_launch::{
    Party, PartyBuilder, Seat,
    bus::{Bus, BusExt, Classes, LeaseOp},
    core::{Event, ItemId, Offset, Op, Record, SeatId, SessionId, ThreadId, TurnId},
    formats::{Engine, Format},
    harness::scripted::{Script, Scripted, Step},
};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) const PERSONAS: [&str; 4] = ["Mary", "John", "Winston", "James"];

/// Each persona has its own time and words in each round; Maat judges.
pub(crate) fn script() -> Script {
    let steps = |name: &str, ms: u64| {
        let says = [
            format!("{name} in round 1"),
            // What it was sent is in its words, so that a wrong delta shows.
            format!("{name} in round 2, having read: {{question}}"),
            format!("{name} in round 3, having read: {{question}}"),
        ];
        says.map(|text| Step { cost_usd: 0.01, ..Step::say(ms, text) })
    };
    let mut script = Script::default();
    for (name, ms) in PERSONAS.into_iter().zip([12, 6, 18, 9]) {
        script = script.agent(name, steps(name, ms));
    }
    script.agent("Maat", [Step { cost_usd: 0.02, ..Step::say(5, "Settled.") }])
}

pub(crate) fn builder(bus: Arc<dyn Bus>, script: Script) -> PartyBuilder {
    Party::builder(bus).harness(Scripted::new(script)).folder(std::env::temp_dir().join("party-tests"))
}

pub(crate) fn council(bus: Arc<dyn Bus>, script: Script, rounds: u32) -> PartyBuilder {
    let format = Format::council().with_rounds(rounds).unwrap();
    let mut builder = builder(bus, script).format(format).budget("1.50".parse().unwrap(), None);
    for name in PERSONAS {
        builder = builder.seat(Seat::new(name, "persona").prompt(format!("You are {name}.")));
    }
    builder.seat(Seat::new("Maat", "judge"))
}

/// Lets go of the lease of a driver that crashed inside of this process, which is not dead.
pub(crate) async fn release(bus: &dyn Bus, session: SessionId, fencing_token: u64) {
    bus.lease(LeaseOp::Release { session, fencing_token }).await.unwrap();
}

pub(crate) async fn folded(bus: &dyn Bus, session: SessionId) -> Vec<Arc<Record>> {
    bus.read_to_end(session, Offset::START, Classes::FOLDED).await.unwrap()
}

pub(crate) fn replay(session: SessionId, records: &[Arc<Record>]) -> Engine {
    let mut engine = Engine::new(session);
    records.iter().for_each(|record| engine.apply(record));
    engine
}

/// The log in words: ids, offsets and times renamed; lease and attempt records left out.
pub(crate) fn in_words(session: SessionId, records: &[Arc<Record>]) -> Vec<String> {
    let mut told = Teller {
        session,
        items: BTreeMap::new(),
        turns: BTreeMap::new(),
        threads: BTreeMap::new(),
        seats: Vec::new(),
    };
    records.iter().filter_map(|record| told.line(record)).collect()
}

struct Teller {
    session: SessionId,
    items: BTreeMap<ItemId, String>,
    turns: BTreeMap<TurnId, SeatId>,
    threads: BTreeMap<ThreadId, String>,
    seats: Vec<String>,
}

impl Teller {
    fn line(&mut self, record: &Record) -> Option<String> {
        assert_eq!(record.session, self.session);
        for item in &record.items {
            self.items.insert(item.id, item.text());
        }
        let words = match record.event().unwrap() {
            Event::SessionOpened(event) => {
                self.seats = event.seats.iter().map(|seat| seat.name.clone()).collect();
                self.threads.insert(event.feed, "feed".into());
                self.threads.extend(event.seats.iter().map(|seat| (seat.thread, seat.name.clone())));
                format!("{} {:?} {:?}", event.format_name, self.seats, event.budget.map(|budget| budget.cap))
            }
            Event::TurnStarted(event) => {
                self.turns.insert(TurnId(record.offset), event.seat);
                let (seat, round) = (self.seat(event.seat), event.round);
                format!(
                    "{seat} {} round {round} reserve {:?} absent {:?} nudge {}",
                    event.intent, event.reserve, event.absent, event.nudge
                )
            }
            Event::TurnEnded(event) => {
                let said = event.item.map(|item| self.items[&item].clone());
                let seat = self.seat(self.turns[&event.turn]);
                format!("{seat} {:?} {said:?} {:?}", event.outcome, event.failure)
            }
            Event::Delivered(event) => format!("{:?} by {:?}", self.items[&event.item], event.by),
            Event::Queued(event) => {
                let called =
                    event.invocations.iter().map(|call| format!("{}:{}", self.seat(call.seat), call.intent));
                called.collect::<Vec<_>>().join(" ")
            }
            Event::ToolCalled(event) => {
                format!("{} {} {}", self.seat(self.turns[&event.turn]), event.tool, event.arguments)
            }
            Event::ToolRan(event) => format!("{} error {}", event.text, event.is_error),
            Event::ReplyLost(event) => event.call,
            Event::ToolAnswered(event) => format!("error {}", event.is_error),
            Event::Quiesced(event) => format!("{event:?}"),
            Event::BudgetReserved(event) => format!("{event:?}"),
            Event::SessionClosed(event) => format!("{event:?}"),
            Event::MessagePosted(event) => self.items[&event.item].clone(),
            Event::PermissionAsked(event) => format!("{} asks for {}", event.request, event.tool),
            Event::PermissionAnswered(event) => format!("{} {:?}", event.request, event.answer),
            Event::PermissionWithdrawn(event) => event.request,
            Event::Interrupted(_) | Event::Commanded(_) | Event::Refused(_) => String::new(),
            Event::Branched(_) | Event::Compacted(_) | Event::Forked(_) => String::new(),
            Event::TangentOpened(_) | Event::TangentResolved(_) | Event::TangentAbandoned(_) => String::new(),
            Event::LeaseTaken(_) | Event::AttemptEnded(_) | Event::RuntimeBound(_) => return None,
            Event::Traced(_) | Event::Unknown { .. } => return None,
        };
        Some(format!("{} {words} {}", record.kind, self.topology(record)))
    }

    fn seat(&self, seat: SeatId) -> &str {
        &self.seats[usize::from(seat.0)]
    }

    fn topology(&self, record: &Record) -> String {
        let ops = record.ops.iter().map(|op| match op {
            Op::Open { kind, .. } => format!("open {kind:?}"),
            Op::Add { threads, item, .. } => {
                let threads: Vec<&String> = threads.iter().map(|thread| &self.threads[thread]).collect();
                format!("{:?} -> {threads:?}", self.items[item])
            }
            // No engine makes others yet.
            op => format!("{op:?}"),
        });
        ops.collect::<Vec<_>>().join("; ")
    }
}
