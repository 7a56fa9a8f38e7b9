//! How a session begins: the record that says what it is and who sits in it.

use crate::{
    Error, ErrorKind, PartyBuilder, Result,
    capable::{Seated, check_capabilities},
    log::now,
    tool::Toolbox,
};
use party_core::{Document, Item, NewRecord, Op, SeatSpec, SessionId, SessionOpened, ThreadId, ThreadKind};
use party_formats::{ENGINE_VERSION, Format, Member, check_budget, check_with};
use std::{collections::BTreeMap, sync::Arc};

/// A participant of a party that is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seat {
    /// The agent's name, unique in the party without regard to case.
    pub name: String,
    /// Its role in the format.
    pub role: String,
    /// Its own system prompt; the role's stands behind it.
    pub prompt: String,
    /// The harness that runs it; where absent the only one there is.
    pub harness: Option<String>,
    /// The model that it asks for; the runtime's default where absent.
    pub model: Option<String>,
}

impl Seat {
    /// A seat without a prompt of its own.
    pub fn new(name: impl Into<String>, role: impl Into<String>) -> Self {
        Self { name: name.into(), role: role.into(), prompt: String::new(), harness: None, model: None }
    }

    /// The same seat with a system prompt.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = prompt.into();
        self
    }

    /// The same seat, run by the harness of this name.
    #[must_use]
    pub fn harness(mut self, harness: impl Into<String>) -> Self {
        self.harness = Some(harness.into());
        self
    }

    /// The same seat with a model.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }
}

impl PartyBuilder {
    /// The record that opens the session; prompts and the format are items of it.
    pub(crate) fn genesis(&mut self, session: SessionId, tools: &Toolbox) -> Result<NewRecord> {
        let format = self.format.take().unwrap_or_default();
        let team: Vec<Member> = self.seats.iter().map(|seat| Member::new(&seat.name, &seat.role)).collect();
        check_with(&format, &team, &tools.names().collect::<Vec<_>>())?;
        if let Some(terms) = &mut self.budget {
            terms.per_turn = Some(check_budget(&format, &team, *terms)?);
        }
        let stored = serde_json::to_string(&format)
            .map_err(|error| Error::caused(ErrorKind::Invalid, "the format cannot be stored", error))?;
        let (document, item) = Document::new(stored);
        let thread = |index: usize| ThreadId::derive(&[session.as_bytes(), &(index as u64).to_be_bytes()]);
        let mut items = BTreeMap::from([(item.id, item)]);
        let mut specs = Vec::with_capacity(self.seats.len());
        for (index, seat) in self.seats.iter().enumerate() {
            let (prompt, item) = Document::new(system_prompt(seat, &format));
            items.insert(item.id, item);
            specs.push(SeatSpec {
                name: checked_name(&seat.name)?,
                role: seat.role.clone(),
                thread: thread(index + 1),
                prompt,
                harness: self.harness_of(seat)?,
                model: seat.model.clone(),
            });
        }
        let seats = specs.iter();
        let seats = seats.map(|seat| Seated { name: &seat.name, role: &seat.role, harness: &seat.harness });
        check_capabilities(&format, seats, &self.harnesses)?;
        self.check_prices(&specs, self.budget.is_some())?;
        let opened = SessionOpened {
            min_engine: ENGINE_VERSION,
            format_name: format.name.clone(),
            format: document,
            feed: thread(0),
            seats: specs,
            budget: self.budget,
            host_tools: tools.terms(),
        };
        Ok(opening(opened, items.into_values()))
    }

    pub(crate) fn harness_of(&self, seat: &Seat) -> Result<String> {
        let known = || self.harnesses.keys().cloned().collect::<Vec<_>>().join(", ");
        match &seat.harness {
            Some(name) if self.harnesses.contains_key(name) => Ok(name.clone()),
            Some(name) => Err(Error::new(
                ErrorKind::Invalid,
                format!("seat `{}` wants harness `{name}`; there are: {}", seat.name, known()),
            )),
            None => match self.harnesses.keys().next() {
                Some(only) if self.harnesses.len() == 1 => Ok(only.clone()),
                _ => Err(Error::new(
                    ErrorKind::Invalid,
                    format!("seat `{}` names no harness; there are: {}", seat.name, known()),
                )),
            },
        }
    }
}

fn system_prompt(seat: &Seat, format: &Format) -> String {
    let role = format.roles.get(&seat.role).map_or("", |role| role.prompt.trim());
    [format!("Your name is {}.", seat.name).as_str(), seat.prompt.trim(), role]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn checked_name(name: &str) -> Result<String> {
    if name.trim().is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        let context = format!(
            "`{}` is no name for a seat: 1 to 64 characters, none of them a control character",
            name.escape_debug()
        );
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    Ok(name.to_owned())
}

fn opening(opened: SessionOpened, items: impl Iterator<Item = Item>) -> NewRecord {
    let feed = Op::Open { thread: opened.feed, kind: ThreadKind::Feed };
    let private = opened.seats.iter().map(|seat| Op::Open { thread: seat.thread, kind: ThreadKind::Private });
    let ops: Vec<Op> = std::iter::once(feed).chain(private).collect();
    let mut record = NewRecord::new(now(), &opened.into());
    record.ops = ops;
    record.items = items.map(Arc::new).collect();
    record
}
