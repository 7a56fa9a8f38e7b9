//! A session as people read it: question, rounds, synthesis, who was absent, what it cost.

use party_core::{
    Absence, CloseReason, Event, Item, ItemId, Record, SeatId, SeatSpec, SessionId, Timestamp, TurnId, Usd,
};
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// What was said in the feed, by round, with what it cost and how it ended. It is folded from
/// records, one at a time, so it can be shown while the session runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Transcript {
    /// The session.
    pub session: SessionId,
    /// The format's name.
    pub format: String,
    /// When the session was opened.
    pub opened_at: Timestamp,
    /// The seats in roster order.
    pub seats: Vec<SeatSpec>,
    /// What was said in the feed, in order.
    pub said: Vec<Said>,
    /// Who was called and did not speak, by round.
    pub absences: Vec<(u32, Absence)>,
    /// What the turns cost so far; those of unknown cost are not in it.
    pub cost: Usd,
    /// How many attempts had a cost that nobody knows.
    pub unknown_costs: u32,
    /// Why the session is over, once it is.
    pub closed: Option<CloseReason>,
    turns: BTreeMap<TurnId, (SeatId, u32)>,
    items: BTreeMap<ItemId, Arc<Item>>,
}

/// Something said in the feed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Said {
    /// The seat that said it; none for a person.
    pub seat: Option<SeatId>,
    /// The round it belongs to, counted from 1; 0 for a person's message.
    pub round: u32,
    /// What was said.
    pub item: Arc<Item>,
}

impl Transcript {
    /// An empty transcript of a session.
    pub const fn new(session: SessionId) -> Self {
        Self {
            session,
            format: String::new(),
            opened_at: Timestamp::from_micros(0),
            seats: Vec::new(),
            said: Vec::new(),
            absences: Vec::new(),
            cost: Usd::ZERO,
            unknown_costs: 0,
            closed: None,
            turns: BTreeMap::new(),
            items: BTreeMap::new(),
        }
    }

    /// Takes the next record of the session. Returns what it made heard, if anything.
    pub fn take(&mut self, record: &Record) -> Option<&Said> {
        self.items.extend(record.items.iter().map(|item| (item.id, Arc::clone(item))));
        match record.event().ok()? {
            Event::SessionOpened(event) => {
                self.opened_at = record.at;
                self.format = event.format_name;
                self.seats = event.seats;
                self.items.clear();
            }
            Event::TurnStarted(event) => {
                self.turns.insert(TurnId(record.offset), (event.seat, event.round));
            }
            Event::AttemptEnded(event) => self.charge(event.cost.amount()),
            Event::TurnEnded(event) => self.charge(event.cost.amount()),
            Event::Delivered(event) => {
                let round = event.turn.and_then(|turn| self.turns.get(&turn)).map_or(0, |(_, round)| *round);
                let item = self.items.remove(&event.item)?;
                self.said.push(Said { seat: event.by, round, item });
                return self.said.last();
            }
            Event::Quiesced(event) => {
                // A judge that is asked again is absent once.
                for absence in event.absent {
                    let is_same =
                        |(round, known): &(u32, Absence)| (*round, known.seat) == (event.round, absence.seat);
                    if !self.absences.iter().any(is_same) {
                        self.absences.push((event.round, absence));
                    }
                }
            }
            Event::SessionClosed(event) => self.closed = Some(event.reason),
            _ => {}
        }
        None
    }

    fn charge(&mut self, cost: Option<Usd>) {
        match cost {
            Some(cost) => self.cost = self.cost.saturating_add(cost),
            None => self.unknown_costs += 1,
        }
    }

    /// A seat's name.
    pub fn name(&self, seat: SeatId) -> &str {
        self.seats.get(usize::from(seat.0)).map_or("somebody", |seat| &seat.name)
    }

    /// The question: the first message.
    pub fn question(&self) -> Option<&Said> {
        self.said.first().filter(|said| said.seat.is_none())
    }

    /// What the judge, or another seat that sums up, said last.
    pub fn synthesis(&self) -> Option<&Said> {
        let last = self.said.last()?;
        let role = &self.seats.get(usize::from(last.seat?.0))?.role;
        (role == "judge").then_some(last)
    }

    /// An absence in words: `John (took too long)`.
    pub fn absence_in_words(&self, absence: &Absence) -> String {
        format!("{} ({})", self.name(absence.seat), absence.reason)
    }

    /// The transcript as a Markdown document: topic, roster, rounds, cost, every opinion, synthesis,
    /// and who was absent.
    pub fn to_markdown(&self) -> String {
        let mut page = String::new();
        let question = self.question().map(|said| said.item.text()).unwrap_or_default();
        let _ = writeln!(page, "# {}\n", question.lines().next().unwrap_or("(no question)"));
        if question.lines().count() > 1 {
            let _ = writeln!(page, "{}\n", quoted(&question));
        }
        let roster: Vec<String> =
            self.seats.iter().map(|seat| format!("{} ({})", seat.name, seat.role)).collect();
        let rounds = self.said.iter().map(|said| said.round).max().unwrap_or(0);
        let _ =
            writeln!(page, "- Format: {}\n- Roster: {}\n- Rounds: {rounds}", self.format, roster.join(", "));
        let _ = writeln!(
            page,
            "- Cost: {}\n- Opened: {}\n- Session: `{}`",
            self.cost_in_words(),
            self.opened_at,
            self.session
        );
        let _ = writeln!(
            page,
            "- Ended: {}",
            self.closed.map_or_else(|| "not yet".to_owned(), |reason| reason.to_string())
        );
        self.write_rounds(&mut page);
        page
    }

    fn write_rounds(&self, page: &mut String) {
        let synthesis = self.synthesis().map(|said| said.item.id);
        let mut round = 0;
        for said in self.said.iter().skip(usize::from(self.question().is_some())) {
            if Some(said.item.id) == synthesis {
                let _ = writeln!(page, "\n## Synthesis by {}", said.item.author);
            } else {
                if said.round != round {
                    round = said.round;
                    let _ = writeln!(page, "\n## Round {round}");
                }
                let _ = writeln!(page, "\n### {}", said.item.author);
            }
            // Quoted, so that no headline in a text passes for one of the canvas.
            let _ = writeln!(page, "\n{}", quoted(said.item.text().trim()));
        }
        if !self.absences.is_empty() {
            let _ = writeln!(page, "\n## Absent\n");
            for (round, absence) in &self.absences {
                let _ = writeln!(page, "- Round {round}: {}", self.absence_in_words(absence));
            }
        }
    }

    /// The cost in words: `0.06 USD`, with a remark where some of it is unknown.
    pub fn cost_in_words(&self) -> String {
        match self.unknown_costs {
            0 => format!("{} USD", self.cost),
            1 => format!("{} USD and one attempt of unknown cost", self.cost),
            more => format!("{} USD and {more} attempts of unknown cost", self.cost),
        }
    }
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}
