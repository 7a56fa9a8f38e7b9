//! What the owner of a store calls.

use crate::{BusAdmin, Erase, Erased, Page, Read, Result, async_trait, encoded, encoded::items_of, refusal};
use party_core::{
    AttemptEnded, Event, ItemId, Offset, PermissionAsked, Record, RecordClass, SessionId, ToolAnswered,
    ToolCalled, ToolRan, TurnEnded, TurnId,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What stands in the place of what was taken back.
const GONE: &str = "[erased]";

/// Comforts over every [`BusAdmin`], also as `dyn BusAdmin`. Nobody implements it.
#[async_trait]
pub trait BusAdminExt: BusAdmin {
    /// Takes an item of a session back for good, with what the turn that brought it has left of it in
    /// other records: all that its trace says, and its text where it stands in the arguments and answers
    /// of the turn's tool calls, in what its runtime asked, and in the reasons why it ended so. There
    /// `[erased]` stands in its place.
    ///
    /// It reads the whole session, page by page. What other turns have said of the item are
    /// items of their own. An item that was erased before is looked for in trace only: nobody knows its text.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for an item that the session neither brings nor
    /// refers to, and those of reading and of [`BusAdmin::erase`].
    ///
    /// Cancel-safe: all is erased or nothing.
    async fn erase_item(&self, session: SessionId, item: ItemId) -> Result<Erased> {
        let record = bringer(self, session, item).await?.ok_or_else(|| refusal::no_item(item))?;
        let brought = record.items.iter().any(|brought| brought.id == item);
        let turn = turn_of(&record).filter(|_| brought);
        let mut erase = Erase { items: vec![item], bodies: Vec::new() };
        if let Some(turn) = turn {
            let items = self.items(&[item]).await?;
            let texts = items.iter().flat_map(|item| texts(&item.content)).collect();
            erase.bodies = bodies(self, session, turn, &Texts::new(texts)).await?;
        }
        self.erase(erase).await
    }
}

impl<B: BusAdmin + ?Sized> BusAdminExt for B {}

/// The record that brings the item, or else the first that refers to it.
async fn bringer<B: BusAdmin + ?Sized>(
    bus: &B,
    session: SessionId,
    item: ItemId,
) -> Result<Option<Arc<Record>>> {
    let (mut read, mut refers) = (Read::new(session, Offset::START), None);
    loop {
        let page = bus.read(read.clone()).await?;
        let brings = |record: &&Arc<Record>| record.items.iter().any(|brought| brought.id == item);
        if let Some(record) = page.entries.iter().find(brings) {
            return Ok(Some(Arc::clone(record)));
        }
        let named = |record: &&Arc<Record>| record.ops.iter().any(|op| items_of(op).contains(&item));
        refers = refers.or_else(|| page.entries.iter().find(named).cloned());
        match next(&mut read, &page) {
            true => {}
            false => return Ok(refers),
        }
    }
}

/// The records of the turn that carry the texts, with the bodies that they get.
async fn bodies<B: BusAdmin + ?Sized>(
    bus: &B,
    session: SessionId,
    turn: TurnId,
    texts: &Texts,
) -> Result<Vec<(SessionId, Offset, Box<serde_json::value::RawValue>)>> {
    let (mut read, mut bodies) = (Read::new(session, turn.0), Vec::new());
    loop {
        let page = bus.read(read.clone()).await?;
        for record in page.entries.iter().filter(|record| turn_of(record) == Some(turn)) {
            bodies.extend(without(record, texts).map(|event| (session, record.offset, event.encode())));
        }
        if !next(&mut read, &page) {
            return Ok(bodies);
        }
    }
}

/// Goes on behind `page`; false where that is the end.
fn next(read: &mut Read, page: &Page<Arc<Record>>) -> bool {
    read.after = Offset(page.scanned_to);
    page.more
}

/// The turn that a record belongs to.
fn turn_of(record: &Record) -> Option<TurnId> {
    record.turn.or_else(|| match record.event().ok()? {
        Event::ToolCalled(ToolCalled { turn, .. })
        | Event::ToolRan(ToolRan { turn, .. })
        | Event::ToolAnswered(ToolAnswered { turn, .. })
        | Event::PermissionAsked(PermissionAsked { turn, .. })
        | Event::AttemptEnded(AttemptEnded { turn, .. })
        | Event::TurnEnded(TurnEnded { turn, .. }) => Some(turn),
        Event::Traced(traced) => Some(traced.turn),
        _ => None,
    })
}

/// The record's event without the texts; `None` where it does not carry them.
fn without(record: &Record, texts: &Texts) -> Option<Event> {
    let event = record.event().ok()?;
    let mut gone = event.clone();
    match &mut gone {
        Event::Traced(traced) => {
            // Pieces of the text stand anywhere in it.
            traced.event = match traced.event.get("type") {
                Some(tag) => json!({ "type": tag, "erased": GONE }),
                None => GONE.into(),
            };
        }
        Event::ToolCalled(called) => texts.leave(&mut called.arguments),
        Event::PermissionAsked(asked) => texts.leave(&mut asked.input),
        Event::ToolRan(ran) => texts.leave_text(&mut ran.text),
        Event::ToolAnswered(answered) => texts.leave_text(&mut answered.text),
        Event::AttemptEnded(ended) => ended.reason.iter_mut().for_each(|reason| texts.leave_text(reason)),
        Event::TurnEnded(ended) => ended.reason.iter_mut().for_each(|reason| texts.leave_text(reason)),
        Event::Unknown { .. } if record.class == RecordClass::Trace && record.kind != crate::PRUNED => {
            let body = json!({ "erased": GONE }).to_string();
            let body = serde_json::value::RawValue::from_string(body).ok()?;
            gone = Event::decode(&record.kind, &body).ok()?;
        }
        _ => {}
    }
    (gone != event).then_some(gone)
}

/// Every text in content, whatever its blocks are called.
fn texts(content: &[party_core::ContentBlock]) -> Vec<String> {
    let mut texts = Vec::new();
    for block in content.iter().filter_map(|block| serde_json::to_value(block).ok()) {
        let Value::Object(mut fields) = block else { continue };
        let tag = fields.remove("type");
        if tag != Some("erased".into()) {
            gather(&Value::Object(fields), &mut texts);
        }
    }
    texts
}

fn gather(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| gather(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| gather(value, texts)),
        _ => {}
    }
}

/// What must not be left anywhere, the longest first: a text may be a part of another.
struct Texts(Vec<String>);

impl Texts {
    fn new(mut texts: Vec<String>) -> Self {
        // A share may be stored without the space around it.
        texts.iter_mut().for_each(|text| *text = text.trim().to_owned());
        texts.retain(|text| !text.is_empty());
        // Arguments may hold JSON as a text.
        let escaped = texts.iter().map(|text| encoded::json(text).trim_matches('"').to_owned());
        let escaped: Vec<String> = escaped.collect();
        texts.extend(escaped);
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(texts)
    }

    fn leave_text(&self, text: &mut String) {
        for gone in self.0.iter().filter(|gone| **gone != GONE) {
            if text.contains(gone.as_str()) {
                *text = text.replace(gone.as_str(), GONE);
            }
        }
    }

    fn leave(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.leave_text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.leave(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.leave(value)),
            _ => {}
        }
    }
}
